#!/bin/sh
# Lock every requirement with its hashes, for all supported Pythons and systems, without any registry address.
set -eu
cd "$(dirname "$0")/.."
lock() { uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--python-version 3.11 --custom-compile-command "make lock" "$@"; }
lock requirements/build.in -o requirements/build.txt
lock pyproject.toml -o requirements/base.txt
lock pyproject.toml --extra local -c requirements/base.txt -o requirements/local.txt
lock pyproject.toml --all-extras --group dev -c requirements/base.txt -o requirements/dev.txt
lock pyproject.toml requirements/binary.in --extra knowledge -c requirements/base.txt -o requirements/binary.txt
lock --no-deps requirements/local-model.in -o requirements/local-model.txt
lock --no-deps requirements/deployment.in -o requirements/deployment.txt
lock requirements/clients.in -o requirements/clients.txt
lock pyproject.toml $(for extra in knowledge qdrant redis anthropic google groq typescript mcp oidc otel; do echo "--extra $extra"; done) -c requirements/dev.txt -o requirements/image.txt
