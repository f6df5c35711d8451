# `make help` lists what there is. Every target sets up what it needs; nothing outside this folder is touched,
# but for uv's download cache.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.venv
TOOLS := $(CURDIR)/.tools
BIN := $(VENV)/bin
SAM := $(TOOLS)/sam/bin/sam
# sam looks for a python3.13 with pip on PATH; the layer's makefile for uv.
export PATH := $(BIN):$(TOOLS)/uv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export UV_NO_PROGRESS := 1

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.done $(TOOLS)/sam/.done $(TOOLS)/worker/.done ## Make the environments (about 250 MB from PyPI, a minute or two)

$(VENV)/.done: requirements/dev.txt requirements/uv.txt pyproject.toml setup.sh
	@./setup.sh venv "$(VENV)" requirements/dev.txt --seed
	@./setup.sh project "$(VENV)"
	@touch $@

$(TOOLS)/%/.done: requirements/%.txt requirements/uv.txt setup.sh
	@./setup.sh venv "$(TOOLS)/$*" requirements/$*.txt
	@touch $@

.PHONY: demo
demo: setup ## Bring up a complete environment in the local cloud (KUBERNETES=real: on the real control plane)
	@KUBERNETES="$(KUBERNETES)" "$(BIN)/python" -m springboard_local.demo

# A Go toolchain of one's own is used as it is; where there is none, one comes from PyPI.
GO_TOOLCHAIN := $(if $(shell command -v go),,$(TOOLS)/go/.done)

.PHONY: kubernetes
kubernetes: setup $(GO_TOOLCHAIN) ## Build the real control plane, once (about 8 minutes on 2 cores, 4 GB of disk)
	@PATH="$$PATH:$(TOOLS)/go/bin" "$(BIN)/python" -m springboard_local.kubernetes.real

.PHONY: down
down: ## Stop the local cloud and remove its state
	@if [ -x "$(BIN)/python" ]; then "$(BIN)/springboard" local down; else echo "nothing is set up"; fi

.PHONY: test
test: setup ## Run the tests, in any order, in parallel (under 5 minutes on 2 cores)
	@begun=$$(date +%s); "$(BIN)/python" -m pytest -q -n 2 --dist loadfile -m "not (slow or sweep or real)" \
		&& mkdir -p build && echo $$(( $$(date +%s) - begun )) > build/test-seconds

.PHONY: check
check: format lint types imports template test-slow test ## The whole gate

.PHONY: format
format: setup
	@"$(BIN)/ruff" format --check --quiet . || { echo "run '.venv/bin/ruff format .'"; exit 1; }

.PHONY: lint
lint: setup
	@"$(BIN)/ruff" check --quiet .

.PHONY: types
types: setup
	@"$(BIN)/mypy" --no-error-summary -p springboard -p springboard_cli -p springboard_local
	@MYPYPATH=functions "$(BIN)/mypy" --no-error-summary -p api -p components -p flow -p triggers
	@"$(BIN)/mypy" --no-error-summary tests

.PHONY: imports
imports: setup
	@PYTHONPATH=functions "$(BIN)/lint-imports" --no-cache

.PHONY: template
template: setup
	@"$(SAM)" validate --lint --region eu-west-1 | tail -n 1

.PHONY: test-slow
test-slow: setup $(TOOLS)/checkov/.done
	@"$(BIN)/python" -m pytest -q -n 2 --dist loadfile -m "slow and not (sweep or real)"

.PHONY: sweep
sweep: setup ## Run every case of the fault sweeps (`make check` takes a sample)
	@"$(BIN)/python" -m pytest -q -n 2 --dist worksteal --timeout 900 -m "sweep and not real"

.PHONY: test-kubernetes
test-kubernetes: setup kubernetes ## Run the flows and the lanes' contract on the real control plane
	@"$(BIN)/python" -m pytest -q -n 2 --dist loadfile -m "real and not sweep"

.PHONY: bench
bench: setup ## Measure the budgets into build/bench.json (BENCH="--quick": two minutes; all: under ten)
	@"$(BIN)/python" -m bench $(BENCH)

.PHONY: wheel
wheel: setup ## Build the CLI as a wheel into dist/
	@uv build --quiet --wheel --out-dir dist cli

.PHONY: lock
lock: setup ## Resolve and hash all requirement sets again
	@./setup.sh lock

.PHONY: clean
clean: down ## Remove everything that make made
	@rm -rf .venv .tools .aws-sam .springboard build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
