#!/bin/sh
# Writes everything in the source database to stdout. Options are those of `compozy db export`, such as --move.
set -eu
cd "$(dirname "$0")/.."
exec compozy --config=compozy-source.yaml db export "$@"
