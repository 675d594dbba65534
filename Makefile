# `make repro` runs the whole pipeline, `make test` the tests; each first builds .venv from the exact pins.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export HF_HUB_OFFLINE := 1
export PYTHONDONTWRITEBYTECODE := # a command would compile all of the package anew

.PHONY: repro experiments report demo bench test hostile coverage lab lint help
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml constraints.txt | moved
	@cat pyproject.toml constraints.txt | cksum | cmp -s - $@ && touch $@ || $(MAKE) --no-print-directory environment

.PHONY: environment moved
moved: # a checkout that was renamed, moved or copied takes its environment along
	@test ! -x $(BIN)/python || $(BIN)/python .ci/relocate.py

environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s: make PYTHON=python3.11 ..." % sys.version.split()[0])'
	@echo "building $(VENV) from constraints.txt (one to two minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt uv
	@links=$$($(BIN)/python -m pip config get :env:.find-links 2>/dev/null || true); \
	  VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode $${links:+--find-links "$$links"} \
	  -c constraints.txt -e '.[train,notebooks,export,dev]'
	@UV_HTTP_TIMEOUT=20 $(BIN)/uv run --quiet --python $(BIN)/python --script .ci/plots.py 2>/dev/null || \
	  echo "vl-convert-python is out of reach: the page of dvc plots show will need a network"
	@cat pyproject.toml constraints.txt | cksum > $(VENV)/.ready

repro: $(VENV)/.ready ## generate faces, train both stages, evaluate, transfer, execute the notebooks
	@python -m faceptor repro
	@python -m faceptor readme

experiments: $(VENV)/.ready ## run the variants of `experiments` in params.yaml that are missing or changed, and judge the claims
	@python -m faceptor experiment all
	@python -m faceptor experiment verdicts

report: $(VENV)/.ready ## the site in docs/site: executed notebooks, results, claims and figures as static pages
	@python -m faceptor report

demo: $(VENV)/.ready ## reports/demo: a page that answers pictures in the visitor's browser
	@python -m faceptor demo

bench: $(VENV)/.ready ## latency, FLOP/s, training steps and more on this machine, as ratios, into results/bench
	@python -m faceptor bench

test: $(VENV)/.ready ## the whole test suite
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python -m pytest -q -n auto --dist worksteal

hostile: $(VENV)/.ready ## 1000 damaged copies of every data set against its reader (the nightly run)
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python -m tests.hostile.run --inputs 1000

coverage: $(VENV)/.ready ## the suite once more, with the lines that no test reaches in reports/coverage/index.html
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python -m pytest -q -n auto --dist worksteal --cov --cov-report=html --cov-report=term:skip-covered

lint: $(VENV)/.ready ## ruff, types and the order of the rooms
	@python -m ruff check faceptor tests tools notebooks
	@python -m basedpyright
	@lint-imports

lab: $(VENV)/.ready ## JupyterLab on this repository, with the tour of it open
	@JUPYTER_CONFIG_PATH=$(CURDIR)/.ci/jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH} python -m jupyter lab

