# Tidemark. `make` shows what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/tidemark/target

# The local stack's own program; builds in a moment once it was built.
STACK := cargo run --quiet --package tidemark-stack --bin stack --

.PHONY: help
help: ## Show the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Develop

.PHONY: dev-up
dev-up: ## Bring everything up (MODE=docker or native, TOPOLOGY=split, PORT=3001)
	@MODE=$(or $(MODE),auto) $(STACK) up

.PHONY: dev-infra
dev-infra: ## Bring up everything but the program, to run that yourself
	@$(STACK) up --infrastructure-only

.PHONY: dev-seed
dev-seed: ## Put in the demo users and the sample board, where they are missing (URL=)
	@cargo run --quiet --package tidemark -- seed --url $(or $(URL),http://127.0.0.1:$(or $(PORT),3001))

.PHONY: dev-down
dev-down: ## Stop everything in order; data stays
	@$(STACK) down

.PHONY: dev-restart
dev-restart: ## Build and run your changes; data stays (PART=redis for one part)
	@$(STACK) restart

.PHONY: dev-logs
dev-logs: ## Follow the logs (ROLE=tasks, PART=kafka)
	@$(STACK) logs

.PHONY: dev-status
dev-status: ## Show what runs, and where
	@$(STACK) status

.PHONY: dev-reset
dev-reset: ## Stop everything and remove all data
	@$(STACK) reset

.PHONY: doctor
doctor: ## Tell what this machine has, what is missing and how to get it
	@$(STACK) doctor

.PHONY: install
install: ## Install the parts of the local stack without starting them
	@$(STACK) install

##@ Check

.PHONY: build
build: ## Build the release programs
	cargo build --release --workspace

.PHONY: lint
lint: ## Formatting and lints, as CI wants them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

# Debian's own Python takes modules from Debian's packages alone.
.PHONY: python-yaml
python-yaml:
	@python3 -c 'import yaml' 2> /dev/null \
		|| if [ "$$(command -v python3)" = /usr/bin/python3 ]; then apt-get install --yes --quiet python3-yaml; \
		else python3 -m pip install --quiet pyyaml; fi

charts-test compose-check cluster-test cluster-test-deep observability-check pipelines-check: python-yaml

.PHONY: check
check: ## What needs no running system: OpenAPI document, charts, compose file, pipelines, observability, clouds
	$(MAKE) --no-print-directory openapi-check
	$(MAKE) --no-print-directory charts-test
	$(MAKE) --no-print-directory compose-check
	$(MAKE) --no-print-directory observability-check
	$(MAKE) --no-print-directory pipelines-check
	$(MAKE) --no-print-directory tf-check

.PHONY: test-program
test-program: ## Unit, property, contract and acceptance tests on the real parts
	cargo test --workspace

.PHONY: test
test: lint check test-program ## Everything: lints, checks, and every test on the real parts

.PHONY: bench
bench: ## Compare the release build with its own raw sidecar (wrk; writes to standard output)
	command -v wrk > /dev/null || apt-get install --yes --quiet wrk
	cargo build --release --package tidemark
	cargo run --quiet --release --package tidemark-bench -- --binary $(CARGO_TARGET_DIR)/release/tidemark

include terraform/terraform.mk
include charts/charts.mk
include app/cluster/cluster.mk
include app/contract/contract.mk
include .github/pipelines.mk
include deploy/deploy.mk
include observability/observability.mk
