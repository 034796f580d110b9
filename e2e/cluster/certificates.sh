# shellcheck shell=bash
# One certificate authority per cluster; server certificates from it.
# To be sourced.

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

openssl_quiet() {
  local output
  output=$(openssl "$@" 2>&1) || { fail "openssl $1: $output"; return 1; }
}

new_key() { openssl_quiet genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

make_authority() {
  mkdir -p "$certificates"
  [[ -s $certificates/ca.crt ]] && return
  new_key "$certificates/ca.key"
  openssl_quiet req -x509 -new -key "$certificates/ca.key" -days 365 -subj "/CN=proving ground CA" \
    -addext keyUsage=critical,keyCertSign,cRLSign -out "$certificates/ca.crt"
}

# make_certificate NAME SUBJECT NAMES: NAMES as in subjectAltName, may be empty.
make_certificate() {
  local file="$certificates/$1" subject=$2 names=$3
  [[ -s $file.crt ]] && return
  new_key "$file.key"
  openssl_quiet req -new -key "$file.key" -subj "$subject" -out "$file.csr"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    if [[ -n $names ]]; then echo "subjectAltName=$names"; fi
  } >"$file.extensions"
  openssl_quiet x509 -req -in "$file.csr" -CA "$certificates/ca.crt" -CAkey "$certificates/ca.key" \
    -CAcreateserial -days 365 -extfile "$file.extensions" -out "$file.crt.new"
  mv "$file.crt.new" "$file.crt"
  rm "$file.csr" "$file.extensions"
}

make_cluster_certificates() {
  make_authority
  make_certificate apiserver "/CN=kube-apiserver" \
    "IP:$node_address,IP:$kubernetes_service_address,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  make_certificate apiserver-to-kubelet "/O=system:masters/CN=kube-apiserver-kubelet-client" ""
  # Service account tokens are signed with the one, checked with the other.
  [[ -s $certificates/service-accounts.pub ]] && return
  new_key "$certificates/service-accounts.key"
  openssl_quiet pkey -in "$certificates/service-accounts.key" -pubout -out "$certificates/service-accounts.pub"
}
