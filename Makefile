# `make` alone lists the targets. Each first makes or updates the environment that it needs, in .venv.
EXPERIMENT ?= scenes_pspnet
DATA ?= scenes
ARGS ?=
PYTHON ?= python3
PYTHONS ?= 3.10 3.11 3.12 3.13
TORCH ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
PSPNET := $(RUN) pspnet
STAMP := $(VENV)/.made-from-requirements

.DEFAULT_GOAL := help
.PHONY: help setup train eval predict ablation bench test test-versions lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  EXPERIMENT=NAME  a file in configs/experiment/ (now: $(EXPERIMENT))"
	@echo "  ARGS='--key=value …'  override any option; '$(VENV)/bin/pspnet fit --help' lists them"

setup: $(STAMP) ## make or update the environment in .venv [TORCH=cpu: without CUDA, for a new one]
	@echo "done; next: make train"

$(STAMP): requirements.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh "$(VENV)" "$(PYTHON)" "$(TORCH)"
	@touch $@

train: $(STAMP) ## train EXPERIMENT, evaluate its best checkpoint, draw its figures
	@$(PSPNET) fit -c base -c "$(EXPERIMENT)" $(ARGS)

eval: $(STAMP) ## evaluate CKPT=FILE.ckpt on the validation split
	@$(PSPNET) validate --ckpt_path="$(or $(CKPT),$(error give CKPT=FILE.ckpt))" $(ARGS)

predict: $(STAMP) ## predict on IMAGES=FILE_OR_FOLDER with CKPT=FILE.ckpt [OUT=FOLDER]
	@$(PSPNET) predict --ckpt_path="$(or $(CKPT),$(error give CKPT=FILE.ckpt))" \
		--data.images="$(or $(IMAGES),$(error give IMAGES=FILE_OR_FOLDER))" \
		$(if $(OUT),--output.folder="$(OUT)") $(ARGS)

ablation: $(STAMP) ## run what is left of NAME=SWEEP in configs/sweeps [DATA=scenes]
	@$(PSPNET) ablation run "$(or $(NAME),$(error give NAME=SWEEP in configs/sweeps))" --data "$(DATA)" $(ARGS)

bench: $(STAMP) ## time this package beside the published formulation, quickly (ARGS=--full: for a GPU)
	@$(RUN) benchmarks $(ARGS)

test: $(STAMP) ## run the test suite [ARGS="-m slow": its long tests]
	@$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-versions: ## run the test suite on each of PYTHONS, in environments of their own
	@for version in $(PYTHONS); do \
		$(MAKE) --no-print-directory test VENV=".venv-$$version" PYTHON="python$$version" || exit 1; \
	done

lint: $(STAMP) ## check style, format and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: $(STAMP) ## format the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean: ## remove the environment and every cache; data and logs stay
	rm -rf $(VENV) .uv .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
