#!/usr/bin/env bash
# Makes what trimtab needs in Azure: resource group, registry, cluster, storage, PostgreSQL, key vault, logs, identities.
#
#   deploy/azure/provision.sh --dry-run     # prints every command and runs none
#   deploy/azure/provision.sh               # runs them; what exists is left as it is, so that it can be run again
#
# Settings come from the environment, with the values below; NAME makes every name, and must be unique in Azure.
set -euo pipefail

NAME=${NAME:?"Set NAME: 3 to 11 small letters and digits, of which all names are made."}
LOCATION=${LOCATION:-westeurope}
NAMESPACE=${NAMESPACE:-trimtab}
NODE_SIZE=${NODE_SIZE:-Standard_D4s_v5}
NODES_LEAST=${NODES_LEAST:-2}
NODES_MOST=${NODES_MOST:-6}
POSTGRES_SIZE=${POSTGRES_SIZE:-Standard_D2ds_v5}
POSTGRES_GIB=${POSTGRES_GIB:-64}

[[ $NAME =~ ^[a-z][a-z0-9]{2,10}$ ]] || { echo "NAME: expected 3 to 11 small letters and digits, got '$NAME'." >&2; exit 2; }
dry=""
case ${1:-} in
    --dry-run) dry=yes ;;
    "") ;;
    *) echo "usage: NAME=… $0 [--dry-run]" >&2; exit 2 ;;
esac

group=$NAME registry=${NAME}acr cluster=$NAME-aks storage=${NAME}data postgres=$NAME-pg vault=$NAME-kv logs=$NAME-logs network=$NAME-net

run() { # Says a command, and runs it unless this is a dry run.
    printf '+ %s\n' "$(printf '%q ' "$@")" >&2
    [ -n "$dry" ] || "$@" --output none
}
ask() { # Prints one value of what exists; in a dry run the name of the value.
    local what=$1
    shift
    printf '+ %s\n' "$(printf '%q ' "$@")" >&2
    if [ -n "$dry" ]; then echo "<$what>"; else "$@" --output tsv; fi
}
secret() { # Puts a new random value under a name, unless there is one.
    local value
    if [ -z "$dry" ] && az keyvault secret show --vault-name "$vault" --name "$1" --output none 2>/dev/null; then return; fi
    value=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') # a Fernet key has this form, and what wants none takes it
    printf '+ az keyvault secret set --vault-name %q --name %q --value (new)\n' "$vault" "$1" >&2
    [ -n "$dry" ] || az keyvault secret set --vault-name "$vault" --name "$1" --value "$value" --output none
}

run az group create --name "$group" --location "$LOCATION" --tags "app=trimtab"

# Logs, registry, network.
run az monitor log-analytics workspace create --resource-group "$group" --workspace-name "$logs" --retention-time 30
workspace=$(ask workspace-id az monitor log-analytics workspace show --resource-group "$group" --workspace-name "$logs" --query id)
run az acr create --resource-group "$group" --name "$registry" --sku Standard --admin-enabled false
run az network vnet create --resource-group "$group" --name "$network" --address-prefixes 10.60.0.0/16
run az network vnet subnet create --resource-group "$group" --vnet-name "$network" --name nodes --address-prefixes 10.60.0.0/20
run az network vnet subnet create --resource-group "$group" --vnet-name "$network" --name postgres --address-prefixes 10.60.16.0/28 \
    --delegations Microsoft.DBforPostgreSQL/flexibleServers
nodes=$(ask subnet-id az network vnet subnet show --resource-group "$group" --vnet-name "$network" --name nodes --query id)

