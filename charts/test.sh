#!/usr/bin/env bash
# Tests the charts.
#
#   charts/test.sh             what needs no cluster
#   charts/test.sh --cluster   besides, everything on the cluster that kubectl uses
#
# On the cluster it works under names, namespaces and an API group of its own,
# so that it neither needs nor disturbs an installed db-operator. Needs helm,
# jq, yq, and kubectl for --cluster.
set -euo pipefail

needed=(helm jq yq)
if [[ ${1:-} == --cluster ]]; then needed+=(kubectl); fi
for program in "${needed[@]}"; do
  if ! command -v "$program" >/dev/null; then
    printf 'error: charts/test.sh needs %s: run it by make check or make test, which bring it\n' "$program" >&2
    exit 1
  fi
done

charts="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
chart=$charts/db-operator
tenant=$charts/db-operator-tenant
default=$chart/ci/default.yaml
work=$(mktemp -d)
log=$work/log
passed=0 failed=0

# On the cluster.
group=chart-test-$$.example
release=chart-test-$$
tenant_namespace=$release-tenant

# check DESCRIPTION COMMAND…: the command's output is shown if it fails.
check() {
  local description=$1
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok    %s\n' "$description"
  else
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$description"
    sed 's/^/      /' "$log"
  fi
}

summary() {
  printf '%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

# render CHART [OPTION…]
render() { helm template db-operator "$1" --namespace db-operator "${@:2}"; }

# objects FILTER: from YAML documents to what the jq filter says of the list of objects.
objects() { yq --slurp --raw-output --sort-keys "map(select(. != null)) | $1"; }

# same EXPECTED ACTUAL
same() { diff --unified --label expected "$1" --label actual "$2"; }

# count CHART FILTER OPTION…: how many rendered objects meet the filter.
count() { render "$1" "${@:3}" | objects "map(select($2)) | length"; }
has_count() { [[ $(count "$2" "$3" "${@:4}") == "$1" ]]; }

# refused TEXT COMMAND…: the command must fail, and say that.
refused() {
  local text=$1
  shift
  if "$@" >"$work/refused" 2>&1; then
    printf 'accepted: %s\n' "$*"
    return 1
  fi
  grep --fixed-strings --quiet -- "$text" "$work/refused" || { cat "$work/refused"; return 1; }
}

test_lint() {
  local values
  check "lint db-operator without values" helm lint --strict "$chart"
  for values in "$chart"/ci/*.yaml; do
    check "lint db-operator with ${values##*/}" helm lint --strict "$chart" --values "$values"
    check "render db-operator with ${values##*/}" render "$chart" --values "$values"
  done
  check "lint db-operator-tenant" helm lint --strict "$tenant"
  check "render db-operator-tenant" render "$tenant"
  check "package both" helm package "$chart" "$tenant" --destination "$work"
  check "both have the same rules for drivers" \
    same "$tenant/templates/_driver.tpl" "$chart/templates/_driver.tpl"
  check "charts and crates have one version" one_version
}

one_version() {
  local version file
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$charts/../Cargo.toml" | head -n1)
  for file in "$chart" "$chart/charts/crds" "$tenant"; do
    if [[ $(grep --count --extended-regexp "^(version|appVersion): $version$" "$file/Chart.yaml") != 2 ]]; then
      printf '%s/Chart.yaml is not at %s\n' "$file" "$version"
      return 1
    fi
  done
}

