# shellcheck shell=bash
# Buckets of the proving ground's object store, and the access key to them. To be sourced after e2e/cluster/lib.sh, never
# run.

# make_bucket NAME: as the store's administrator, unless it is there.
make_bucket() {
  local login address status
  login=$(kubectl -n servers get secret s3-admin -o go-template='{{.data.username | base64decode}}:{{.data.password | base64decode}}')
  address=$(kubectl -n servers get service s3 -o jsonpath='{.spec.clusterIP}:{.spec.ports[0].port}')
  status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --config - \
    --aws-sigv4 aws:amz:eu-west-1:s3 --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    --request PUT "http://$address/$1" <<<"user = \"$login\"")
  [[ $status == 200 || $status == 409 ]] || fail "the object store answers $status to a new bucket"
}

# put_access_key NAMESPACE: the Secret `bucket` there, with the keys `id` and `key`.
put_access_key() {
  kubectl -n servers get secret s3-admin -o json |
    jq '{apiVersion, kind, metadata: {name: "bucket"}, data: {id: .data.username, key: .data.password}}' |
    kubectl -n "$1" apply -f - >/dev/null
}

# s3_target BUCKET: what `backupTo.s3` is for such a bucket, as YAML on one line.
s3_target() {
  printf '{region: eu-west-1, bucket: %s, prefix: backups/, endpoint: "http://s3.servers.svc.cluster.local:7070", ' "$1"
  printf 'credentials: {accessKeyId: {valueFrom: {secretKeyRef: {name: bucket, key: id}}}, '
  printf 'secretAccessKey: {valueFrom: {secretKeyRef: {name: bucket, key: key}}}}}'
}
