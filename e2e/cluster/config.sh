# shellcheck shell=bash
# Configuration files from the templates in config/, and kubeconfigs.
# To be sourced.

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# render TEMPLATE: the template with each @NAME@ replaced by the variable NAME.
render() {
  local template_text placeholder
  template_text=$(<"$1")
  while [[ $template_text =~ @([a-z_]+)@ ]]; do
    placeholder=${BASH_REMATCH[1]}
    template_text=${template_text//"@$placeholder@"/"${!placeholder}"}
  done
  printf '%s\n' "$template_text"
}

random_password() { openssl rand -hex 16; }

# token_of USER: made when the token file is, looked up afterwards.
token_of() { awk -F, -v user="$1" '$2 == user {print $1}' "$state/tokens.csv"; }

# Every component has its own user, so that rights are as on any cluster and
# the audit log says who did what. The groups are the API server's built-in ones.
make_tokens() {
  [[ -s $state/tokens.csv ]] && return
  local line
  while read -r line; do
    printf '%s,%s\n' "$(random_password)" "$line"
  done >"$state/tokens.csv" <<END
admin,admin,system:masters
system:kube-controller-manager,kube-controller-manager
system:kube-scheduler,kube-scheduler
system:kube-proxy,kube-proxy
coredns,coredns,system:masters
system:node:$node_name,kubelet,system:nodes
END
  chmod 600 "$state/tokens.csv"
}

# make_kubeconfig FILE USER
make_kubeconfig() {
  local authority
  authority=$(base64 -w0 "$certificates/ca.crt")
  (umask 077 && cat >"$1") <<END
apiVersion: v1
kind: Config
current-context: proving-ground
clusters:
  - name: proving-ground
    cluster: {server: "https://$node_address:$api_port", certificate-authority-data: $authority}
users:
  - name: "$2"
    user: {token: $(token_of "$2")}
contexts:
  - name: proving-ground
    context: {cluster: proving-ground, user: "$2"}
END
}
