#!/bin/sh
# Install lock files exactly as they are locked: requirements/install.sh PYTHON LOCK...
# pip's resolver stays off (--no-deps): with it, pip considers releases that are newer than the lock, and refuses them for their missing
# hash, as soon as a package is required with an extra. check.py then proves that the locks are complete.
set -eu
python=$1
shift
folder=$(dirname "$0")
# -qq shows errors only: warnings are about the configuration of the machine, such as a folder of wheels that does not exist.
pip() { "$python" -m pip -qq --disable-pip-version-check --no-input "$@"; }
for lock in "$@"; do
	pip install --root-user-action ignore --no-deps --require-hashes -r "$folder/$lock.txt"
done
if ! "$python" "$folder/check.py"; then
	echo "The environment of $python does not match the locks." >&2
	exit 1
fi
