# `make demo` shows the whole way on composed images of real logos; `make test` runs the tests. Each sets up `.venv` itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs clean

demo: $(VENV)/.ready
	$(BIN)/logolens demo --out demo --force

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.ready
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy --strict src

docs: $(VENV)/.ready
	$(BIN)/python docs/reference.py

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[train,demo,dev,web,buckets,pdf,serve]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
