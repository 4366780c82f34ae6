# Everything from a fresh clone: `make demo` shows the main job, `make test` checks it all. Python >= 3.11 is all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := $(addprefix plugins/semantic-core-,peewee wordllama languages markdown gemini openai audit files mcp use onnx wagtail postgres)
HISTORIES := plugins/semantic-core-peewee/tests/orm/test_histories.py tests/blueprints/test_histories.py
# Where other packages are met.
KERNEL_TESTS := $(addprefix tests/,house/test_oldest.py $(addprefix kernel/,test_types.py test_vectors.py test_core.py test_aio.py) \
  plugins/test_host.py plugins/test_discovery.py contracts/test_contract.py contracts/test_fake_embeddings.py \
  $(addprefix remote/,test_calls.py test_import.py test_recent.py test_wire.py) \
  $(addprefix cli/,test_frame.py test_render.py test_search.py) orm/test_pytest_plugin.py)
PLUGIN_TESTS := plugins/semantic-core-wordllama \
  $(addprefix plugins/semantic-core-languages/tests/,test_contract.py test_found.py test_bulk.py) \
  $(addprefix plugins/semantic-core-markdown/tests/,test_contract.py test_front_matter.py test_grammar.py test_sections.py) \
  $(addprefix plugins/semantic-core-files/tests/,test_books.py test_mail.py test_office.py test_pdf_files.py test_plugin.py test_web_pages.py) \
  $(addprefix plugins/semantic-core-mcp/tests/,test_protocol.py test_misuse.py test_stdio.py test_http.py) \
  $(addprefix plugins/semantic-core-gemini/tests/,test_contract.py test_embedder.py test_plugin.py test_keys.py) \
  $(addprefix plugins/semantic-core-openai/tests/,test_contract.py test_embedder.py test_plugin.py test_keys.py) \
  plugins/semantic-core-use plugins/semantic-core-onnx \
  $(addprefix plugins/semantic-core-peewee/tests/,$(addprefix sqlite/,test_contract.py test_vector_search.py test_text_search.py \
  test_filters.py) $(addprefix orm/,test_models.py test_connections.py test_peewee_migrations.py))
COMPAT_TESTS ?= $(KERNEL_TESTS) $(PLUGIN_TESTS)
EXTRA ?= dev
EDITABLE := -e ".[$(EXTRA)]" $(foreach plugin,$(PLUGINS),-e $(plugin))
# The oldest versions that are allowed, in place of the newest: CONSTRAINTS=tests/house/oldest.py, a program that prints them.
CONSTRAINTS ?=
CONSTRAIN := $(if $(CONSTRAINTS),--constraint $(VENV)/constraints.txt)
# Modules are compiled when they are first imported; most never are. An old pip takes twice as long, so a newer one is
# fetched first, where there is one; and so does an environment to build each distribution in.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
STAMP := $(VENV)/.installed
BUILDER := .venv-build
BUILD_NEEDS := "build>=1.2.1" "hatchling>=1.27" "hatch-fancy-pypi-readme>=24.1"
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)

# Tests write many small files: in memory where there is room, else where temporary files usually are.
ROOMY := $(shell test -w /dev/shm && df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 8000000 { print "yes" }')
SCRATCH := $(if $(ROOMY),scratch=$$(mktemp -d /dev/shm/semantic-core-XXXXXX) && chmod 755 "$$scratch" && trap 'rm -rf "$$scratch"' EXIT && TMPDIR="$$scratch")

# Tests often wait for a database or another process: one worker more than there are processors uses them fully.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 1, 7) + 1)')
PYTEST = $(SCRATCH) $(BIN)/python -m pytest -n $(JOBS) --dist load --maxschedchunk 2

# Tests start many processes, and pytest rewrites its plugins in each that may not keep what it made.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv wheels demo test quick compat oldest lint bench reliability soak outside live-gemini clean services

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

venv: $(STAMP)  ## the environment in .venv, with the kernel and its plugins editable

$(STAMP): pyproject.toml $(foreach plugin,$(PLUGINS),$(plugin)/pyproject.toml) $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Semantic Core needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
ifneq ($(UV),)
	@test -x $(BIN)/python || $(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))" $(VENV)
	$(if $(CONSTRAINTS),$(BIN)/python $(CONSTRAINTS) > $(VENV)/constraints.txt)
	$(UV) pip install --quiet --python $(BIN)/python $(EDITABLE) $(CONSTRAIN)
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	-$(PIP) --upgrade "pip>=25"
	$(if $(CONSTRAINTS),$(BIN)/python $(CONSTRAINTS) > $(VENV)/constraints.txt)
	$(PIP) $(BUILD_NEEDS) "editables>=0.5" $(CONSTRAIN)
	$(PIP) --no-build-isolation $(EDITABLE) $(CONSTRAIN)