# The cluster: pods reach Azure as themselves (workload identity), and read secrets from the vault.
run az aks create --resource-group "$group" --name "$cluster" --tier standard --enable-managed-identity --no-ssh-key \
    --node-vm-size "$NODE_SIZE" --node-count "$NODES_LEAST" --enable-cluster-autoscaler --min-count "$NODES_LEAST" --max-count "$NODES_MOST" \
    --network-plugin azure --network-plugin-mode overlay --network-policy azure --vnet-subnet-id "$nodes" \
    --enable-oidc-issuer --enable-workload-identity --attach-acr "$registry" --disable-local-accounts --enable-aad --enable-azure-rbac \
    --enable-addons monitoring,azure-keyvault-secrets-provider --enable-secret-rotation --workspace-resource-id "$workspace" \
    --auto-upgrade-channel patch
issuer=$(ask oidc-issuer az aks show --resource-group "$group" --name "$cluster" --query oidcIssuerProfile.issuerUrl)

# Storage: the DVC remote and MLflow's artifacts. Nobody has a key; identities have roles.
run az storage account create --resource-group "$group" --name "$storage" --kind StorageV2 --sku Standard_ZRS \
    --min-tls-version TLS1_2 --https-only true --allow-blob-public-access false --allow-shared-key-access false
run az storage account blob-service-properties update --resource-group "$group" --account-name "$storage" \
    --enable-delete-retention true --delete-retention-days 14 --enable-versioning true
for container in dvc mlflow backup; do
    run az storage container-rm create --resource-group "$group" --storage-account "$storage" --name "$container"
done

# Secrets, then PostgreSQL behind the network: databases for Airflow, MLflow, the ledger and the prediction log.
run az keyvault create --resource-group "$group" --name "$vault" --enable-rbac-authorization true --enable-purge-protection true
vault_id=$(ask vault-id az keyvault show --resource-group "$group" --name "$vault" --query id)
me=$(ask signed-in-user az ad signed-in-user show --query id)
run az role assignment create --assignee-object-id "$me" --assignee-principal-type User --role "Key Vault Secrets Officer" --scope "$vault_id"
for name in postgres-password airflow-jwt airflow-api airflow-fernet alerts-token service-token; do secret "$name"; done
password="(of the vault)"
[ -n "$dry" ] || password=$(az keyvault secret show --vault-name "$vault" --name postgres-password --query value --output tsv)
printf '+ az postgres flexible-server create … --admin-password (of the vault)\n' >&2
run_quietly() { [ -n "$dry" ] || "$@" --output none; }
run_quietly az postgres flexible-server create --resource-group "$group" --name "$postgres" --location "$LOCATION" --version 16 \
    --tier GeneralPurpose --sku-name "$POSTGRES_SIZE" --storage-size "$POSTGRES_GIB" --storage-auto-grow Enabled --backup-retention 14 \
    --vnet "$network" --subnet postgres --private-dns-zone "$postgres.private.postgres.database.azure.com" \
    --admin-user trimtab --admin-password "$password" --yes
for database in airflow mlflow ledger predictions; do
    run az postgres flexible-server db create --resource-group "$group" --server-name "$postgres" --name "$database"
done

# Who may what: one identity a service account of the cluster.
storage_id=$(ask storage-id az storage account show --resource-group "$group" --name "$storage" --query id)
grant() { # IDENTITY ROLE SCOPE
    local principal
    principal=$(ask "principal-of-$1" az identity show --resource-group "$group" --name "$NAME-$1" --query principalId)
    run az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal --role "$2" --scope "$3"
}
for account in airflow mlflow service; do
    run az identity create --resource-group "$group" --name "$NAME-$account"
    run az identity federated-credential create --resource-group "$group" --identity-name "$NAME-$account" --name "$account" \
        --issuer "$issuer" --subject "system:serviceaccount:$NAMESPACE:$account" --audiences api://AzureADTokenExchange
    grant "$account" "Key Vault Secrets User" "$vault_id"
done
grant airflow "Storage Blob Data Contributor" "$storage_id/blobServices/default/containers/dvc"
grant airflow "Storage Blob Data Contributor" "$storage_id/blobServices/default/containers/backup"
grant mlflow "Storage Blob Data Contributor" "$storage_id/blobServices/default/containers/mlflow"

echo "Next: az aks get-credentials --resource-group $group --name $cluster, then docs/how-to/azure.md." >&2
