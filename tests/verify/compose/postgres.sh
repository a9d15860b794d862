#!/bin/bash
# What the public image's entry point does with the settings that docker-compose.yaml gives it.
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
export PATH=$bin:$PATH
if [ ! -s "$data/PG_VERSION" ]; then
    chown postgres "$data"
    chmod 700 "$data"
    su postgres -c "$bin/initdb --pgdata=$data --username=$POSTGRES_USER --pwfile=<(cat $POSTGRES_PASSWORD_FILE) --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8" >/dev/null
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    su postgres -c "$bin/pg_ctl --pgdata=$data --wait --options='-c listen_addresses= -k /tmp' start" >/dev/null
    for file in /docker-entrypoint-initdb.d/*.sh; do PGHOST=/tmp sh "$file"; done
    su postgres -c "$bin/pg_ctl --pgdata=$data --wait stop" >/dev/null
fi
exec su postgres -c "exec $bin/postgres -D $data -c listen_addresses='*' -k /tmp"
