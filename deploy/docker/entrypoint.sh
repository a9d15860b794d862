#!/bin/sh
# Gives the program its secrets: each file of /run/secrets whose name is in capitals is the variable of that name.
set -eu
for file in /run/secrets/*; do
    name=${file##*/}
    case $name in
        '*' | *[!A-Z0-9_]*) ;;
        *) export "$name=$(cat "$file")" ;;
    esac
done
exec "$@"
