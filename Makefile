# The only commands there are; `make help` lists them. Everything installs into .venv, nothing outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENGINES := .venv-engines
SPEC ?= api/tests/test_api.py
N ?= 2000
MINUTES ?= 60

.DEFAULT_GOAL := help
.PHONY: help install demo test test-engines check contract bench chaos soak docs lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Create .venv with everything in it

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: install ## Send a recording of a human voice through the running service
	$(BIN)/python scripts/demo.py

test: install ## Every test that needs no torch
	$(BIN)/python -m pytest -n auto --dist loadfile

test-engines: $(ENGINES)/.installed ## The tests of the engines that need torch (7.7 GB, kept in .venv-engines)
	$(ENGINES)/bin/python -m pytest -m torch tests/torch_engines

$(ENGINES)/.installed: pyproject.toml requirements-engines.lock
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check -c requirements-engines.lock -e '.[whisperx,timestamped,dev]'
	@touch $@

check: install ## ruff and strict mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

contract: install ## The specification's own tests, or another file of them: make contract SPEC=path
	$(BIN)/python scripts/with_redis.py $(BIN)/python -m pytest -q $(SPEC)

bench: install $(ENGINES)/.installed ## Every benchmark, one JSON object a line
	$(BIN)/python -m benchmarks

chaos: install ## Faults without end while N jobs are done: make chaos N=2000
	$(BIN)/python -m chaos --jobs $(N) --webhooks --idempotency

soak: install ## Mixed work for MINUTES; does memory or anything else grow?
	$(BIN)/python -m chaos.soak --minutes $(MINUTES)

docs: install ## Write the tables of docs from the code
	$(BIN)/python scripts/write_docs.py

lock: ## Write requirements.lock anew from pyproject.toml
	$(PYTHON) scripts/lock.py

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .venv-* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
