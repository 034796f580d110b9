{{/*
The service account under which drivers run in a tenant's namespace, and its
rights: the objects of that namespace only. Takes namespace, labels (text) and
annotations (a map) of the service account.

The charts db-operator and db-operator-tenant each have a copy of this file, for
a chart has to be whole; charts/test.sh fails when they differ.
*/}}
{{- define "db-operator-tenant.driver" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: db-operator-driver
  namespace: {{ .namespace }}
  labels:
    {{- .labels | nindent 4 }}
    app.kubernetes.io/component: driver
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: db-operator-driver
  namespace: {{ .namespace }}
  labels:
    {{- .labels | nindent 4 }}
    app.kubernetes.io/component: driver
rules:
  # Patch is for the finalizer.
  - apiGroups: [db.isotoma.com]
    resources: [databases]
    verbs: [get, patch]
  # Create is for the record of a final backup, patch for the finalizer.
  - apiGroups: [db.isotoma.com]
    resources: [backups]
    verbs: [get, create, patch]
  - apiGroups: [db.isotoma.com]
    resources: [restores]
    verbs: [get]
  - apiGroups: [db.isotoma.com]
    resources: [databases/status, backups/status, restores/status]
    verbs: [patch]
  # The login's Secret has the Database's name, which no rule can know. No list:
  # a driver reads only what it knows the name of.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, create, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: db-operator-driver
  namespace: {{ .namespace }}
  labels:
    {{- .labels | nindent 4 }}
    app.kubernetes.io/component: driver
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: db-operator-driver
subjects:
  - kind: ServiceAccount
    name: db-operator-driver
    namespace: {{ .namespace }}
{{- end -}}
