{{- define "lexilog.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters: "-headless" and the number of a pod come behind. */}}
{{- define "lexilog.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "lexilog.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "lexilog.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "lexilog.selector" -}}
app.kubernetes.io/name: {{ include "lexilog.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lexilog.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "lexilog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lexilog.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "lexilog.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "lexilog.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "lexilog.kind" -}}
{{- if eq .Values.persistence.type "volume" }}StatefulSet{{ else }}Deployment{{ end }}
{{- end }}

{{/* The settings file, as YAML. */}}
{{- define "lexilog.settings" -}}
{{- $values := .Values }}
{{- $settings := deepCopy $values.settings }}
{{- $doors := dict }}
{{- range $name, $door := $values.doors }}
{{- if $door.enabled }}
{{- $one := deepCopy $door.settings }}
{{- $_ := set $one "listen" (printf "%s:%d" $values.listenAddress (int $door.port)) }}
{{- if $values.tls.secretName }}
{{- $tls := dict "cert_file" "/etc/lexilog/tls/tls.crt" "key_file" "/etc/lexilog/tls/tls.key" }}
{{- if $values.tls.clientCa.secretName }}
{{- $_ := set $tls "client_ca_file" (printf "/etc/lexilog/client-ca/%s" $values.tls.clientCa.key) }}
{{- end }}
{{- $_ := set $one "tls" $tls }}
{{- end }}
{{- if and $values.tokens.secretName (ne $name "forward") }}
{{- $_ := set $one "tokens_file" (printf "/etc/lexilog/tokens/%s" $values.tokens.key) }}
{{- end }}
{{- if and (eq $name "forward") $door.sharedKey.secretName }}
{{- $_ := set $one "shared_key" (printf "${file:/etc/lexilog/forward/%s}" $door.sharedKey.key) }}
{{- end }}
{{- if $values.allowUnprotected }}
{{- $_ := set $one "allow_unprotected" true }}
{{- end }}
{{- $_ := set $doors $name $one }}
{{- end }}
{{- end }}
{{- $_ := set $settings "doors" $doors }}
{{- $_ := set $settings "metrics" (dict "listen" (printf "%s:%d" $values.listenAddress (int $values.metrics.port))) }}
{{- if $values.catalogs.configMapName }}
{{- $_ := set $settings "catalogs" (list "/etc/lexilog/catalogs") }}
{{- end }}
{{- if ne $values.persistence.type "none" }}
{{- $letters := dict "path" "/var/lib/lexilog/dead" "max_bytes" $values.deadLetters.maxBytes }}
{{- $_ := set $settings "dead_letters" $letters }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* The Secrets that are mounted, as a YAML list: where under /etc/lexilog, and which. */}}
{{- define "lexilog.secrets" -}}
{{- $mounted := list }}
{{- with .Values.tls.secretName }}{{ $mounted = append $mounted (dict "name" "tls" "secretName" .) }}{{ end }}
{{- with .Values.tls.clientCa.secretName }}{{ $mounted = append $mounted (dict "name" "client-ca" "secretName" .) }}{{ end }}
{{- with .Values.tokens.secretName }}{{ $mounted = append $mounted (dict "name" "tokens" "secretName" .) }}{{ end }}
{{- if and .Values.doors.forward.enabled .Values.doors.forward.sharedKey.secretName }}
{{- $mounted = append $mounted (dict "name" "forward" "secretName" .Values.doors.forward.sharedKey.secretName) }}
{{- end }}
{{- toYaml $mounted }}
{{- end }}
