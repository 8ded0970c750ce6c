# Everything there is to do here. `make` alone lists it.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
export PYTHONPATH := .:shared:layers/providers

# -I: the files beside the script must not hide modules of the standard library.
setup = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null \
	|| { echo 'setup: Python 3.11 or newer is needed, and "$(PYTHON)" is not it' >&2; exit 1; }; \
	$(PYTHON) -I local/setup.py
# The layers' own makefiles call uv.
sam = env -u PYTHONPATH SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/$(BIN):$$PATH:$(CURDIR)/.uv/bin" sam

.DEFAULT_GOAL := help
.PHONY: help run test check format demo-failover bench build deploy ops catalog openapi clean

help: ## List the targets
	@echo 'make TARGET [ARGS="..."]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve the whole gateway here (PORT=8787 AIG_DEV_KEY= AIG_DYNAMODB_ENDPOINT= MODELS= FREE_TIER= TIME_SCALE=1 LOG_LEVEL=WARNING)
	$(setup) run
	@exec $(BIN)/python -m local

test: ## Run all tests with coverage, or without it those that ARGS tell pytest
	$(setup) test
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--cov --cov-report=term)

check: ## Check format, lint, types, imports, generated files and the template
	$(setup) check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ops.catalog --check
	$(BIN)/python -m ops.openapi --check
	AWS_DEFAULT_REGION=us-east-1 $(sam) validate --lint

format: ## Format the code and fix what the linter can fix
	$(setup) test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

demo-failover: ## Show every kind of trouble that a provider can make, and what comes of it
	$(setup) run
	@$(BIN)/python -m local.failover

bench: ## Measure the gateway against a bare proxy (bench/README.md)
	$(setup) bench
	@$(BIN)/python -m bench $(ARGS)

build: ## Build the arm64 zips into .aws-sam, without Docker (ARGS go to sam build)
	$(setup) build
	$(sam) build $(ARGS)
	@# Bytecode of the target's version saves nearly half of a cold start's imports; hashes keep the zips reproducible.
	@PATH="$(CURDIR)/$(BIN):$$PATH:$(CURDIR)/.uv/bin" uv run --quiet --no-project --python 3.13 -- \
		python -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build 2>/dev/null \
		|| echo 'No Python 3.13 to be had: built without bytecode, cold starts will be slower.'

deploy: ## Build and deploy to your AWS account (ARGS="--guided" the first time)
	@$(MAKE) --no-print-directory build ARGS=
	$(sam) deploy $(ARGS)

ops: ## Run an operator's command (ARGS="--help" lists them)
	$(setup) ops
	@$(BIN)/python -m ops $(ARGS)

catalog: ## Compile catalog/ to the JSON that the functions read
	$(setup) ops
	@$(BIN)/python -m ops.catalog $(ARGS)

openapi: ## Write openapi.json from the routes
	$(setup) ops
	@$(BIN)/python -m ops.openapi $(ARGS)

clean: ## Remove all that the other targets made in this folder, the environment included
	rm -rf .venv .uv .cache .aws-sam .coverage htmlcov
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
