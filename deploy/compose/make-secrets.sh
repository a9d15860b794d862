#!/usr/bin/env bash
# Creates deploy/compose/secrets and deploy/compose/made for docker-compose.yaml. Existing files are kept, because a
# database keeps the password with which it was created. To start over: docker compose down --volumes, then remove both folders.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets made
chmod 700 secrets # the files in it are read by the containers' users, who are nobody here

token() { head -c 32 /dev/urandom | base64 | tr -d '=+/\n'; }
put() { # NAME VALUE
    [ -e "secrets/$1" ] || { printf '%s' "$2" >"secrets/$1.part" && chmod 644 "secrets/$1.part" && mv "secrets/$1.part" "secrets/$1"; }  # pragma: allowlist secret
}
has() { cat "secrets/$1"; }

for name in postgres airflow mlflow ledger mongodb redis grafana; do put "$name-password" "$(token)"; done
put alerts-token "$(token)"
put service-token "$(token)"
put service-tokens.json "{\"everyone\": {\"roles\": [\"predict\", \"feedback\"], \"sha256\": \"$(has service-token | sha256sum | cut -d' ' -f1)\"}}"
put airflow-passwords.json "{\"admin\": \"$(token)\", \"viewer\": \"$(token)\"}"

put AIRFLOW__CORE__FERNET_KEY "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
put AIRFLOW__API_AUTH__JWT_SECRET "$(token)$(token)$(token)"
put AIRFLOW__API__SECRET_KEY "$(token)$(token)"
airflow="airflow:$(has airflow-password)@postgres:5432/airflow"
put AIRFLOW__DATABASE__SQL_ALCHEMY_CONN "postgresql+psycopg2://$airflow"
put AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC "postgresql+asyncpg://$airflow"
put AIRFLOW__CELERY__RESULT_BACKEND "db+postgresql://$airflow"
put AIRFLOW__CELERY__BROKER_URL "redis://:$(has redis-password)@redis:6379/0"
put MLFLOW_BACKEND_STORE_URI "postgresql+psycopg2://mlflow:$(has mlflow-password)@postgres:5432/mlflow"
put TRIMTAB_LEDGER_URL "postgresql://ledger:$(has ledger-password)@postgres:5432/ledger"
put TRIMTAB_PREDICTION_LOG_URL "mongodb://trimtab:$(has mongodb-password)@mongodb:27017/trimtab?authSource=admin"

# The monitoring files of this repository point at the loopback interface; in containers each server has its own host name.
for part in prometheus alertmanager; do
    rm -rf "made/$part"
    cp -r "../$part" "made/$part"
done
rm -rf made/grafana
mkdir made/grafana
cp -r ../grafana/provisioning made/grafana/
sed -i -e 's#127\.0\.0\.1:9093#alertmanager:9093#; s#127\.0\.0\.1:8000#service:8080#; s#127\.0\.0\.1:8080#api-server:8080#' \
    -e 's#\.\./\.\./var/alerts\.token#/run/secrets/alerts-token#' made/prometheus/prometheus.yml made/alertmanager/alertmanager.yml
sed -i 's#127\.0\.0\.1:9090#prometheus:9090#' made/grafana/provisioning/datasources/trimtab.yml
echo "deploy/compose/secrets holds $(find secrets -type f | wc -l) secrets; keep it out of git and in your backups."
