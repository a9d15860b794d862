#!/bin/sh
# Runs once, when PostgreSQL's data folder is made: a database and a role of its own for Airflow, MLflow and the ledger.
set -eu
for name in airflow mlflow ledger; do
    psql --quiet --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set name="$name" \
        --set password="$(cat "/run/secrets/$name-password")" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
SQL
done