endif
	@touch $@

# An environment of their own: building needs no package that the tests need.
wheels:  ## a wheel and an sdist of each distribution, in dist/: pip install --find-links dist "semantic-core-kernel[local]"
	@test -x $(BUILDER)/bin/python || $(PYTHON) -m venv $(BUILDER)
	@$(BUILDER)/bin/python -m pip install --quiet --disable-pip-version-check $(BUILD_NEEDS)
	@rm -f dist/semantic_core_*
	@for project in . $(PLUGINS); do \
	  $(BUILDER)/bin/python -m build --no-isolation --outdir dist "$$project" > $(BUILDER)/build.log 2>&1 || \
	    { cat $(BUILDER)/build.log; exit 1; }; \
	done
	@ls dist

demo: venv  ## index the guides and a folder of real text (DEMO_PATH=folder), then search it
	@$(BIN)/python benchmarks/demo.py $(if $(DEMO_PATH),"$(DEMO_PATH)")

test: venv  ## every test
	$(PYTEST)

quick: venv  ## the kernel's own tests, without those that take seconds
	$(PYTEST) tests --ignore=tests/blueprints -m "not slow" $(ARGS)

compat: venv  ## the tests that use other packages, without those that take seconds
	$(PYTEST) $(COMPAT_TESTS) -m "not slow" $(ARGS)

# An old package may warn of what came after it: the newest ones are held to silence.
oldest:  ## the same on the oldest versions that are allowed, in .venv-oldest; COMPAT_TESTS="tests plugins" for more
	$(MAKE) --no-print-directory compat VENV=$(VENV:.venv=.venv-oldest) EXTRA=quick \
	  CONSTRAINTS=tests/house/oldest.py ARGS='-W default $(ARGS)'

lint: venv  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv  ## the figures behind every claim, written into README.md and benchmarks/README.md; RESUME=1 goes on with a run that was cut short
	$(BIN)/python -m benchmarks $(if $(RESUME),--resume)
	$(BIN)/python -m benchmarks.figures

live-gemini: venv  ## the Gemini plugin against the real service: needs GEMINI_API_KEY, costs less than a cent
	@if [ -z "$$GEMINI_API_KEY" ]; then echo "Skipped: GEMINI_API_KEY is not set. With it, a few texts are embedded for real."; \
	else $(BIN)/python -m pytest plugins/semantic-core-gemini/tests -m live --live -n 0; fi

reliability: venv  ## the trust tests, with their figures in reliability.json and on the page of guarantees
	$(BIN)/python -m benchmarks.reliability

soak: venv  ## the same with large numbers: SOAK=20 times as many; takes hours
	$(BIN)/python -m benchmarks.reliability --soak $(or $(SOAK),20)
	SEMANTIC_CORE_SOAK=$(or $(SOAK),20) $(BIN)/python -m pytest -n $(JOBS) --maxschedchunk 1 -k silent_difference $(HISTORIES)

outside: venv  ## other people's applications run their own tests, without and with an index; half an hour, APPLICATIONS="ihatemoney ..."
	$(BIN)/python -m benchmarks.outside $(APPLICATIONS)

services: venv  ## start PostgreSQL and MariaDB where they are installed, and say what the ORM tests can talk to
	@$(BIN)/python tests/orm/databases.py

clean:  ## remove what the targets above made
	rm -rf $(VENV) .venv-oldest $(BUILDER) .demo .outside .mermaid .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
