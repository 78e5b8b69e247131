# make demo   train the documents' network on the shipped digits, write tapegrad-demo.png
# make test   format, lint, types, every test and doctest
# make bench  the benchmarks
# A fresh clone needs Python 3.10+ and make only: the first target creates .venv and installs what is needed there.

PYTHON ?= python3
EXTRAS ?= test,vision,plot
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: help demo test bench format lint types clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("tapegrad needs Python 3.10 or newer; " + sys.executable + " is " + sys.version.split()[0] + " (choose another with make PYTHON=...)" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY)
	$(BIN)/tapegrad demo

test: lint types
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m bench

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis tapegrad-demo.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