# One line a bad value: chart, what the refusal names, the options.
test_schema() {
  local where text options
  while IFS='|' read -r where text options; do
    # shellcheck disable=SC2086 # several options
    check "refused: $options" refused "$text" render "$charts/$where" --set clusterId=test $options
  done <<'END'
db-operator|'replica' not allowed|--set replica=2
db-operator|/replicas|--set replicas=two
db-operator|/replicas|--set replicas=-1
db-operator|'tagg' not allowed|--set image.tagg=1
db-operator|/image/pullPolicy|--set image.pullPolicy=Sometimes
db-operator|/image/digest|--set image.digest=sha256:abc
db-operator|/image/repository|--set image.repository=example.com/image:tag
db-operator|/logFormat|--set logFormat=xml
db-operator|/maxJobs|--set maxJobs=0
db-operator|/resyncInterval|--set resyncInterval=daily
db-operator|/clusterId|--set clusterId=a/b
db-operator|missing property 'image'|--set allowedDrivers[0].command={/x}
db-operator|/allowedDrivers/0/env/0|--set allowedDrivers[0].image=x,allowedDrivers[0].env={DB_OPERATOR_UID}
db-operator|'images' not allowed|--set allowedDrivers[0].images=x
db-operator-tenant|/operator/name|--set operator.name=A_B
db-operator|/tenantNamespaces|--set tenantNamespaces={a,a}
db-operator|/tenantNamespaces/0|--set tenantNamespaces={Team_A}
db-operator|'Oracle_DB' not allowed|--set drivers.Oracle_DB.image.repository=x
db-operator|missing property 'image'|--set drivers.oracle.enabled=true
db-operator|/drivers/postgresql/activeDeadlineSeconds|--set drivers.postgresql.activeDeadlineSeconds=5
db-operator|'hostNetwork' not allowed|--set drivers.postgresql.podTemplate.hostNetwork=true
db-operator|/drivers/postgresql/podTemplate/env/DB_OPERATOR_UID|--set drivers.postgresql.podTemplate.env.DB_OPERATOR_UID=x
db-operator|/networkPolicy/apiServerPorts/0|--set networkPolicy.apiServerPorts={0}
db-operator|'keep' not allowed|--set crds.keep=false
db-operator|/commonLabels/app.kubernetes.io~1name|--set commonLabels.app\.kubernetes\.io/name=x
db-operator-tenant|'name' not allowed|--set serviceAccount.name=x
END
  check "refused: a ServiceMonitor without its kind" \
    refused "no kind ServiceMonitor" render "$chart" --values "$default" --set metrics.serviceMonitor.enabled=true
}

# Every rule and binding, one line each.
# shellcheck disable=SC2016 # jq's variables
rights() {
  objects '
    map(
      (.kind + " " + ([.metadata.namespace, .metadata.name] | map(select(.)) | join("/"))) as $name
      | if .rules then
          .rules[] | "\($name): \(.verbs | join(",")) \(.resources | join(",")) in \(.apiGroups | join(","))"
            + (if .resourceNames then " named " + (.resourceNames | join(",")) else "" end)
        elif .roleRef then
          "\($name): \(.roleRef.kind) \(.roleRef.name) to "
            + (.subjects | map("\(.kind) \(.namespace)/\(.name)") | join(", "))
        else empty end)
    | sort | .[]'
}

expected_rights() {
  cat <<'END'
ClusterRole db-operator-bind: bind clusterroles in rbac.authorization.k8s.io named db-operator-jobs,db-operator-driver
ClusterRole db-operator-driver: get restores in db.isotoma.com
ClusterRole db-operator-driver: get,create,patch backups in db.isotoma.com
ClusterRole db-operator-driver: get,create,patch secrets in 
ClusterRole db-operator-driver: get,patch databases in db.isotoma.com
ClusterRole db-operator-driver: patch databases/status,backups/status,restores/status in db.isotoma.com
ClusterRole db-operator-jobs: create jobs in batch
ClusterRole db-operator-edit: create,update,patch,delete,deletecollection databases,backups,restores in db.isotoma.com
ClusterRole db-operator-release: get,patch databases,backups in db.isotoma.com
ClusterRole db-operator-servicebinding: get,list,watch databases in db.isotoma.com
ClusterRole db-operator-view: get,list,watch databases,backups,restores,drivers in db.isotoma.com
ClusterRole db-operator: get,list,watch jobs in batch
ClusterRole db-operator: get,list,watch namespaces in 
ClusterRole db-operator: create,patch events in events.k8s.io
ClusterRole db-operator: get,list,watch databases,backups,restores,drivers in db.isotoma.com
ClusterRoleBinding db-operator-release: ClusterRole db-operator-release to ServiceAccount db-operator/db-operator-release
ClusterRoleBinding db-operator: ClusterRole db-operator to ServiceAccount db-operator/db-operator
Role db-operator/db-operator: create leases in coordination.k8s.io
Role db-operator/db-operator: get,list,patch,watch leases in coordination.k8s.io named db-operator
RoleBinding db-operator/db-operator-release-jobs: ClusterRole db-operator-jobs to ServiceAccount db-operator/db-operator
RoleBinding db-operator/db-operator: Role db-operator to ServiceAccount db-operator/db-operator
END
  expected_tenant_rights orders
}

