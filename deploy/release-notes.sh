#!/usr/bin/env bash
# Prints the section of CHANGELOG.md of one version, which must be its first: release-notes.sh 0.1.0
set -euo pipefail
version=${1:?Name the version: release-notes.sh 0.1.0}
file=${2:-CHANGELOG.md}
head=$(sed -n 's/^## //p' "$file" | sed -n 1p)
test "$head" = "$version" || { echo "$file begins with ${head:-no version}, the tag says $version. Write its section first, or tag the other." >&2; exit 1; }
awk -v head="## $version" '$0 == head { on = 1; next } /^## / { on = 0 } on' "$file" | sed '/./,$!d'
