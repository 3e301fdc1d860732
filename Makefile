# The two commands of the README are `make story` and `make test`; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

RUNTIME_ENV := .venv
TEST_ENV := .venv-test

# The first interpreter that is new enough; `make PYTHON=/path/to/python …` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then echo "$$p"; break; fi; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A prompt may hold quotes and dollar signs: it travels unexpanded, through the environment. Only
# the command line sets it, since some shells use a variable of that name for their own prompt.
ifneq ($(origin PROMPT),command line)
override PROMPT := Tell an illustrated story about a red fox who finds a lantern.
endif
unexport PROMPT
export WEFT_PROMPT := $(value PROMPT)
SEED ?= 7
export WEFT_SEED := $(value SEED)

define make_env
	@if [ -z '$(PYTHON)' ]; then \
	  echo 'weft needs Python 3.11 or newer; none of python3, python3.11 … was. Say which with make PYTHON=…' >&2; \
	  exit 1; fi
	@if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo 'creating $(1)'; $(PYTHON) -m venv --clear $(1); fi
endef

.PHONY: help story test lint kernels kernels-cuda kernels-check clean distclean

help:
	@echo 'make story [PROMPT="…"] [SEED=7]   write an illustrated story to out/'
	@echo 'make test                          install what the tests need and run them'
	@echo 'make lint                          ruff and mypy only'
	@echo 'make kernels                       build the native CPU kernel and run its native tests'
	@echo 'make kernels-cuda                  compile the CUDA kernels (needs nvcc, no GPU)'
	@echo 'make kernels-check                 all that can be checked of the kernels without a GPU'
	@echo 'make clean | make distclean        remove outputs and builds | environments too'

story: $(RUNTIME_ENV)/.installed
	@$(RUNTIME_ENV)/bin/weft generate --seed "$$WEFT_SEED" --output out -- "$$WEFT_PROMPT" </dev/null

test: lint
	$(TEST_ENV)/bin/python -m pytest

lint: $(TEST_ENV)/.installed
	$(TEST_ENV)/bin/python -m ruff check .
	$(TEST_ENV)/bin/python -m mypy

# Editable installs: an edit needs no second install, a changed pyproject.toml does.
$(RUNTIME_ENV)/.installed: pyproject.toml
	$(call make_env,$(RUNTIME_ENV))
	@echo 'installing the runtime (numpy, onnxruntime, pillow, tokenizers)'
	@$(RUNTIME_ENV)/bin/python -m pip install --quiet --editable .
	@touch $@

# torch first and pinned exactly: a range could bring another build than the one that is there.
$(TEST_ENV)/.installed: pyproject.toml
	$(call make_env,$(TEST_ENV))
	$(TEST_ENV)/bin/python -m pip install --quiet torch==2.13.0
	$(TEST_ENV)/bin/python -m pip install --quiet --editable '.[dev,export,training,fp8,rtx]'
	@touch $@

kernels:
	cmake --preset cpu
	cmake --build --preset cpu
	ctest --preset cpu

kernels-cuda:
	cmake --preset cuda
	cmake --build --preset cuda

kernels-check: $(TEST_ENV)/.installed
	$(TEST_ENV)/bin/python -m pytest tests/contract/test_dpcw_declaration.py tests/parity/test_kernel_*.py

clean:
	rm -rf build out dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf $(RUNTIME_ENV) $(TEST_ENV)
