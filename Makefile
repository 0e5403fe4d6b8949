# Two commands need nothing but Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_QUESTION ?= Who proposed LoRA?

.PHONY: setup setup-dev demo test slow check format docs clean

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(VENV)/.installed $@

demo: setup
	$(BIN)/ragqa index kb/
	$(BIN)/ragqa ask "$(DEMO_QUESTION)"

# Two at a time. Most tests of a file stay together, as they share what they train; unlike with loadfile, a
# process that dies fails the test it ran and not the run (pytest-xdist 3.8 then waits for ever).
test: setup-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: setup-dev
	$(BIN)/python -m pytest -m slow

check: setup-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ragqa.cli.reference --check docs

format: setup-dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

docs: setup-dev
	$(BIN)/python -m ragqa.cli.reference docs

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
