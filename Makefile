# `make` alone lists the targets. Each makes the environment it needs first, in .venv.
EXPERIMENT ?= scenes_pspnet
DATA ?= scenes
ARGS ?=
PYTHON ?= python3

VENV := .venv
RUN := $(VENV)/bin/python -m
STAMP := $(VENV)/.made-from-requirements
FILES := -c configs/base.yaml -c configs/experiment/$(EXPERIMENT).yaml

.DEFAULT_GOAL := help
.PHONY: help setup train eval predict ablation bench test lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  EXPERIMENT=NAME  a file of configs/experiment/ (now: $(EXPERIMENT))"
	@echo "  ARGS='--key=value …'  overrides of any option; '$(VENV)/bin/python -m pspnet fit --help' lists them"

setup: $(STAMP) ## make or update the environment in .venv

$(STAMP): requirements.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh "$(VENV)" "$(PYTHON)"
	@touch $@

train: $(STAMP) ## train EXPERIMENT, evaluate its best checkpoint, draw the pictures
	@$(RUN) pspnet fit $(FILES) $(ARGS)

eval: $(STAMP) ## evaluate CKPT=FILE.ckpt on the validation split
	@$(RUN) pspnet validate --ckpt_path="$(or $(CKPT),$(error give CKPT=FILE.ckpt))" $(ARGS)

predict: $(STAMP) ## predict on IMAGES=FILE_OR_FOLDER with CKPT=FILE.ckpt [OUT=FOLDER]
	@$(RUN) pspnet predict --ckpt_path="$(or $(CKPT),$(error give CKPT=FILE.ckpt))" \
		--data.images="$(or $(IMAGES),$(error give IMAGES=FILE_OR_FOLDER))" \
		$(if $(OUT),--output.folder="$(OUT)") $(ARGS)

ablation: $(STAMP) ## run NAME=SWEEP of configs/sweeps [DATA=scenes], what is not yet finished
	@$(RUN) pspnet.tools.ablation run "$(or $(NAME),$(error give NAME=SWEEP of configs/sweeps))" --data "$(DATA)" $(ARGS)

bench: $(STAMP) ## time ours and the published formulation side by side, quickly (ARGS=--full: for a GPU)
	@$(RUN) benchmarks $(ARGS)

test: $(STAMP) ## run the whole test suite
	@$(RUN) pytest -n 2 --dist loadfile $(ARGS)

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
