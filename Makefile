# Everything here works on a machine that has Python 3.11 or newer with pip, a C compiler and make.
# Each target first makes .venv with what it needs, and only once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Most tests wait for servers: three files of tests at a time halve the time on two cores.
PYTEST := $(BIN)/python -m pytest --numprocesses=3 --dist=loadfile
SOAK_ARGS ?=
MATRIX_ARGS ?=

.DEFAULT_GOAL := fast
.DELETE_ON_ERROR:
.PHONY: fast check test demo bench soak matrix screenshots dist clean format

fast: check $(VENV)/.has-test  ## what to run before a commit: check, and the quick tests
	@$(PYTEST) -m "not slow and not server" $(PYTEST_ARGS)

check: $(VENV)/.has-dev  ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.has-test  ## the whole suite; nothing is printed after pytest's own last line
	@scripts/system-packages.sh test
	@$(PYTEST) $(PYTEST_ARGS)

demo: $(VENV)/.has-demo  ## the example site under Gunicorn, with real traffic
	@$(BIN)/python example/demo.py

bench: $(VENV)/.has-test  ## what slowhound costs
	@scripts/system-packages.sh bench
	@$(BIN)/python -m bench

soak: $(VENV)/.has-soak  ## tries to harm a worker by all that has crashed CPython; 10 minutes
	@$(BIN)/python scripts/soak $(SOAK_ARGS)

screenshots: $(VENV)/.has-test  ## the pictures in the docs, made anew by the tests of pages
	@scripts/system-packages.sh test
	@SLOWHOUND_SCREENSHOTS=1 $(BIN)/python -m pytest tests/pages $(PYTEST_ARGS)

matrix:  ## the suite on other Pythons, Djangos and Gunicorns
	@$(PYTHON) scripts/matrix.py $(MATRIX_ARGS)

dist: $(VENV)/.has-dev  ## wheel and sdist
	rm -rf dist
	$(BIN)/python -m build

format: $(VENV)/.has-dev  ## lets ruff put right what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## removes all that the targets above made
	rm -rf $(VENV) dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's python3 comes without ensurepip; its pip can still fill an environment from outside.
$(BIN)/python:
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	else \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --quiet --python $@ install pip; \
	fi

# One stamp for each extra of pyproject.toml: demo, test, soak, dev.
$(VENV)/.has-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
