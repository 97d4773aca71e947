# Set-up and checks; everything goes into .venv and runs/ of this folder.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DEMO_ENV ?= HalfCheetah-v5
TEST_JOBS ?= 2

.PHONY: help demo test test-slow lint wheel-test clean

help:
	@echo "make demo        train BPO for about two minutes, evaluate it, draw its learning curve"
	@echo "make test        fast tests        make test-slow   tests that train to a threshold"
	@echo "make lint        ruff and mypy     make wheel-test  tests of the built wheel, from an empty folder"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing rlsuite into .venv (a few minutes the first time)"
	@$(PIP) -e .
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing rlsuite and its test tools into .venv (a few minutes the first time)"
	@$(PIP) -e '.[dev]'
	@touch $@ .venv/installed

demo: .venv/installed
	@$(BIN)/python -m rlsuite_zoo.demo $(DEMO_ENV) runs/demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -q -n $(TEST_JOBS)

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -q -n $(TEST_JOBS) -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The wheel is what users get: build it, install it apart, and test it where no checkout can help.
wheel-test: .venv/installed-dev
	rm -rf build/wheel && mkdir -p build/wheel/empty
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps -w build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt \
		"$$(ls build/wheel/rlsuite-*.whl)" pytest pytest-xdist hypothesis
	cd build/wheel/empty && RLSUITE_WHEEL=1 ../venv/bin/python -m pytest -q -n $(TEST_JOBS) -c ../../../pyproject.toml \
		--rootdir=../../.. ../../../tests/packaging ../../../tests/zoo ../../../tests/test_sb3.py \
		--ignore=../../../tests/zoo/pages --ignore=../../../tests/zoo/robustness  # long, and the same in a checkout

clean:
	rm -rf .venv build dist
