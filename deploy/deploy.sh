#!/usr/bin/env bash
# Brings one overlay to the cluster of the current kubectl context, waits for it, and goes back when it does not come up.
# deploy.sh ENV; REGISTRY and VERSION name the images. DRY_RUN=1 prints what would be applied and asks no cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
overlays=${OVERLAYS:-deploy/kubernetes/overlays} patience=${PATIENCE:-600s}
overlay=$overlays/${1:?Name the overlay: make deploy ENV=local}
: "${REGISTRY:?}" "${VERSION:?}"
test -f "$overlay/kustomization.yaml" || { echo "$overlay/kustomization.yaml was not found. There are: $(find "$overlays" -mindepth 1 -maxdepth 1 -printf "%f " 2>/dev/null)"; exit 1; }
rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT
# In arguments and pod templates too, hence by text and not by kustomize's own images.
kubectl kustomize "$overlay" | sed -E "s#([A-Za-z0-9.:/_-]+/)?(trimtab-(airflow|trainer|serve|mlflow)):[A-Za-z0-9_.-]+#$REGISTRY/\2:$VERSION#g" >"$rendered"
if test -n "${DRY_RUN:-}"; then cat "$rendered"; exit; fi
namespace=$(sed -n 's/^  namespace: //p' "$rendered" | head -n 1)
# A Job cannot be changed: what the last version made goes first.
kubectl delete jobs --selector app.kubernetes.io/part-of=trimtab --namespace "${namespace:-default}" --ignore-not-found
answers=$(kubectl get statefulset service --namespace "${namespace:-default}" --ignore-not-found --output 'jsonpath={.status.readyReplicas}')
kubectl apply --filename "$rendered"
mapfile -t workloads < <(kubectl get --filename "$rendered" --output name | grep -E '^(deployment|statefulset)\.apps/')
for workload in "${workloads[@]}"; do
  if test "$workload" = statefulset.apps/service && test "${answers:-0}" = 0; then
    echo "$workload did not answer before: it does once there is a model, and is not waited for."
    continue
  fi
  kubectl rollout status "$workload" --namespace "${namespace:-default}" --timeout "$patience" && continue
  echo "$workload did not come up within $patience: going back to what ran before."
  for one in "${workloads[@]}"; do kubectl rollout undo "$one" --namespace "${namespace:-default}" || true; done
  exit 1
done
