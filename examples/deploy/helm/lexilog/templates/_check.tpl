{{/* Refuses what could not run, or would be open to anybody. */}}
{{- define "lexilog.check" -}}
{{- $values := .Values }}
{{- if not $values.image.repository }}
{{- fail "image.repository: no image is published; build one from the Containerfile, and say where it is" }}
{{- end }}
{{- $open := list }}
{{- range $name, $door := $values.doors }}
{{- if $door.enabled }}
{{- $open = append $open $name }}
{{- $secret := eq $name "forward" | ternary (dig "sharedKey" "secretName" "" $door) $values.tokens.secretName }}
{{- if not (or $values.tls.secretName $secret $values.allowUnprotected) }}
{{- $key := eq $name "forward" | ternary "doors.forward.sharedKey.secretName" "tokens.secretName" }}
{{- fail (printf "doors.%s: whoever reaches the pods could send: give tls.secretName, %s, or in as many words allowUnprotected: true" $name $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if not $open }}
{{- fail "doors: none is enabled: set doors.grpc.enabled, doors.http.enabled or doors.forward.enabled" }}
{{- end }}
{{- if and $values.tls.clientCa.secretName (not $values.tls.secretName) }}
{{- fail "tls.clientCa.secretName: clients can show certificates over TLS alone: give tls.secretName" }}
{{- end }}
{{- if and (has "forward" $open) (not $values.settings.relays) }}
{{- fail "doors.forward: it has nowhere to hand records to: name a relay in settings.relays" }}
{{- end }}
{{- range $name, $relay := $values.settings.relays }}
{{- $refuses := has $relay.type (list "elasticsearch" "splunk_hec") }}
{{- $mute := and (has "forward" $open) (has $relay.type (list "otlp" "forward")) }}
{{- if and (or $refuses $mute) (ne (get $relay "required" | toString) "false") (eq $values.persistence.type "none") }}
{{- fail (printf "settings.relays.%s: it can refuse records for good, and these have to be kept: set persistence.type to volume (or to emptyDir, which is lost with the pod)" $name) }}
{{- end }}
{{- end }}
{{- if and $values.autoscaling.enabled (not (dig "requests" "cpu" "" $values.resources)) }}
{{- fail "autoscaling: it goes by CPU, as a part of resources.requests.cpu: give that" }}
{{- end }}
{{- if and $values.networkPolicy.enabled (not $values.networkPolicy.from) }}
{{- fail "networkPolicy.from: it names nobody, which Kubernetes takes for everybody: name who may reach the doors" }}
{{- end }}
{{- end }}
