{{/* Takes root and name. */}}
{{- define "monitoring.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
app.kubernetes.io/part-of: tidemark-monitoring
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "monitoring.selector" . }}
{{- end }}

{{- define "monitoring.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/*
The labels of a pod's template: those that never change, since a new label of a chart's version would restart it.
Takes root and name.
*/}}
{{- define "monitoring.podLabels" -}}
app.kubernetes.io/part-of: tidemark-monitoring
{{ include "monitoring.selector" . }}
{{- end }}

{{- define "monitoring.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "monitoring.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "monitoring.configuration" -}}
{{- $files := dict -}}
{{- range $path, $content := .Files.Glob .glob -}}
{{- $_ := set $files (base $path) ($content | toString) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end }}

{{/*
A Deployment with its Service, service account and configuration. Takes root, name, image, replicas, args, ports
(name to number), probe (path and port), files (name to content) and mountPath, env, resources, apiAccess,
scratch (paths that may be written), storage (size of a volume at /data) and metrics (port and path).
*/}}
{{- define "monitoring.workload" -}}
{{- $labels := include "monitoring.labels" . -}}
{{- $selector := include "monitoring.selector" . -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels:
    {{- $labels | nindent 4 }}
automountServiceAccountToken: false
{{- with .files }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $.name }}
  labels:
    {{- $labels | nindent 4 }}
data:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .storage }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ $.name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $.root.Values.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ . }}}}
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  replicas: {{ .replicas | default 1 }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  # A volume belongs to one pod at a time.
  strategy: {type: {{ ternary "Recreate" "RollingUpdate" (not (empty .storage)) }}}
  template:
    metadata:
      labels:
        {{- include "monitoring.podLabels" . | nindent 8 }}
      {{- with .files }}
      annotations:
        checksum/configuration: {{ toYaml . | sha256sum }}
      {{- end }}
    spec:
      serviceAccountName: {{ .name }}
      automountServiceAccountToken: {{ .apiAccess | default false }}
      enableServiceLinks: false
      securityContext:
        {{- include "monitoring.pod" . | nindent 8 }}
      containers:
        - name: {{ .name }}
          image: {{ .image | quote }}
          imagePullPolicy: IfNotPresent
          {{- with .args }}
          args: {{ toJson . }}
          {{- end }}
          securityContext:
            {{- include "monitoring.container" . | nindent 12 }}
          ports:
            {{- range $name, $port := .ports }}
            - {name: {{ $name }}, containerPort: {{ $port }}, protocol: TCP}
            {{- end }}
          {{- with .env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          startupProbe:
            httpGet: {{ toJson .probe }}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {{ toJson .probe }}
            timeoutSeconds: 3
          livenessProbe:
            httpGet: {{ toJson .probe }}
            periodSeconds: 15
            timeoutSeconds: 5
            failureThreshold: 4
          resources:
            {{- toYaml .resources | nindent 12 }}
          volumeMounts:
            {{- if .files }}
            - {name: configuration, mountPath: {{ .mountPath }}, readOnly: true}
            {{- end }}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- if .storage }}
            - {name: data, mountPath: /data}
            {{- end }}
            {{- range $index, $path := .scratch }}
            - {name: scratch, mountPath: {{ $path }}, subPath: scratch-{{ $index }}}
            {{- end }}
            {{- if not (or .files .mounts .storage .scratch) }} []{{ end }}
      volumes:
        {{- if .files }}
        - {name: configuration, configMap: {name: {{ .name }}}}
        {{- end }}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- if .storage }}
        - {name: data, persistentVolumeClaim: {claimName: {{ .name }}}}
        {{- end }}
        {{- if .scratch }}
        - {name: scratch, emptyDir: {sizeLimit: 256Mi}}
        {{- end }}
        {{- if not (or .files .volumes .storage .scratch) }} []{{ end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  selector:
    {{- $selector | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}, protocol: TCP}
    {{- end }}
{{- with .metrics }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ $.name }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  endpoints:
    - port: {{ .port }}
      path: {{ .path | default "/metrics" }}
      {{- if .honorLabels }}
      honorLabels: true
      {{- end }}
      relabelings:
        - {action: replace, targetLabel: job, replacement: {{ $.name }}}
{{- end }}
{{- end }}
