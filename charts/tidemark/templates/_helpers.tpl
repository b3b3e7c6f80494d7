{{/* Names are fixed: app-ids, scopes and cloud identities carry them. One installation has its own namespace. */}}
{{- define "tidemark.name" -}}tidemark{{- end }}

{{- define "tidemark.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .appVersion }}
{{- end -}}
{{- end }}

{{/* Labels of everything. Takes root and component. */}}
{{- define "tidemark.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{ include "tidemark.selector" . }}
{{- end }}

{{/* Labels of pods: nothing in them changes with the chart's version, which alone is no reason for new pods. Takes
root and component. */}}
{{- define "tidemark.podLabels" -}}
app.kubernetes.io/part-of: tidemark
{{ include "tidemark.selector" . }}
{{- end }}

{{/* Labels that never change. Takes root and component. */}}
{{- define "tidemark.selector" -}}
app.kubernetes.io/name: tidemark
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The roles that are deployed, with their defaults, as YAML. */}}
{{- define "tidemark.roles" -}}
{{- $roles := dict -}}
{{- range $name, $own := .Values.roles -}}
{{- $role := mergeOverwrite (deepCopy $.Values.roleDefaults) ($own | default dict) -}}
{{- if $role.enabled -}}
{{- if and $role.autoscaling.enabled $role.verticalAutoscaling.enabled (ne $role.verticalAutoscaling.updateMode "Off") -}}
{{- fail (printf "roles.%s: verticalAutoscaling.updateMode must be Off where autoscaling is on: both act on the same figures" $name) -}}
{{- end -}}
{{- if and $role.canary.enabled (ne $role.rollout.strategy "RollingUpdate") -}}
{{- fail (printf "roles.%s: canary and rollout.strategy %s are two ways to do the same; choose one" $name $role.rollout.strategy) -}}
{{- end -}}
{{- if and $role.autoscaling.enabled (gt (int $role.autoscaling.minReplicas) (int $role.autoscaling.maxReplicas)) -}}
{{- fail (printf "roles.%s: autoscaling.minReplicas is greater than maxReplicas" $name) -}}
{{- end -}}
{{- $_ := set $roles $name $role -}}
{{- end -}}
{{- end -}}
{{- if and (eq (int .Values.update.maxUnavailable) 0) (eq (int .Values.update.maxSurge) 0) -}}
{{- fail "update: with maxUnavailable 0 and maxSurge 0 no replica could ever be replaced" -}}
{{- end -}}
{{- toYaml $roles -}}
{{- end }}

{{/* The app-ids in use: those of the roles, and those of their canaries. */}}
{{- define "tidemark.appIds" -}}
{{- $ids := list -}}
{{- range $name, $role := include "tidemark.roles" . | fromYaml -}}
{{- $ids = append $ids (printf "tidemark-%s" $name) -}}
{{- if $role.canary.enabled -}}
{{- $ids = append $ids (printf "tidemark-%s-canary" $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $ids -}}
{{- end }}

{{/* The Service whose name stands for the addresses of all replicas. Takes name and canary. */}}
{{- define "tidemark.replicas" -}}
tidemark-{{ .name }}{{ if .canary }}-canary{{ end }}-replicas
{{- end }}

{{/* App-ids whose sidecars may read the secret store. */}}
{{- define "tidemark.secretReaders" -}}
{{- $ids := list -}}
{{- range $name, $role := include "tidemark.roles" . | fromYaml -}}
{{- if $role.secretStore -}}
{{- $ids = concat $ids (list (printf "tidemark-%s" $name) (printf "tidemark-%s-canary" $name)) -}}
{{- end -}}
{{- end -}}
{{- toJson $ids -}}
{{- end }}

{{- define "tidemark.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "tidemark.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a component's settings are laid over by values: an exact name wins over a pattern. */}}
{{- define "tidemark.settingsOf" -}}
{{- $name := .component -}}
{{- $found := dict -}}
{{- range $pattern, $settings := .settings -}}
{{- if and (hasSuffix "*" $pattern) (hasPrefix (trimSuffix "*" $pattern) $name) -}}
{{- $found = mergeOverwrite $found (deepCopy $settings) -}}
{{- end -}}
{{- end -}}
{{- $found = mergeOverwrite $found (deepCopy (get .settings $name | default dict)) -}}
{{- toYaml $found -}}
{{- end }}

{{/* Which object gives the role its pods. */}}
{{- define "tidemark.workload" -}}
{{- if eq .rollout.strategy "RollingUpdate" -}}
apiVersion: apps/v1
kind: Deployment
{{- else -}}
apiVersion: argoproj.io/v1alpha1
kind: Rollout
{{- end -}}
{{- end }}

{{/* The priority class of a pod. Takes root and priority. */}}
{{- define "tidemark.priorityClass" -}}
{{- if .root.Values.priorityClasses.create }}
priorityClassName: {{ .root.Release.Namespace }}-{{ .priority }}
{{- end }}
{{- end }}

{{/* Spreads replicas over zones and nodes. Takes root, labels and hash. */}}
{{- define "tidemark.spread" -}}
topologySpreadConstraints:
  {{- range $key, $policy := dict "topology.kubernetes.io/zone" .root.Values.topologySpread.zones "kubernetes.io/hostname" .root.Values.topologySpread.nodes }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $policy }}
    # Counts the pods of one version only, so that an update does not unbalance the new one.
    matchLabelKeys: [{{ $.hash }}]
    labelSelector:
      matchLabels:
        {{- $.labels | nindent 8 }}
  {{- end }}
{{- end }}

{{/* Annotations by which Dapr's injector adds the sidecar. Takes root, appId, resources, secretStore, channel. */}}
{{- define "tidemark.sidecar" -}}
{{- $values := .root.Values -}}
dapr.io/enabled: "true"
dapr.io/app-id: {{ .appId }}
{{- if .channel }}
dapr.io/app-port: {{ $values.ports.appChannel | quote }}
dapr.io/app-protocol: grpc
dapr.io/app-channel-address: 127.0.0.1
dapr.io/enable-app-health-check: "true"
dapr.io/app-health-probe-interval: "1"
dapr.io/app-health-probe-timeout: "500"
dapr.io/app-health-threshold: "2"
dapr.io/app-token-secret: {{ $values.secrets.appApiToken }}
{{- end }}
dapr.io/api-token-secret: {{ $values.secrets.daprApiToken }}
dapr.io/config: tidemark
# The pod's own init container in the sense of Kubernetes: it starts before the program and ends after it.
dapr.io/enable-native-sidecar: "true"
dapr.io/graceful-shutdown-seconds: {{ $values.termination.sidecarSeconds | quote }}
dapr.io/max-body-size: {{ $values.dapr.maxBodySize }}
dapr.io/log-as-json: "true"
dapr.io/log-level: {{ $values.dapr.logLevel }}
# The program reads secrets through the component `secretstore` alone; the operator fills in the others.
dapr.io/disable-builtin-k8s-secret-store: "true"
# No actors and no jobs.
dapr.io/placement-host-address: " "
dapr.io/scheduler-host-address: " "
dapr.io/sidecar-cpu-request: {{ .resources.requests.cpu | quote }}
dapr.io/sidecar-memory-request: {{ .resources.requests.memory | quote }}
dapr.io/sidecar-cpu-limit: {{ .resources.limits.cpu | quote }}
dapr.io/sidecar-memory-limit: {{ .resources.limits.memory | quote }}
dapr.io/sidecar-seccomp-profile-type: RuntimeDefault
{{- $mounts := list -}}
{{- if .secretStore }}{{ $mounts = append $mounts "secret-store:/run/tidemark/secrets" }}{{ end -}}
{{- if $values.dapr.trust.secretName }}{{ $mounts = append $mounts "trust:/run/tidemark/trust" }}{{ end }}
{{- with $mounts }}
dapr.io/volume-mounts: {{ join "," . | quote }}
{{- end }}
{{- $environment := list -}}
{{- if .secretStore }}{{ $environment = append $environment (printf "SECRETS_FILE=%s" $values.components.environment.SECRETS_FILE) }}{{ end -}}
{{- /* Beside the public authorities, which Go reads from their folder all the same. Not SSL_CERT_DIR: with that, the injector takes away the sidecar's read-only root. */ -}}
{{- if $values.dapr.trust.secretName }}{{ $environment = append $environment "SSL_CERT_FILE=/run/tidemark/trust/ca.crt" }}{{ end -}}
{{- with $values.telemetry.endpoint -}}
{{- $environment = append $environment (printf "OTEL_EXPORTER_OTLP_ENDPOINT=%s" .) -}}
{{- if hasPrefix "http://" . }}{{ $environment = append $environment "OTEL_EXPORTER_OTLP_INSECURE=true" }}{{ end -}}
{{- end }}
{{- with $environment }}
dapr.io/env: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/* Volumes that only the sidecar mounts. Takes root and secretStore. */}}
{{- define "tidemark.sidecarVolumes" -}}
{{- if .secretStore }}
- name: secret-store
  secret:
    secretName: {{ .root.Values.secrets.store }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.dapr.trust.secretName }}
- name: trust
  secret:
    secretName: {{ . }}
    defaultMode: 0444
{{- end }}
{{- end }}

{{/* A pod of a role. Takes root, name, role and track (stable or canary). */}}
{{- define "tidemark.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $role := .role -}}
{{- $appId := ternary (printf "tidemark-%s" .name) (printf "tidemark-%s-canary" .name) (eq .track "stable") -}}
{{- $image := $values.image -}}
{{- if and (eq .track "canary") (or $role.canary.tag $role.canary.digest) -}}
{{- $image = dict "repository" $image.repository "pullPolicy" $image.pullPolicy "tag" $role.canary.tag "digest" $role.canary.digest -}}
{{- end -}}
{{- $mounted := and $role.secretStore (eq $values.components.provider "cluster") -}}
metadata:
  labels:
    {{- include "tidemark.podLabels" (dict "root" $root "component" .name) | nindent 4 }}
    tidemark.io/track: {{ .track }}
    {{- with $role.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "tidemark.sidecar" (dict "root" $root "appId" $appId "resources" $role.sidecarResources "secretStore" $mounted "channel" true) | nindent 4 }}
    {{- with $role.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: tidemark-{{ .name }}
  # Neither the program nor its sidecar calls the API server.
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $values.termination.preStopSeconds $values.termination.drainSeconds $values.termination.sidecarSeconds 5 }}
  {{- include "tidemark.priorityClass" (dict "root" $root "priority" $role.priority) | nindent 2 }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "tidemark.podSecurity" . | nindent 4 }}
  containers:
    - name: tidemark
      image: {{ include "tidemark.image" (dict "image" $image "appVersion" $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $image.pullPolicy }}
      args: [serve, {{ .name }}]
      securityContext:
        {{- include "tidemark.containerSecurity" . | nindent 8 }}
      ports:
        - {name: http, containerPort: {{ $values.ports.http }}, protocol: TCP}
        {{- range $role.extraPorts }}
        - {name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP}
        {{- end }}
      env:
        - {name: APP_ENV, value: {{ $values.environment }}}
        - name: INSTANCE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - {name: HTTP_ADDRESS, value: "0.0.0.0:{{ $values.ports.http }}"}
        - {name: APP_CHANNEL_ADDRESS, value: "127.0.0.1:{{ $values.ports.appChannel }}"}
        - {name: DAPR_GRPC_ENDPOINT, value: "http://127.0.0.1:50001"}
        - name: DAPR_API_TOKEN
          valueFrom: {secretKeyRef: {name: {{ $values.secrets.daprApiToken }}, key: token}}
        - name: APP_API_TOKEN
          valueFrom: {secretKeyRef: {name: {{ $values.secrets.appApiToken }}, key: token}}
        {{- range tuple "accounts" "tasks" "history" "notifications" }}
        - {name: {{ upper . }}_APP_ID, value: tidemark-{{ . }}}
        {{- end }}
        {{- if eq .name "history" }}
        - {name: HISTORY_PUBSUBS, value: {{ include "tidemark.historyComponents" $root | quote }}}
        {{- end }}
        - {name: DRAIN_DEADLINE, value: {{ printf "%ds" (int $values.termination.drainSeconds) }}}
        {{- with $values.telemetry.endpoint }}
        - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
        - {name: TRACE_RATIO, value: {{ $values.telemetry.ratio | quote }}}
        {{- end }}
        {{- range $variable, $value := mergeOverwrite (deepCopy $values.config) $role.config }}
        - {name: {{ $variable }}, value: {{ $value | quote }}}
        {{- end }}
      startupProbe:
        httpGet: {path: /health/live, port: http}
        {{- toYaml $values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: {path: /health/ready, port: http}
        {{- toYaml $values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: {path: /health/live, port: http}
        {{- toYaml $values.probes.liveness | nindent 8 }}
      lifecycle:
        # Until every proxy knows that the pod is leaving, it goes on serving.
        preStop:
          sleep: {seconds: {{ $values.termination.preStopSeconds }}}
      resources:
        {{- toYaml $role.resources | nindent 8 }}
  {{- with include "tidemark.sidecarVolumes" (dict "root" $root "secretStore" $mounted) | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
  {{- include "tidemark.spread" (dict "root" $root "labels" (include "tidemark.selector" (dict "root" $root "component" .name)) "hash" (ternary "pod-template-hash" "rollouts-pod-template-hash" (eq $role.rollout.strategy "RollingUpdate"))) | nindent 2 }}
  {{- with $role.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $role.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The components that the history consumes from. */}}
{{- define "tidemark.historyComponents" -}}
{{- if eq .Values.components.provider "gcp-pubsub" -}}
pubsub-history-0
{{- else -}}
{{- $names := list -}}
{{- range until (int .Values.history.components) -}}
{{- $names = append $names (printf "pubsub-history-%d" .) -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}
{{- end }}

{{/* Before what Argo CD makes this, and how Helm keeps it. */}}
{{- define "tidemark.wave" -}}
argocd.argoproj.io/sync-wave: {{ . | quote }}
{{- end }}
