# Everything here works on a machine that has Python 3.11 or newer with pip, a C compiler and make.
# Each target first makes .venv with what it needs, and only once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Most tests wait for servers: running three test files at a time halves the time on two cores.
PYTEST := $(BIN)/python -m pytest --numprocesses=3 --dist=loadfile
SOAK_ARGS ?=
MATRIX_ARGS ?=
DRIFT_ARGS ?=
UPDATE_ARGS ?=

# Where no bytecode is kept, pytest compiles all tests again in each of its processes (3 times 5 s
# of a CPU), and each server that a test starts compiles slowhound.
unexport PYTHONDONTWRITEBYTECODE
# Texts and paths are UTF-8, whatever the locale says.
export PYTHONUTF8 := 1

.DEFAULT_GOAL := fast
.DELETE_ON_ERROR:
# Two targets at once would write into the same environment.
.NOTPARALLEL:
.PHONY: fast check test python demo bench redaction soak matrix drift update screenshots dist clean format system

fast: check  ## run before a commit: check, and the quick tests
	@$(PYTEST) -m "not slow and not server" $(PYTEST_ARGS)

check: $(VENV)/.has-dev  ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

test: $(VENV)/.has-test system $(VENV)/.has-apart  ## the whole suite; pytest prints the last line
	@$(PYTEST) $(PYTEST_ARGS)

demo: $(VENV)/.has-demo  ## the example site under Gunicorn, with real traffic
	@$(BIN)/python example/demo.py

bench: $(VENV)/.has-test  ## what slowhound costs
	@PYTHON='$(PYTHON)' scripts/system-packages.sh bench
	@$(BIN)/python -m bench

redaction: $(VENV)/.has-test  ## recall and precision of masking, on tests/redaction/*.jsonl
	@$(BIN)/python -m tests.redaction

soak: $(VENV)/.has-soak  ## tries to crash a worker by all that has crashed CPython; 10 minutes
	@$(BIN)/python scripts/soak $(SOAK_ARGS)

screenshots: $(VENV)/.has-test system  ## retakes the screenshots in the docs, with the tests of pages
	@SLOWHOUND_SCREENSHOTS=1 $(BIN)/python -m pytest tests/pages $(PYTEST_ARGS)

matrix: python  ## the suite on other Pythons, Djangos and Gunicorns
	@$(PYTHON) scripts/matrix.py $(MATRIX_ARGS)

drift: python $(VENV)/.has-dev  ## the suite with the newest, and with the lowest versions that pyproject.toml allows
	@$(PYTHON) scripts/drift.py $(DRIFT_ARGS)

update: $(VENV)/.has-dev  ## moves the lock files in requirements/ to today's newest versions
	@scripts/update.sh $(BIN)/uv $(UPDATE_ARGS)

dist: $(VENV)/.has-dev  ## wheel and sdist
	rm -rf dist
	$(BIN)/python -m build

format: $(VENV)/.has-dev  ## has ruff fix and format what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## removes everything that the targets above make
	rm -rf $(VENV) dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@PYTHON='$(PYTHON)' scripts/install.sh check

system: python
	@PYTHON='$(PYTHON)' scripts/system-packages.sh test

# An environment made by another Python than PYTHON, or copied from another checkout, is made again.
MADE_BY := $(shell cat $(VENV)/.made-by 2>/dev/null)
ifneq ($(or $(MADE_BY),$(PYTHON) $(CURDIR)),$(PYTHON) $(CURDIR))
$(shell rm -f $(VENV)/.has-*)
endif

# One stamp for each lock file in requirements/; dev.txt includes all that test.txt names, and so on.
$(VENV)/.has-%: requirements/%.txt pyproject.toml scripts/install.sh
	@PYTHON='$(PYTHON)' VENV='$(VENV)' scripts/install.sh $*
	@touch $@

$(VENV)/.has-apart: $(wildcard requirements/apart/*.txt) $(VENV)/.has-test
	@PYTHON='$(PYTHON)' VENV='$(VENV)' scripts/install.sh apart
	@touch $@
