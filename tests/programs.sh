#!/usr/bin/env bash
# Installs the programs that the tests run beside ourselves: from Debian what is missing, from npm into the folder named.
set -euo pipefail

declare -A debian=(
    [chromium]=chromium
    [java]=default-jre-headless # npm-groovy-lint runs in it
    [npm]=npm
    [prometheus]=prometheus
    [prometheus-alertmanager]=prometheus-alertmanager
    [redis-server]=redis-server
    [sshd]=openssh-server
)
node=(azurite@3.37.0 npm-groovy-lint@15.2.2)

install() {
    [ "$(id -u)" = 0 ] || { echo "$* was not found. Install it: apt-get install $*" >&2; exit 1; }
    echo "Installing $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

missing=()
for program in "${!debian[@]}"; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${debian[$program]}")
done
[ ${#missing[@]} = 0 ] || install "${missing[@]}" fonts-liberation

if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    install postgresql-common
    sed -i 's/^#create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    install postgresql
fi

if [ "$(cat "$1/.installed" 2>/dev/null)" != "${node[*]}" ]; then
    echo "Installing ${node[*]}"
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$1" "${node[@]}" >/dev/null
    echo "${node[*]}" >"$1/.installed"
fi
