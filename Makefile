# pdesurr: `make run` and `make test` need only make and Python 3.11 or newer; `make help` lists the rest.
# Settings: PYTHON=/path/to/python  VENV=folder (default .venv)  ARGS="arguments of pdesurr run"
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test test-all lint lock peers clean
.DELETE_ON_ERROR:

PYTHON ?=
VENV ?= .venv
VENV_PEER ?= .venv-peer
ARGS ?=
PYTEST_ARGS ?=
PYTHON_VENV = $(VENV)/bin/python
export PYTHON

# glibc gives every buffer above 128 kB back to the system when it is freed and takes it, page by page, at the next step:
# on CPU that costs a training step up to a factor of two. With these it keeps them, in huge pages. Other allocators ignore them.
ALLOCATOR = MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1099511627776 MALLOC_TOP_PAD_=67108864 \
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1

# A home folder that cannot be written to is no obstacle: what matplotlib caches lives in the environment.
export MPLCONFIGDIR ?= $(abspath $(VENV))/matplotlib

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.stamp-run ## generate data, train, evaluate and report at a small size: make run ARGS="..."
	@$(ALLOCATOR) $(PYTHON_VENV) -m pdesurr run $(ARGS)

test: $(VENV)/.stamp-dev ## the tests, without the slow ones: make test PYTEST_ARGS="-k data"
	@$(PYTHON_VENV) -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

test-all: $(VENV)/.stamp-dev ## every test, the slow ones too
	@$(PYTHON_VENV) -m pytest -q -n 2 --dist worksteal -m "" $(PYTEST_ARGS)

lint: $(VENV)/.stamp-dev ## ruff and pyright (pyright fetches itself the first time)
	@$(PYTHON_VENV) -m ruff check .
	@$(PYTHON_VENV) -m pyright --pythonpath $(PYTHON_VENV)

# The stamps are written last, so that an interrupted installation is done again.
LOCKS = $(wildcard requirements/*.txt)
$(VENV)/.stamp-run: pyproject.toml requirements/install.sh $(LOCKS)
	@requirements/install.sh $(VENV) run
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml requirements/install.sh $(LOCKS)
	@requirements/install.sh $(VENV) dev
	@touch $(VENV)/.stamp-run $@

# --universal: one file for Linux, macOS and Windows. The dev files contain the run files, at the same versions.
COMPILE = uv pip compile --quiet --universal --generate-hashes --no-header --fork-strategy fewest --upgrade
lock: ## compile requirements/*.txt again (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	cd requirements && $(COMPILE) --python-version 3.11 ../pyproject.toml py311.in -o py311.txt
	cd requirements && $(COMPILE) --python-version 3.12 ../pyproject.toml py312.in -o py312.txt
	cd requirements && $(COMPILE) --python-version 3.11 --extra dev ../pyproject.toml py311.in -c py311.txt -o py311-dev.txt
	cd requirements && $(COMPILE) --python-version 3.12 --extra dev ../pyproject.toml py312.in -c py312.txt -o py312-dev.txt

peers: $(VENV_PEER)/.stamp ## the packages that the benchmarks compare with, in their own environment
$(VENV_PEER)/.stamp: experiments/benchmarks/peers.txt $(VENV)/.stamp-run
	@echo "pdesurr set-up: $(VENV_PEER) from $<"
	@$(PYTHON_VENV) -m venv $(VENV_PEER)
	@$(VENV_PEER)/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@touch $@

clean: ## remove the environments and every cache (runs/ and data files stay)
	rm -rf $(VENV) $(VENV_PEER) .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
