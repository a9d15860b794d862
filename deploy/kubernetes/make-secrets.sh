#!/usr/bin/env bash
# Prints the Secrets that the manifests refer to: deploy/kubernetes/make-secrets.sh | kubectl apply -f -
# Values are generated once into deploy/kubernetes/secrets (or SECRETS): one folder per Secret, one file per key.
#   managed databases: POSTGRES_HOST=… POSTGRES_USER=trimtab POSTGRES_PASSWORD=… TRIMTAB_PREDICTION_LOG_URL=… (or none: PostgreSQL too)
#   Azure:             VAULT=$NAME-kv POSTGRES_HOST=$NAME-pg.postgres.database.azure.com   takes what the vault has
set -euo pipefail
folder=${SECRETS:-$(dirname "$0")/secrets}
host=${POSTGRES_HOST:-}
umask 077
mkdir -p "$folder"

token() { head -c 32 /dev/urandom | base64 | tr -d '=+/\n'; }
vault() { # NAME [OR ELSE]: what Azure's vault has under a name, or a new value without a vault
    if [ -z "${VAULT:-}" ]; then "${2:-token}"; else az keyvault secret show --vault-name "$VAULT" --name "$1" --query value --output tsv; fi
}
fernet() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }
put() { # SECRET/KEY VALUE
    [ -e "$folder/$1" ] || { mkdir -p "$folder/${1%/*}" && printf '%s' "$2" >"$folder/$1.part" && mv "$folder/$1.part" "$folder/$1"; }
}
has() { cat "$folder/$1"; }
postgres() { # SCHEME DATABASE [SSL]: the address of a database, here or at POSTGRES_HOST
    if [ -z "$host" ]; then
        echo "$1://$2:$(has "postgres/$2-password")@postgres:5432/$2"
    else
        echo "$1://${POSTGRES_USER:-trimtab}:${password//=/%3D}@$host:5432/$2?${3:-sslmode=require}"
    fi
}

if [ -z "$host" ]; then
    for name in postgres airflow mlflow ledger; do put "postgres/$name-password" "$(token)"; done
    put mongodb/mongodb-password "$(token)"
    log="mongodb://trimtab:$(has mongodb/mongodb-password)@mongodb:27017/trimtab?authSource=admin"
else
    password=${POSTGRES_PASSWORD:-}
    if [ -n "${VAULT:-}" ]; then password=$(vault postgres-password); fi
    : "${password:?Set POSTGRES_PASSWORD, or VAULT: $host wants one.}"
    log=${TRIMTAB_PREDICTION_LOG_URL:-$(postgres postgresql predictions)}
fi
jwt=$(vault airflow-jwt) api=$(vault airflow-api) fernet=$(vault airflow-fernet fernet) alerts=$(vault alerts-token) service=$(vault service-token)
put airflow/AIRFLOW__API_AUTH__JWT_SECRET "$jwt"
put airflow/AIRFLOW__API__SECRET_KEY "$api"
put airflow/AIRFLOW__CORE__FERNET_KEY "$fernet"
put airflow/AIRFLOW__DATABASE__SQL_ALCHEMY_CONN "$(postgres postgresql+psycopg2 airflow)"
put airflow/AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC "$(postgres postgresql+asyncpg airflow ssl=require)"
put airflow/airflow-passwords.json "{\"admin\": \"$(token)\", \"viewer\": \"$(token)\"}"
put airflow/alerts-token "$alerts"
put stores/TRIMTAB_LEDGER_URL "$(postgres postgresql ledger)"
put stores/TRIMTAB_PREDICTION_LOG_URL "$log"
put mlflow/MLFLOW_BACKEND_STORE_URI "$(postgres postgresql+psycopg2 mlflow)"
put client/service-token "$service" # for clients of the service; no pod has it
put service/service-tokens.json "{\"everyone\": {\"roles\": [\"predict\", \"feedback\"], \"sha256\": \"$(has client/service-token | sha256sum | cut -d' ' -f1)\"}}"

for path in "$folder"/*/; do
    name=$(basename "$path")
    if [ "$name" = client ] || { [ -n "$host" ] && { [ "$name" = postgres ] || [ "$name" = mongodb ]; }; }; then continue; fi
    echo ---
    kubectl create secret generic "$name" --namespace "${NAMESPACE:-trimtab}" --from-file="$path" --dry-run=client --output yaml
done
echo "$folder holds the values; keep it out of git and in your backups." >&2
