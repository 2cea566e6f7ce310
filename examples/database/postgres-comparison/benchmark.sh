#!/bin/sh
# Measures PostgreSQL and SQLite with the same workflow, and writes results-postgres.json and results-sqlite.json.
#
#   ./benchmark.sh                                        both, and the comparison
#   ./benchmark.sh --config=compozy-sqlite.yaml           one of them
#   ./benchmark.sh --config=compozy-sqlite.yaml --workflows=50
#   ./benchmark.sh compozy-sqlite.yaml 50                 the same
#
# `compozy bench` starts a server for each file, waits for its /readyz, drives the runs over HTTP from one process, and ends
# the server by its process id.
set -eu
cd "$(dirname "$0")"

configs=
workflows=
usage() {
	echo "usage: ./benchmark.sh [--config=FILE] [--workflows=N]  or  ./benchmark.sh [FILE [N]]" >&2
	exit 2
}
while [ $# -gt 0 ]; do
	case $1 in
	--config=*) configs="--config=${1#*=}" ;;
	--config) [ $# -gt 1 ] || usage; configs="--config=$2"; shift ;;
	--workflows=*) workflows=${1#*=} ;;
	--workflows) [ $# -gt 1 ] || usage; workflows=$2; shift ;;
	-*) usage ;;
	*)
		if [ -z "$configs" ]; then configs="--config=$1"; elif [ -z "$workflows" ]; then workflows=$1; else usage; fi
		;;
	esac
	shift
done

if [ -n "$configs" ]; then
	set -- "$configs"
else
	set -- --config=compozy-postgres.yaml --config=compozy-sqlite.yaml --chart=results.svg
fi
exec compozy bench "$@" --workflows="${workflows:-10}" --output="results-{driver}.json"
