#!/usr/bin/env bash
# Fits this checkout's candidates and scores them beside the model in Production, from what collect.sh collected. Needs no secret.
set -euo pipefail
folder=$(realpath "${1:?Name the folder that collect.sh filled: review.sh FOLDER}")
test -f "$folder/champion.yaml" || { echo "$folder/champion.yaml was not found: expected what make production OUT=... collects. Run that first."; exit 1; }
export TRIMTAB_HOME=$PWD/var/review MLFLOW_TRACKING_URI=sqlite:///$PWD/var/review/mlflow.db DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true
rm -rf var/review build run.yaml
mkdir -p var/review/models
if test -d "$folder/models"; then cp -r "$folder/models/." var/review/models; fi
cp "$folder/champion.yaml" champion.yaml # the pull request's own says nothing
dvc remote add --quiet --local --force --default material "$folder/dvc"
dvc pull
dvc repro --force evaluate
dvc metrics show
dvc plots show --out build/plots
mkdir -p build/review
cp run.yaml champion.yaml build/fitted.json build/evaluation.json build/losses.csv build/metrics.json build/review
cp -r build/plots build/review
