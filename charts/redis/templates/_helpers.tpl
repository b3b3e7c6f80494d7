{{- define "redis.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: redis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "redis.wave" -}}
argocd.argoproj.io/sync-wave: {{ . | quote }}
{{- end }}

{{- define "redis.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{- define "redis.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "redis.password" -}}
- name: {{ .variable }}
  valueFrom: {secretKeyRef: {name: {{ .root.Values.auth.secretName }}, key: redis-password}}
{{- end }}

{{- define "redis.configuration" -}}
include /run/redis/password.conf
bind * -::*
port 6379
dir /data
# The log alone keeps what was acknowledged.
appendonly yes
appendfsync {{ .Values.persistence.fsync }}
save ""
maxmemory {{ .Values.maxMemory }}
# State is no cache.
maxmemory-policy noeviction
tcp-keepalive 60
timeout 0
{{- end }}
