# Set-up and daily commands; `make help` lists them.
#
# Each environment has a stamp in .venv, written when its lock file and the project are installed.
# The dev environment contains the demo's, so installing it writes both stamps.

PYTHON ?= python3
KEEP ?=
ARGS ?=
KILLS ?= 20
AWAY ?= 60
SEEDS ?= 20000
FROM ?= 0

VENV := .venv
BIN := $(VENV)/bin
# Errors only (quiet twice). Builds use the locked tools of requirements-build.lock.
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input
LOCKED := install --require-hashes --no-build-isolation --use-pep517
PROJECT := install --no-deps --no-build-isolation --editable .
BUILD_LOCK := requirements-build.lock
DEMO_STAMP := $(VENV)/.installed-demo
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo quick test check bench simulate soak outage docs lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(DEV_STAMP) ## Make .venv with everything a developer needs

demo: $(DEMO_STAMP) ## Show a conversation on a real homeserver (KEEP=1 leaves it running)
	@$(BIN)/surfaces-bot demo $(if $(filter 1 y yes true,$(KEEP)),--keep)

quick: $(DEV_STAMP) ## Run the tests that need neither Synapse nor the simulation, in half a minute
	@$(BIN)/python -m pytest -q --numprocesses logical --override-ini faulthandler_timeout=120 \
		-m 'not system and not simulation and not soak and not slow' $(ARGS)

test: $(DEV_STAMP) ## Run the whole test suite (ARGS='tests/store -k journal' for a part)
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--numprocesses 3 --dist loadfile)

check: $(DEV_STAMP) ## Check format, lint, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(DEV_STAMP) ## Measure the runtime, each figure with a comparison from the same run
	@$(BIN)/python -m tests.bench $(ARGS)

simulate: $(DEV_STAMP) ## Simulate SEEDS=20000 histories with faults and kills
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

soak: $(DEV_STAMP) ## Kill the daemon under traffic and check that nothing is lost (KILLS=200 for a long run)
	@$(BIN)/python -m tests.soak --kills $(KILLS) $(ARGS)

outage: $(DEV_STAMP) ## Stop the homeserver for AWAY=60 seconds and count the requests of the daemon
	@$(BIN)/python -m tests.soak.outage --seconds $(AWAY)

docs: $(DEV_STAMP) ## Write docs/machines.md from the code
	@$(BIN)/python -m machines.drawing > docs/machines.md.new
	@mv docs/machines.md.new docs/machines.md

# One resolution for all files: the smaller ones use the versions of the largest.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate requirements-build.in

lock: $(DEV_STAMP) ## Renew the hash-pinned requirement files from pyproject.toml
	@echo "Resolving requirements…"
	@$(COMPILE) pyproject.toml --upgrade --extra dev --output-file requirements-dev.lock
	@$(COMPILE) pyproject.toml --extra demo --constraint requirements-dev.lock --output-file requirements-demo.lock
	@$(COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock --output-file $(BUILD_LOCK)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "There is no '$(PYTHON)' here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is $$($(PYTHON) --version), but 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)…"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(DEMO_STAMP): requirements-demo.lock $(BUILD_LOCK) pyproject.toml | $(BIN)/python
	@echo "Installing what the demo needs (about half a minute the first time)…"
	@$(PIP) $(LOCKED) -r $(BUILD_LOCK)
	@$(PIP) $(LOCKED) -r requirements-demo.lock
	@$(PIP) $(PROJECT)
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(BUILD_LOCK) pyproject.toml | $(BIN)/python
	@echo "Installing the development environment (about half a minute the first time)…"
	@$(PIP) $(LOCKED) -r $(BUILD_LOCK)
	@$(PIP) $(LOCKED) -r requirements-dev.lock
	@$(PIP) $(PROJECT)
	@touch $(DEMO_STAMP) $@
