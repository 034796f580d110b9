{{/*
What a tenant's namespace needs: the service account under which drivers run there,
its rights on the objects of that namespace, and the operator's right to create Jobs
there. Takes namespace, labels (text), annotations (a map) of the service account,
and operator (name and namespace: of the operator's account, and the name's prefix
of the ClusterRoles that chart db-operator brings).

The bindings have other names than those of earlier charts, which bound Roles: what
a binding binds cannot be changed.

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
kind: RoleBinding
metadata:
  name: db-operator-tenant-driver
  namespace: {{ .namespace }}
  labels:
    {{- .labels | nindent 4 }}
    app.kubernetes.io/component: driver
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .operator.name }}-driver
subjects:
  - kind: ServiceAccount
    name: db-operator-driver
    namespace: {{ .namespace }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: db-operator-tenant-jobs
  namespace: {{ .namespace }}
  labels:
    {{- .labels | nindent 4 }}
    app.kubernetes.io/component: operator
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .operator.name }}-jobs
subjects:
  - kind: ServiceAccount
    name: {{ .operator.name }}
    namespace: {{ .operator.namespace }}
{{- end -}}
