#!/bin/sh
# Stores a document of export.sh in the target database: scripts/import.sh FILE [options of `compozy db import`].
set -eu
: "${1:?usage: scripts/import.sh FILE}"
case $1 in
/* | -) file=$1 ;;
*) file=$(pwd)/$1 ;;
esac
shift
cd "$(dirname "$0")/.."
exec compozy --config=compozy-target.yaml db import "$file" "$@"
