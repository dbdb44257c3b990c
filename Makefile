# `make run` and `make test` do the whole set-up. Nothing is installed outside of .venv.

PYTHON ?= python3
PORT ?= 8080
export PORT
# Without bytecode, each of the many processes that tests start compiles the whole package again: a third of its start.
unexport PYTHONDONTWRITEBYTECODE
BRIDGE_ARCH ?= arm64

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEFINITIONS := pyproject.toml constraints.txt
# The core without what starts a process, imitates AWS or loads a web framework.
CORE := tests/http tests/identity tests/tenancy tests/config tests/review tests/formats tests/runtime \
  tests/test_bridge.py tests/test_layers.py tests/test_message.py tests/test_public.py \
  --ignore tests/config/test_compiled.py --ignore tests/config/test_stores.py --ignore tests/config/test_any_configuration.py \
  --ignore tests/formats/test_frameworks.py --ignore tests/formats/test_powertools_reads.py --ignore tests/formats/test_round_trip.py \
  --ignore tests/tenancy/test_registry_table.py

.DEFAULT_GOAL := help
.PHONY: help run test quick format thorough coverage check docs fuzz soak bridgesoak queuesoak streamsoak bench bench-against lock package clean build-BridgeFunction

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/; s/\$$\$$/$$/' | sort | expand -t 15

run: $(VENV)/local ## Serve template.yaml on this machine, on $$PORT (8080), until Ctrl-C
	@exec $(BIN)/lattice-bridge local --inspect --parameter AuthType=NONE $(ARGS)

test: check ## Run lint, types and all tests, on all processors: 12 min with two slow cores
	@$(BIN)/python -m compileall -q lattice_bridge
	@$(BIN)/python -m pytest -n auto $(ARGS)

quick: check ## Run lint, types and the tests of the pure core: 50 s with two slow cores
	@LATTICE_BRIDGE_EXAMPLES=0.2 $(BIN)/python -m pytest -n auto -q $(CORE) $(ARGS)

format: $(VENV)/dev ## Format the code, and fix what the linter can fix by itself
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix .

thorough: check ## Run all tests, with twenty times as many examples for each property; takes long
	@LATTICE_BRIDGE_EXAMPLES=20 $(BIN)/python -m pytest -n auto --timeout 1200 --hypothesis-profile shrink $(ARGS)

coverage: $(VENV)/dev ## Run all tests with branch coverage: 13 min with two slow cores
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term $(ARGS)

check: $(VENV)/dev ## Run lint and types, and check the maps and the template of this repository
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lattice-bridge check bridge.toml --template template.yaml
	@$(BIN)/lattice-bridge check examples/open.toml

docs: $(VENV)/dev ## Write the tables in docs/ that come from the code and the tests
	@LATTICE_BRIDGE_WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/test_docs.py tests/test_dashboard.py tests/test_ways_in.py tests/formats/test_frameworks.py tests/formats/test_powertools_reads.py tests/test_log_samples.py tests/local/test_terminal_lines.py tests/local/inspector/test_page_actions.py $(ARGS)

fuzz: $(VENV)/dev ## Run 100,000 examples of the testing strategies against the bridge: 2 min with two slow cores, 5 at most
	@$(BIN)/python -m fuzz $(ARGS)

soak: $(VENV)/dev ## Send 20,000 requests through the whole local stack, and measure its memory: 4 min with two busy cores
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bridgesoak: $(VENV)/dev ## Send 1,000,000 requests of 64 tenants through the bridge in 32 threads: 20 min with two idle cores
	@$(BIN)/python -m benchmarks.bridge_soak $(ARGS)

queuesoak: $(VENV)/dev ## Send 10,000 messages through queues while functions fail and routers are killed: 7 min with two busy cores
	@$(BIN)/python -m benchmarks.queue_soak $(ARGS)

streamsoak: $(VENV)/dev ## Send 100,000 Kinesis records over 4 shards while functions fail and routers are killed: 15 min with two idle cores
	@$(BIN)/python -m benchmarks.stream_soak $(ARGS)

bench: $(VENV)/dev ## Measure the bridge and its alternatives, and write benchmarks/RESULTS.md; takes long
	@$(BIN)/python -m benchmarks.run $(ARGS)

bench-against: $(VENV)/dev ## Measure this checkout beside the commit $$COMMIT, in turns: 5 min with two idle cores
	@$(BIN)/python -m benchmarks.against $(or $(COMMIT),$(error Name a commit: make bench-against COMMIT=HEAD~1)) $(ARGS)

lock: $(VENV)/local ## Write the hashes of the packages for Lambda into requirements-lambda.txt
	@$(BIN)/python -m tools.lock

package: $(VENV)/local ## Build dist/bridge-ARCH.zip and dist/layer-ARCH.zip for Lambda, without Docker
	@$(BIN)/lattice-bridge package $(ARGS)

build-BridgeFunction: $(VENV)/local
	@$(BIN)/lattice-bridge package --folder "$(ARTIFACTS_DIR)" --arch $(BRIDGE_ARCH) $(ARGS)

clean: ## Remove the files that the other targets made
	rm -rf $(VENV) dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lattice-bridge needs Python 3.11 or later; name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/local: $(DEFINITIONS) | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(PIP) --editable '.[dynamodb,local]'
	@touch $@

$(VENV)/dev: $(DEFINITIONS) | $(VENV)/bin/python
	@echo "Installing into $(VENV), with the tools for tests …"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/local
