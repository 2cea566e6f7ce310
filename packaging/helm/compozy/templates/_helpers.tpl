{{- define "compozy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "compozy.fullname" -}}
{{- $name := include "compozy.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "compozy.selector" -}}
app.kubernetes.io/name: {{ include "compozy.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "compozy.labels" -}}
{{ include "compozy.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "compozy.image" -}}
{{ .Values.image.repository }}:{{ default (printf "v%s-full" .Chart.AppVersion) .Values.image.tag }}
{{- end -}}

{{- /* Values that contradict each other; the schema checks single values. */ -}}
{{- define "compozy.check" -}}
{{- if eq .Values.database.driver "sqlite" -}}
  {{- if gt (int .Values.server.replicas) 1 -}}
    {{- fail (printf "SQLite allows one process, and server.replicas is %d: set server.replicas to 1, or database.driver to postgres" (int .Values.server.replicas)) -}}
  {{- end -}}
  {{- if gt (int .Values.worker.replicas) 0 -}}
    {{- fail (printf "SQLite allows one process, the server, and worker.replicas is %d: set worker.replicas to 0, or database.driver to postgres" (int .Values.worker.replicas)) -}}
  {{- end -}}
  {{- if .Values.server.autoscaling.enabled -}}
    {{- fail "SQLite allows one process, and server.autoscaling.enabled is true: set it to false, or database.driver to postgres" -}}
  {{- end -}}
  {{- if .Values.worker.keda.enabled -}}
    {{- fail "SQLite allows one process, and worker.keda.enabled is true: set it to false, or database.driver to postgres" -}}
  {{- end -}}
{{- else if not .Values.database.host -}}
  {{- fail "database.host is empty: set it to the host name of the PostgreSQL server" -}}
{{- end -}}
{{- if and .Values.project.files .Values.project.existingConfigMap -}}
  {{- fail "project.files and project.existingConfigMap are both set: keep one of them" -}}
{{- end -}}
{{- if and .Values.project.files (not (hasKey .Values.project.files "compozy.yaml")) -}}
  {{- fail "project.files does not contain compozy.yaml, the file of the project" -}}
{{- end -}}
{{- if and .Values.project.existingConfigMap (not .Values.project.items) -}}
  {{- fail "project.items is empty: list each key of project.existingConfigMap with its path" -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
  {{- if not .Values.ingress.hosts -}}
    {{- fail "ingress.hosts is empty: list the host names under which clients reach the server" -}}
  {{- end -}}
  {{- with .Values.server.publicUrl -}}
    {{- $public := (urlParse .).hostname | lower -}}
    {{- range $host := $.Values.ingress.hosts -}}
      {{- range include "compozy.paths" $host | fromYamlArray -}}
        {{- /* Webhooks are verified by their signature and accepted under every name. */ -}}
        {{- if not (or (eq $host.host $public) (hasPrefix "/api/v0/hooks" .path)) -}}
          {{- fail (printf "the server refuses requests for the host %s of ingress.hosts, because server.publicUrl is %s: change one of them, or expose only /api/v0/hooks under this host" $host.host $.Values.server.publicUrl) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.server.autoscaling.enabled (not (dig "requests" "cpu" "" .Values.server.resources)) -}}
  {{- fail "server.autoscaling needs server.resources.requests.cpu, because it compares the processor time with it" -}}
{{- end -}}
{{- end -}}

{{- define "compozy.hasProject" -}}
{{- if or .Values.project.files .Values.project.existingConfigMap -}}true{{- end -}}
{{- end -}}

{{- /* Keys of a ConfigMap contain no slash; the items of the volume restore the paths. */ -}}
{{- define "compozy.projectKey" -}}
{{ . | replace "/" "_-_" }}
{{- end -}}

{{- define "compozy.env" -}}
- { name: HOME, value: /data }
- { name: SERVER_HOST, value: "0.0.0.0" }
- { name: SERVER_PORT, value: "8080" }
- { name: DB_DRIVER, value: {{ .Values.database.driver }} }
{{- if eq .Values.database.driver "sqlite" }}
- { name: DB_PATH, value: /data/compozy.db }
{{- else }}
- { name: DB_HOST, value: {{ .Values.database.host | quote }} }
- { name: DB_PORT, value: {{ .Values.database.port | quote }} }
- { name: DB_NAME, value: {{ .Values.database.name | quote }} }
- { name: DB_USER, value: {{ .Values.database.user | quote }} }
- { name: DB_SSLMODE, value: {{ .Values.database.sslmode }} }
{{- if and .Values.database.sslrootcert (hasPrefix "verify-" .Values.database.sslmode) }}
- { name: DB_SSLROOTCERT, value: {{ .Values.database.sslrootcert | quote }} }
{{- end }}
- { name: DB_MAX_OPEN_CONNS, value: {{ .Values.database.maxOpenConns | quote }} }
{{- if .Values.migration.enabled }}
- { name: DB_AUTO_MIGRATE, value: "false" }
{{- end }}
{{- with .Values.database.existingSecret }}
- name: DB_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ . }}, key: {{ $.Values.database.passwordKey }} }
{{- end }}
{{- end }}
{{- with .Values.apiKey.existingSecret }}
- name: SERVER_API_KEY
  valueFrom:
    secretKeyRef: { name: {{ . }}, key: {{ $.Values.apiKey.key }} }
{{- end }}
{{- with .Values.server.publicUrl }}
- { name: SERVER_PUBLIC_URL, value: {{ . | quote }} }
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* A container: root, name, args, resources, and the rest as lines of YAML. */ -}}
{{- define "compozy.container" -}}
name: {{ .name }}
image: {{ include "compozy.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
workingDir: {{ .root.Values.project.folder }}
args: {{ concat (list "--log-format" "json" "--log-level" .root.Values.logLevel) .args | toJson }}
env:
  {{- include "compozy.env" .root | nindent 2 }}
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
volumeMounts:
  - { name: data, mountPath: /data }
  - { name: tmp, mountPath: /tmp }
  {{- if include "compozy.hasProject" .root }}
  - { name: project, mountPath: {{ .root.Values.project.folder }}, readOnly: true }
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "compozy.probes" -}}
ports:
  - { name: http, containerPort: 8080 }
# The database is migrated and opened first.
startupProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- /* The parts of a pod that servers, workers and the migration share. `configMap` is that of project.files. */ -}}
{{- define "compozy.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
volumes:
  {{- if eq .root.Values.database.driver "sqlite" }}
  - name: data
    persistentVolumeClaim:
      claimName: {{ default (include "compozy.fullname" .root) .root.Values.database.persistence.existingClaim }}
  {{- else }}
  - { name: data, emptyDir: {} }
  {{- end }}
  - { name: tmp, emptyDir: {} }
  {{- with .root.Values.project.existingConfigMap }}
  - name: project
    configMap:
      name: {{ . }}
      items:
        {{- toYaml $.root.Values.project.items | nindent 8 }}
  {{- end }}
  {{- with .root.Values.project.files }}
  - name: project
    configMap:
      name: {{ $.configMap }}
      items:
        {{- range $path, $_ := . }}
        - { key: {{ include "compozy.projectKey" $path | quote }}, path: {{ $path | quote }} }
        {{- end }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "compozy.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml . | nindent 4 }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "compozy.selector" $ | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "compozy.podMetadata" -}}
labels:
  {{- include "compozy.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .root.Values.project.files .values.podAnnotations }}
annotations:
  {{- with .root.Values.project.files }}
  # Changed files replace the pods, because a process reads them when it starts.
  checksum/project: {{ toJson . | sha256sum }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "compozy.files" -}}
{{- range $path, $content := .Values.project.files }}
{{ include "compozy.projectKey" $path }}: {{ $content | quote }}
{{- end }}
{{- end -}}

{{- define "compozy.endpoint" -}}
port: http
path: {{ .Values.serviceMonitor.path }}
interval: {{ .Values.serviceMonitor.interval }}
{{- with .Values.apiKey.existingSecret }}
authorization:
  credentials: { name: {{ . }}, key: {{ $.Values.apiKey.key }} }
{{- end }}
{{- end -}}

{{- /* The paths of a host of the ingress. */ -}}
{{- define "compozy.paths" -}}
{{- toYaml (default (list (dict "path" "/")) .paths) -}}
{{- end -}}

{{- /* The URLs of the ingress, one on each line. TLS may end in front of the ingress: then publicUrl says so. */ -}}
{{- define "compozy.urls" -}}
{{- range $host := .Values.ingress.hosts }}
{{- $scheme := ternary "https" "http" (eq $.Values.server.publicUrl (printf "https://%s" .host)) }}
{{- range $.Values.ingress.tls }}
{{- if has $host.host .hosts }}{{ $scheme = "https" }}{{ end }}
{{- end }}
{{- range include "compozy.paths" . | fromYamlArray }}
  {{ $scheme }}://{{ $host.host }}{{ .path | trimSuffix "/" }}
{{- end }}
{{- end }}
{{- end -}}
