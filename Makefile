# What people and CI type. Everything installs itself into .venv from requirements.lock; only Python 3.11+ and make are needed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Three workers for two cores, because tests also wait; how tests are spread over them: conftest.py.
PARALLEL := -q -n 3 --durations 30

# Compiles the readers of bodies and the forest; a second time it only looks.
COMPILE := $(BIN)/python -c "from app.serve import codecs; from sagemaker_entry.forest import forest; codecs.warm(); forest.warm()"

# Without the files of compiled modules, each of the many processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow check bench fuzz fmt lock docs clean help

help:            ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/ready            ## the main job: everything on this machine, in a few minutes
	$(BIN)/snowsage demo

test: $(VENV)/ready            ## the tests, but for the slow ones
	@$(COMPILE) & $(BIN)/pytest $(PARALLEL) -m "not slow"

test-slow: $(VENV)/ready       ## the tests that take minutes by nature, and more input for those that generate it
	SNOWSAGE_FUZZ_BODIES=30000 $(BIN)/pytest $(PARALLEL) -m "slow or hypothesis" --hypothesis-profile thorough

fuzz: $(VENV)/ready            ## the tests that generate their input, at length; takes an hour
	SNOWSAGE_FUZZ_BODIES=1000000 $(BIN)/pytest -q -rP --hypothesis-profile fuzz tests/contract/serve/test_schemathesis.py \
	  tests/unit/serve/test_decoders.py

check: $(VENV)/ready           ## format, lint, types, layers, templates, docs; runs all, reports all
	@$(BIN)/python tests/support/check.py

bench: $(VENV)/ready           ## measure, with the limit next to each figure
	$(BIN)/python -m benchmarks.serving run
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.features run

fmt: $(VENV)/ready             ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/ready            ## write the documents that are made from code
	$(BIN)/python -m app.spec schema > docs/pipeline.schema.json
	$(BIN)/python -m app.spec guide > docs/pipeline.md
	$(BIN)/pytest $(PARALLEL) localcloud/tests -m "not slow" --write-surface

lock: $(VENV)/ready            ## pin the newest allowed versions
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-emit-index-url \
	  --no-annotate --no-emit-package snowsage-localcloud --upgrade --output-file requirements.lock

clean:           ## remove what was made
	rm -rf $(VENV) .snowsage build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/ready: requirements.lock pyproject.toml localcloud/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("snowsage needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot create virtual environments; on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable localcloud --editable .
	$(COMPILE)
	@touch $@
