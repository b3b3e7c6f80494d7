{{- define "redis.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: redis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Memory in MiB, rounded down. Takes Redis' own notation, or Kubernetes'. */}}
{{- define "redis.mebibytes" -}}
{{- $units := dict "mb" 1048576.0 "gb" 1073741824.0 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "m" 0.001 "" 1.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- divf (mulf (trimSuffix $unit . | float64) (get $units $unit)) 1048576.0 | floor | int64 -}}
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
