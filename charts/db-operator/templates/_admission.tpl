{{/*
What each allowed driver may be, as a CEL list: the drivers of the value `drivers`,
whose images are known exactly, and those of the value `allowedDrivers`. CEL wants all
values of a map to have one type, so each is a list.
*/}}
{{- define "db-operator.allowedDrivers" -}}
{{- $allowed := list -}}
{{- range $name, $driver := .Values.drivers -}}
{{- if and $driver (ne $driver.enabled false) -}}
{{- $images := list (include "db-operator.image" (list $driver.image $.Chart.AppVersion)) -}}
{{- with $driver.backupImage -}}
{{- $images = append $images (include "db-operator.image" (list . $.Chart.AppVersion)) -}}
{{- end -}}
{{- $template := $driver.podTemplate | default dict -}}
{{- $env := list -}}
{{- range $variable, $text := $template.env -}}
{{- $env = append $env (printf "%s=%s" $variable $text) -}}
{{- end -}}
{{- $allowed = append $allowed (dict
  "images" $images
  "repositories" list
  "command" ($driver.command | default list)
  "args" ($driver.args | default list)
  "accounts" (list ($driver.serviceAccountName | default "db-operator-driver"))
  "env" $env
  "labels" (keys ($template.labels | default dict) | sortAlpha)
  "annotations" (keys ($template.annotations | default dict) | sortAlpha)
  "priorityClassNames" (list $template.priorityClassName | compact))
-}}
{{- end -}}
{{- end -}}
{{- range .Values.allowedDrivers -}}
{{- /* With a tag or a digest it is one image, else all of that repository, or of that folder. */ -}}
{{- $exact := regexMatch "[:@][^/]*$" .image -}}
{{- $allowed = append $allowed (dict
  "images" (ternary (list .image) list $exact)
  "repositories" (ternary list (list .image) $exact)
  "command" (.command | default list)
  "args" (.args | default list)
  "accounts" (list (.serviceAccountName | default "db-operator-driver"))
  "env" (.env | default list)
  "labels" (.labels | default list)
  "annotations" (.annotations | default list)
  "priorityClassNames" (list .priorityClassName | compact))
-}}
{{- end -}}
{{- toJson $allowed -}}
{{- end -}}
