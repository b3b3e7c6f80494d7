#!/usr/bin/env bash
# Tidemark in a Kubernetes cluster on this machine, by kind or minikube. docs/local-cluster.md is the guide.
#
#   deploy/local-cluster.sh up [kind|minikube]   make the cluster, install everything, see it work
#   deploy/local-cluster.sh update               build the program again and roll it out
#   deploy/local-cluster.sh open                 lead http://localhost:3001 into the cluster, until Ctrl+C
#   deploy/local-cluster.sh status               show what runs
#   deploy/local-cluster.sh down                 remove the cluster and all its data
#
# Every step may be repeated: what is there already stays. CLUSTER names the cluster (tidemark), PORT the local
# port (3001), KUBERNETES_VERSION what minikube runs.
set -euo pipefail

cd "$(dirname "$0")/.."

readonly cluster=${CLUSTER:-tidemark}
readonly namespace=tidemark
readonly port=${PORT:-3001}
version=$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' charts/tidemark/Chart.yaml)
# The name that the chart asks for, so that nothing has to be told to it.
readonly image=ghcr.io/tidemark/tidemark:$version

# Versions that the charts were written for.
readonly dapr=1.18.1 strimzi=0.47.0 cloudnative_pg=0.26.0

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() {
    echo "local-cluster: $*" >&2
    exit 1
}
needs() {
    local program missing=()
    for program in "$@"; do command -v "$program" > /dev/null || missing+=("$program"); done
    ((${#missing[@]} == 0)) || fail "needs ${missing[*]}; docs/local-cluster.md says where from"
}

# Which of the two made the cluster; nothing when there is none.
maker() {
    if command -v kind > /dev/null && kind get clusters 2> /dev/null | grep -qx "$cluster"; then
        echo kind
    elif command -v minikube > /dev/null && minikube status --profile "$cluster" > /dev/null 2>&1; then
        echo minikube
    fi
}

# The context is named in every call: somebody's current context may be a real cluster. Set by use_cluster, and an
# error before that.
use_cluster() {
    case $(maker) in
    kind) context=kind-$cluster ;;
    minikube) context=$cluster ;;
    *) fail "there is no cluster '$cluster'; make it with: $0 up" ;;
    esac
}
in_cluster() { kubectl --context "${context:?}" "$@"; }
install_chart() { helm --kube-context "${context:?}" upgrade --install --wait --timeout 10m "$@"; }

make_cluster() {
    case $1 in
    kind)
        needs kind
        kind create cluster --name "$cluster" --wait 3m
        ;;
    minikube)
        needs minikube
        # Its default network does not enforce NetworkPolicies. Calico judges by the port at which the API server
        # really listens, and the charts let their pods reach it at 6443, not at minikube's own 8443.
        minikube start --profile "$cluster" --cni calico --apiserver-port 6443 --cpus 4 --memory 8g \
            --kubernetes-version "${KUBERNETES_VERSION:-v1.34.4}"
        ;;
    *) fail "kind or minikube, not '$1'" ;;
    esac
}

load_image() {
    say "Building $image"
    docker build --tag "$image" .
    case $(maker) in
    kind) kind load docker-image "$image" --name "$cluster" ;;
    minikube) minikube image load "$image" --profile "$cluster" --overwrite ;;
    esac
}

install_operators() {
    say "Installing Dapr $dapr, Strimzi $strimzi, CloudNativePG (chart $cloudnative_pg)"
    install_chart dapr dapr --repo https://dapr.github.io/helm-charts/ --version "$dapr" \
        --namespace dapr-system --create-namespace --set dapr_sidecar_injector.sidecarDropALLCapabilities=true
    install_chart strimzi oci://quay.io/strimzi-helm/strimzi-kafka-operator --version "$strimzi" \
        --namespace strimzi --create-namespace --set watchAnyNamespace=true
    install_chart cnpg cloudnative-pg --repo https://cloudnative-pg.github.io/charts --version "$cloudnative_pg" \
        --namespace cnpg-system --create-namespace
}

install_stores() {
    say "Installing Redis, Kafka and the history's database"
    local chart
    for chart in redis kafka database; do
        install_chart "$chart" "charts/$chart" --values "charts/$chart/values-dev.yaml" \
            --namespace "$namespace" --create-namespace
    done
    # Helm waits for what it made itself; what the operators make of it takes longer.
    in_cluster --namespace "$namespace" wait kafka/kafka --for=condition=Ready --timeout=10m
    in_cluster --namespace "$namespace" wait clusters.postgresql.cnpg.io/history --for=condition=Ready --timeout=10m
}

install_tidemark() {
    say "Installing Tidemark"
    install_chart tidemark charts/tidemark --values charts/tidemark/values-dev.yaml --namespace "$namespace"
    helm --kube-context "${context:?}" test tidemark --namespace "$namespace"
}

case ${1:-} in
up)
    needs docker kubectl helm
    docker info > /dev/null 2>&1 || fail "Docker does not answer"
    if [[ -z $(maker) ]]; then make_cluster "${2:-kind}"; fi
    use_cluster
    load_image
    install_operators
    install_stores
    install_tidemark
    say "Ready. Next: $0 open"
    ;;
update)
    needs docker kubectl helm
    use_cluster
    load_image
    install_tidemark
    # The tag is the same as before, so nothing in the Deployments has changed that would start new pods.
    in_cluster --namespace "$namespace" rollout restart deployment --selector app.kubernetes.io/name=tidemark
    in_cluster --namespace "$namespace" rollout status deployment --selector app.kubernetes.io/name=tidemark --timeout 5m
    ;;
open)
    needs kubectl
    use_cluster
    echo "http://localhost:$port (Ctrl+C ends it)"
    exec kubectl --context "$context" --namespace "$namespace" port-forward service/tidemark-edge "$port:8080"
    ;;
status)
    needs kubectl
    use_cluster
    in_cluster --namespace "$namespace" get pods,kafka,clusters.postgresql.cnpg.io
    ;;
down)
    case $(maker) in
    kind) kind delete cluster --name "$cluster" ;;
    minikube) minikube delete --profile "$cluster" ;;
    *) echo "there is no cluster '$cluster'" ;;
    esac
    ;;
*)
    sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p;}' "$0"
    exit 2
    ;;
esac
