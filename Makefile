# Everything from a fresh clone: `make demo` shows the main job, `make test` checks it all. Python >= 3.11 is all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := plugins/semantic-core-peewee plugins/semantic-core-wordllama plugins/semantic-core-markdown plugins/semantic-core-gemini
HISTORIES := plugins/semantic-core-peewee/tests/orm/test_histories.py tests/blueprints/test_histories.py
EXTRA ?= dev
EDITABLE := -e ".[$(EXTRA)]" $(foreach plugin,$(PLUGINS),-e $(plugin))
# Modules are compiled when they are first imported; most never are. An old pip takes twice as long, so a newer one is
# fetched first, where there is one.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
STAMP := $(VENV)/.installed
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)

# Tests start many processes, and pytest rewrites its plugins in each that may not keep what it made.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test quick lint bench reliability soak outside live-gemini clean services

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

venv: $(STAMP)  ## the environment in .venv, with the kernel and its plugins editable

$(STAMP): pyproject.toml $(foreach plugin,$(PLUGINS),$(plugin)/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Semantic Core needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
ifneq ($(UV),)
	@test -x $(BIN)/python || $(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))" $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python $(EDITABLE)
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	-$(PIP) --upgrade "pip>=25"
	$(PIP) $(EDITABLE)
endif
	@touch $@

demo: venv  ## index the guides and a folder of real text (DEMO_PATH=folder), then search it
	@$(BIN)/python benchmarks/demo.py $(if $(DEMO_PATH),"$(DEMO_PATH)")

test: venv  ## every test
	$(BIN)/python -m pytest -n 2 --dist load --maxschedchunk 2

quick: venv  ## the kernel's own tests, without those that take seconds
	$(BIN)/python -m pytest tests --ignore=tests/blueprints -m "not slow" -n 2 --dist load --maxschedchunk 2 $(ARGS)

lint: venv  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv  ## the figures behind every claim, written into the README; RESUME=1 goes on with a run that was cut short
	$(BIN)/python -m benchmarks $(if $(RESUME),--resume)
	$(BIN)/python -m benchmarks.figures

live-gemini: venv  ## the Gemini plugin against the real service: needs GEMINI_API_KEY, costs less than a cent
	@if [ -z "$$GEMINI_API_KEY" ]; then echo "Skipped: GEMINI_API_KEY is not set. With it, a few texts are embedded for real."; \
	else $(BIN)/python -m pytest plugins/semantic-core-gemini/tests -m live --live -n 0; fi

reliability: venv  ## the trust tests, with their figures in reliability.json and on the page of guarantees
	$(BIN)/python -m benchmarks.reliability

soak: venv  ## the same with large numbers: SOAK=20 times as many; takes hours
	$(BIN)/python -m benchmarks.reliability --soak $(or $(SOAK),20)
	SEMANTIC_CORE_SOAK=$(or $(SOAK),20) $(BIN)/python -m pytest -n 2 --maxschedchunk 1 -k silent_difference $(HISTORIES)

outside: venv  ## other people's applications run their own tests, without and with an index; half an hour, APPLICATIONS="ihatemoney ..."
	$(BIN)/python -m benchmarks.outside $(APPLICATIONS)

services: venv  ## start PostgreSQL and MariaDB where they are installed, and say what the ORM tests can talk to
	@$(BIN)/python tests/orm/databases.py

clean:  ## remove what the targets above made
	rm -rf $(VENV) .demo .outside .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
