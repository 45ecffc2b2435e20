# Two commands: `make demo` runs the whole pipeline, `make test` runs the tests. Both set everything up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=
PIP_INSTALL := $(BIN)/pip install --quiet --constraint constraints/cpu.txt
TORCH := torch==2.13.0+cpu

.DEFAULT_GOAL := help
.PHONY: help env env-gpu demo test lint bench-learning real-data clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(READY)  ## create .venv from the constraints file

$(READY): pyproject.toml constraints/cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed: $$($(PYTHON) --version). Run make PYTHON=python3.11 …"; exit 2; }
	@echo "creating $(VENV): about 3 minutes and 4 GB"
	$(PYTHON) -m venv $(VENV)
# the plain pin first; elsewhere the CPU build of torch is only in PyTorch's own index
	$(BIN)/pip install --quiet $(TORCH) || $(BIN)/pip install --quiet $(TORCH) --index-url https://download.pytorch.org/whl/cpu
	$(PIP_INSTALL) --editable '.[train,serve-cpu,dev]'
# pulled in by vLLM, built for CUDA, broken under CPU torch, needed by nothing here
	$(BIN)/pip uninstall --quiet --yes torchaudio torchcodec
	$(BIN)/python -m skinr1.training.build_ops
	touch $@

env-gpu:  ## create .venv on a CUDA machine, with the official vLLM
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --constraint constraints/gpu.txt --editable '.[train,serve-gpu,dev]'

demo: env  ## the whole pipeline on the embedded default; ends with a table and a page
	$(BIN)/skinr1 demo

test: env  ## all tests that need no GPU
	$(BIN)/python -m pytest -m "not gpu" $(PYTEST_ARGS)

lint: env  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy skinr1 data_builders recipes eval benchmarks

bench-learning: env  ## does GRPO lift SFT? the whole pipeline from three seeds (hours)
	$(BIN)/python benchmarks/learning.py

real-data: env  ## the pipeline on the real photographs of PAD-UFES-20 (after make demo)
	$(BIN)/skinr1 demo --recipes recipes/pad_ufes_20 --output runs/pad_ufes_20

clean:  ## remove runs and caches; keeps .venv
	rm -rf runs build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
