# Two commands: `make demo` runs the whole pipeline, `make test` runs the tests. Both set everything up first.

PYTHON ?= python3
NVIDIA_SMI ?= nvidia-smi
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GPU := $(VENV)/.gpu
PYTEST_ARGS ?=
TORCH := torch==2.13.0+cpu
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# DeepSpeed looks for `ninja` on the PATH at every start, and it is the environment that brings one
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env env-gpu browser demo test lint bench-learning bench-ablation real-data clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(READY)  ## create .venv from the constraints file

# pip is the last thing that venv writes
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, $(PYTHON) is not: $$($(PYTHON) --version 2>&1). Run make PYTHON=python3.11 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)

ifeq ($(wildcard $(GPU)),)
$(READY): pyproject.toml constraints/cpu.txt | $(BIN)/pip
	@command -v $${CXX:-c++} >/dev/null || { echo "error: a C++ compiler is needed (DeepSpeed compiles one CPU op): no $${CXX:-c++} on the PATH. Install g++ or run make CXX=…"; exit 2; }
	@$(BIN)/python -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo "error: Python.h is missing (DeepSpeed compiles one CPU op): install the development package of $$($(BIN)/python --version), e.g. python3-dev"; exit 2; }
	@echo "installing into $(VENV): about 3 minutes and 4 GB"
# where pip is told of no such wheel, the CPU build of torch comes from PyTorch's own index
	@$(BIN)/pip install --quiet $(TORCH) || { echo "not there: trying $(TORCH_INDEX)"; $(BIN)/pip install --quiet $(TORCH) --index-url $(TORCH_INDEX); }
	$(BIN)/pip install --quiet --constraint constraints/cpu.txt --editable '.[data,scale,train,serve-cpu,dev]'
# pulled in by vLLM, built for CUDA, broken under CPU torch, needed by nothing here
	$(BIN)/pip uninstall --quiet --yes torchaudio torchcodec
	$(BIN)/python -m skinr1.training.build_ops
	touch $@
else
$(READY): pyproject.toml constraints/gpu.txt | $(BIN)/pip
	$(BIN)/pip install --constraint constraints/gpu.txt --editable '.[data,scale,train,serve-gpu,dev]'
	touch $@
endif

env-gpu:  ## create .venv on a CUDA machine, with the official vLLM (not run on one yet)
	@command -v $(NVIDIA_SMI) >/dev/null || { echo "error: no $(NVIDIA_SMI) here: without an NVIDIA GPU run make env"; exit 2; }
	@test ! -e $(BIN)/pip -o -e $(GPU) || { echo "error: $(VENV) holds the CPU set: move or remove it, then run make env-gpu again"; exit 2; }
	@mkdir -p $(VENV)
	@touch $(GPU)
	@$(MAKE) --no-print-directory env

browser:  ## Chromium, from Debian's packages, as root: for the tests that look at pages; without it they are skipped
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver; }

demo: env  ## the whole pipeline on the embedded default; ends with a table and a page
	$(BIN)/skinr1 demo

test: env  ## all tests that need no GPU
	$(BIN)/python -m pytest -m "not gpu" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: env  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy skinr1 data_builders recipes eval benchmarks

bench-learning: env  ## does GRPO lift SFT? three seeds (an hour or two)
	$(BIN)/python benchmarks/learning.py

bench-ablation: env  ## which part does what: arms, seeds, shifted cases (hours)
	$(BIN)/python benchmarks/ablation.py

real-data: env  ## the pipeline on real photographs, PAD-UFES-20, and real dermoscopy, ISIC UDA-1 (after make demo)
	$(BIN)/skinr1 demo --recipes recipes/pad_ufes_20 --output runs/pad_ufes_20
	$(BIN)/skinr1 demo --recipes recipes/isic_uda1 --output runs/isic_uda1

clean:  ## remove runs and caches; keeps .venv
	rm -rf runs build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