expected_tenant_rights() {
  cat <<END
RoleBinding $1/db-operator-tenant-driver: ClusterRole db-operator-driver to ServiceAccount $1/db-operator-driver
RoleBinding $1/db-operator-tenant-jobs: ClusterRole db-operator-jobs to ServiceAccount db-operator/db-operator
END
}

rights_are() { same <("$1" "${@:3}" | LC_ALL=C sort) <(render "$2" "${rights_of[@]}" | rights | LC_ALL=C sort); }

# notes RELEASE NAMESPACE [OPTION…]: what a first installation prints.
notes() { helm install "$1" "$chart" --namespace "$2" --dry-run=client "${@:3}" | sed '1,/^NOTES:$/d'; }
# notes_say TEXT RELEASE NAMESPACE [OPTION…]
notes_say() { grep --fixed-strings --line-regexp -- "$1" <(notes "${@:2}"); }

# The command that the notes print, run as it stands, has to bind what that release has brought.
command_binds() {
  local release=$1 namespace=$2 command
  command=$(notes "$1" "$2" | sed -n 's|^ *helm upgrade --install \(db-operator-tenant\) charts/db-operator-tenant |\1 |p')
  read -ra command <<<"$command"
  same <(printf '%s\n' "$3-driver" "$3-jobs" "$namespace/$3") \
    <(helm template "${command[0]}" "$tenant" "${command[@]:1}" | objects '
      map(select(.roleRef)) | (map(.roleRef.name) + (map(.subjects[] | select(.name != "db-operator-driver") | "\(.namespace)/\(.name)"))) | sort_by(contains("/"), .) | .[]')
}

# The operator is told the name that its ClusterRoles begin with.
knows_its_name() {
  same <(echo "--name=$2") <(helm template "$1" "$chart" "${@:3}" | objects '
    map(select(.kind == "Deployment") | .spec.template.spec.containers[].args[] | select(startswith("--name="))) | .[]')
}

# The hook is only rendered where Helm talks to a cluster: here it is made to believe so.
upgrade_hooks() {
  local copy=$work/upgrade
  rm -rf "$copy" && cp -r "$chart" "$copy"
  sed -i 's/ (lookup "v1" "Namespace" "" "kube-system") }}/ true }}/' "$copy/charts/crds/templates/upgrade.yaml"
  has_count 4 "$copy" '.kind == "CustomResourceDefinition" and .metadata.annotations["helm.sh/hook"] == "pre-upgrade"
    and .metadata.annotations["helm.sh/resource-policy"] == "keep" and .metadata.annotations["example.com/team"] == "dbs"' \
    --is-upgrade --set 'crds.annotations.example\.com/team=dbs'
}

# shellcheck disable=SC2016 # jq's variables
test_rendering() {
  local rights_of=(--values "$default" --set 'tenantNamespaces={orders}')
  check "db-operator grants exactly what it should" rights_are expected_rights "$chart"
  rights_of=()
  check "db-operator-tenant grants exactly what it should" rights_are expected_tenant_rights "$tenant" db-operator

  local everything=$chart/ci/everything.yaml replicas=$chart/ci/replicas.yaml small=$chart/ci/small.yaml
  check "every pod is restricted" has_count 2 "$chart" '
    (.spec.template.spec // .spec) as $pod
    | $pod.containers and $pod.securityContext.runAsNonRoot
      and $pod.securityContext.seccompProfile.type == "RuntimeDefault"
      and ($pod.containers | all(.securityContext
        | .readOnlyRootFilesystem and (.allowPrivilegeEscalation | not) and .capabilities.drop == ["ALL"]))' \
    --values "$default"
  check "every pod has requests and a memory limit" has_count 2 "$chart" \
    '(.spec.template.spec // .spec).containers // [] | map(.resources | .requests and .limits.memory) | . == [true]' \
    --values "$default"
  check "a digest takes the place of the tag" has_count 2 "$chart" \
    '(.spec.template.spec // .spec).containers // [] | any(.image | test("db-operator@sha256:[0-9a-f]{64}$"))' \
    --values "$everything"
  check "a disruption budget with two replicas" has_count 1 "$chart" '.kind == "PodDisruptionBudget"' --values "$replicas"
  check "no disruption budget with one" has_count 0 "$chart" '.kind == "PodDisruptionBudget"' --values "$default"
  check "a network policy when asked for" has_count 1 "$chart" '.kind == "NetworkPolicy"' --values "$everything"
  check "a ServiceMonitor where there is such a kind" has_count 1 "$chart" '.kind == "ServiceMonitor"' \
    --values "$default" --set metrics.serviceMonitor.enabled=true --api-versions monitoring.coreos.com/v1
  check "a Driver for each that is enabled" has_count 2 "$chart" '.kind == "Driver"' --values "$everything"
  check "no Driver that is set to null" has_count 0 "$chart" '.kind == "Driver"' --values "$small"
  check "four CRDs with --include-crds" has_count 4 "$chart" '.kind == "CustomResourceDefinition"' \
    --values "$default" --include-crds
  check "no CRD with crds.install=false" has_count 0 "$chart" '.kind == "CustomResourceDefinition"' \
    --values "$small" --include-crds
  check "each CRD says to Helm and Argo CD that it is kept" has_count 4 "$chart" '
    .kind == "CustomResourceDefinition" and .metadata.annotations["helm.sh/resource-policy"] == "keep"
      and .metadata.annotations["argocd.argoproj.io/sync-options"] == "Prune=false"' --values "$default" --include-crds
  check "two admission policies, each bound" has_count 4 "$chart" '.kind | startswith("ValidatingAdmissionPolicy")'
  check "no admission policy when there is to be none" has_count 0 "$chart" '.kind | startswith("ValidatingAdmissionPolicy")' \
    --set admissionPolicies.enabled=false
  check "no cluster is asked who it is" has_count 0 "$chart" \
    '.spec.template.spec.containers // [] | any(.env | any(.name == "CLUSTER_ID"))'
  check "the user is left to image and platform" has_count 0 "$chart" \
    '(.spec.template.spec // .spec).securityContext // {} | has("runAsUser") or has("runAsGroup")'
  check "with clusterId the policy refuses another" has_count 1 "$chart" \
    '[.spec.validations[]?.expression | contains("DB_OPERATOR_CLUSTER_ID") and contains("one-of-ours")] | any' \
    --set clusterId=one-of-ours
  check "our kinds and the tenant chart are added to the roles of people" has_count 3 "$chart" \
    '.metadata.labels // {} | keys | any(startswith("rbac.authorization.k8s.io/aggregate-to-"))'
  check "nothing is added to them with aggregateRoles=false" has_count 0 "$chart" \
    '.metadata.labels // {} | keys | any(startswith("rbac.authorization.k8s.io/aggregate-to-"))' --set aggregateRoles=false
  check "but what can be bound by hand is there" has_count 1 "$chart" \
    '.kind == "ClusterRole" and .metadata.name == "db-operator-bind"' --set aggregateRoles=false
  check "the command for one more namespace is for this release" command_binds db-operator db-operator db-operator
  check "and for one of another name and namespace" command_binds dbs platform dbs-db-operator
  check "the operator knows its name" knows_its_name dbs dbs-db-operator
  check "and the one that it was given" knows_its_name dbs databases --set fullnameOverride=databases
  check "an upgrade gives the CRDs their further annotations" upgrade_hooks
  check "whoever installs with such is told so" notes_say "  helm --namespace dbs upgrade dbs CHART --reuse-values" \
    dbs dbs --set crds.annotations.team=dbs
  # Argo CD would delete a CRD that is a hook, and with it every Database.
  check "a CRD is no hook where Helm only renders" has_count 0 "$chart" '.kind == "CustomResourceDefinition"' \
    --values "$default" --is-upgrade
}

# cluster_copy: the charts under the test's own API group.
cluster_copy() {
  local file
  cp -r "$chart" "$tenant" "$work"
  rm -rf "$work/db-operator/files"
  for file in "$work"/db-operator/charts/crds/crds/*.yaml; do
    yq --yaml-output 'del(.spec.names.shortNames, .spec.names.categories)' "$file" |
      sed "s/db\.isotoma\.com/$group/g" >"${file%.db.isotoma.com.yaml}.$group.yaml"
    rm "$file"
  done
  grep --recursive --files-with-matches 'db\.isotoma\.com' "$work" --include='*.yaml' --include='*.tpl' --include=NOTES.txt |
    xargs sed -i "s/db\.isotoma\.com/$group/g"
}

clean_up() {
  local kind
  if [[ -n ${on_cluster:-} ]]; then
    helm uninstall "$release" --namespace "$release" --ignore-not-found >/dev/null 2>&1 || true
    for kind in databases backups restores drivers; do
      kubectl delete crd "$kind.$group" --ignore-not-found >/dev/null || true
    done
    kubectl delete namespace "$release" "$tenant_namespace" --ignore-not-found --wait=false >/dev/null || true
  fi
  rm -rf "$work"
}

# on_release install|upgrade [OPTION…]
on_release() {
  helm "$1" "$release" "$work/db-operator" --namespace "$release" --set fullnameOverride="$release" \
    --set image.repository=registry.invalid/none "${@:2}"
}

# can SERVICE_ACCOUNT NAMESPACE: what it may do there, less what every account may.
can() {
  comm -23 <(can_list "$1" "$2") <(can_list "$release:nobody" "$2")
}
can_list() {
  kubectl auth can-i --list --no-headers --namespace "$2" --as "system:serviceaccount:$1" \
    --as-group system:serviceaccounts --as-group "system:serviceaccounts:${1%%:*}" --as-group system:authenticated |
    tr -s ' ' | sort
}
can_exactly() { same <(sort) <(can "$1" "$2"); }

# The server's own validation of every object; a warning is a failure too.
accepted_by_server() {
  local output
  output=$(render "$work/db-operator" "$@" --namespace "$release" --set "tenantNamespaces={$tenant_namespace}" |
    kubectl apply --dry-run=server --validate=strict --filename - 2>&1) || { printf '%s\n' "$output"; return 1; }
  if grep '^Warning' <<<"$output" | grep --invert-match 'last-applied-configuration'; then return 1; fi
}

driver_images() { kubectl get "drivers.$group" --output jsonpath='{.items[*].spec.image}'; }
crd_uids() { kubectl get crd {databases,backups,restores,drivers}".$group" --output jsonpath='{.items[*].metadata.uid}'; }

# A later version of the chart: the Driver kind has one field more, and our Driver uses it.
add_a_field() {
  local crd=$work/db-operator/charts/crds/crds/drivers.$group.yaml
  yq --yaml-output '.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.later = {type: "string"}' \
    "$crd" >"$crd.new"
  mv "$crd.new" "$crd"
  sed -i 's/^spec:$/spec:\n  later: "yes"/' "$work/db-operator/templates/drivers.yaml"
}

field_is_there() { [[ $(kubectl get driver."$group" postgresql --output jsonpath='{.spec.later}') == yes ]]; }

apply_a_database() {
  kubectl apply --namespace "$tenant_namespace" --filename - <<END
apiVersion: $group/v1alpha1
kind: Database
metadata: {name: precious}
spec:
  driver: postgresql
  connect: {host: db.example.com}
  credentials: {username: {value: admin}, password: {value: secret}}
END
}

pods_are_admitted() {
  kubectl wait --namespace "$release" --for=create pod --selector app.kubernetes.io/component=operator --timeout=20s
}

test_cluster() {
  local uids values
  on_cluster=yes
  cluster_copy
  kubectl create namespace "$release"
  kubectl create namespace "$tenant_namespace"
  kubectl label namespace "$release" pod-security.kubernetes.io/{enforce,warn}=restricted

  check "the API server accepts the CRDs" kubectl apply --server-side --force-conflicts --dry-run=server \
    --filename "$chart/charts/crds/crds"
  check "refused: a tenant namespace that does not exist" refused "kubectl create namespace $release-no" \
    on_release install --set "tenantNamespaces={$release-no}"
  check "first install, with CRDs and Drivers at once" on_release install
  for values in "$chart"/ci/*.yaml; do
    check "the API server accepts all objects with ${values##*/}" accepted_by_server --values "$values"
  done
  check "Pod Security restricted admits the operator" pods_are_admitted

  check "upgrade: a tenant namespace" on_release upgrade --set "tenantNamespaces={$tenant_namespace}"
  check "the operator may do this in a tenant's namespace, and no more" \
    can_exactly "$release:$release" "$tenant_namespace" <<END
backups.$group [] [] [get list watch]
databases.$group [] [] [get list watch]
drivers.$group [] [] [get list watch]
events.events.k8s.io [] [] [create patch]
jobs.batch [] [] [get list watch create]
namespaces [] [] [get list watch]
restores.$group [] [] [get list watch]
END
  check "the operator may create no Job elsewhere" can_exactly "$release:$release" kube-system <<END
backups.$group [] [] [get list watch]
databases.$group [] [] [get list watch]
drivers.$group [] [] [get list watch]
events.events.k8s.io [] [] [create patch]
jobs.batch [] [] [get list watch]
namespaces [] [] [get list watch]
restores.$group [] [] [get list watch]
END
  check "the operator may do this in its own, and no more" can_exactly "$release:$release" "$release" <<END
backups.$group [] [] [get list watch]
databases.$group [] [] [get list watch]
drivers.$group [] [] [get list watch]
events.events.k8s.io [] [] [create patch]
jobs.batch [] [] [get list watch create]
leases.coordination.k8s.io [] [] [create]
leases.coordination.k8s.io [] [db-operator] [get list patch watch]
namespaces [] [] [get list watch]
restores.$group [] [] [get list watch]
END
  check "a driver may do this in its namespace, and no more" \
    can_exactly "$tenant_namespace:db-operator-driver" "$tenant_namespace" <<END
backups.$group [] [] [get create patch]
backups.$group/status [] [] [patch]
databases.$group [] [] [get patch]
databases.$group/status [] [] [patch]
restores.$group [] [] [get]
restores.$group/status [] [] [patch]
secrets [] [] [get create patch]
END
  check "a driver may do nothing elsewhere" can_exactly "$tenant_namespace:db-operator-driver" "$release" </dev/null
  check "the release run may do this, and no more" \
    can_exactly "$release:db-operator-release" "$tenant_namespace" <<END
backups.$group [] [] [get patch]
databases.$group [] [] [get patch]
END

  apply_a_database
  uids=$(crd_uids)
  add_a_field
  check "upgrade: a new field and a Driver that uses it" on_release upgrade
  check "the Driver has the new field" field_is_there
  check "rollback" helm rollback "$release" 1 --namespace "$release"
  check "upgrade again" on_release upgrade
  check "uninstall" helm uninstall "$release" --namespace "$release"
  check "no Driver is left" test -z "$(driver_images)"
  check "the Database and the CRDs are as they were" test "$uids" == "$(crd_uids)" -a \
    -n "$(kubectl get --namespace "$tenant_namespace" "databases.$group" --output name)"
  check "install again, over the CRDs that stayed" on_release install
  kubectl create rolebinding chart-test --clusterrole=admin --user="$release-admin" --namespace "$tenant_namespace"
  # The controller-manager puts the rights of an admin together, after the install.
  check "an admin of a namespace may bind the driver's rights" kubectl wait clusterrole/admin --timeout=60s \
    --for="jsonpath={.rules[?(@.resourceNames[0]==\"$release-jobs\")].verbs[0]}=bind"
  check "db-operator-tenant, by an admin of the namespace" helm install db-operator-tenant "$work/db-operator-tenant" \
    --namespace "$tenant_namespace" --kube-as-user "$release-admin" --kube-as-group system:authenticated \
    --set operator.name="$release" --set operator.namespace="$release"
  check "the operator may create Jobs there" kubectl auth can-i create jobs.batch --namespace "$tenant_namespace" \
    --as "system:serviceaccount:$release:$release"
}

trap clean_up EXIT
test_lint
test_schema
test_rendering
if [[ ${1:-} == --cluster ]]; then test_cluster; fi
summary
