##@ Image and compose

TIDEMARK_CACHE_DIR ?= $(HOME)/.cache/tidemark
TOOLS ?= $(TIDEMARK_CACHE_DIR)/tools

# Renovate raises this line; compose.sh and checks/report.py read it, so that the version stands nowhere else.
COMPOSE_MODULE := github.com/docker/compose/v2@v2.39.1
COMPOSE_VERSION := $(lastword $(subst @v, ,$(COMPOSE_MODULE)))
COMPOSE := $(TOOLS)/docker-compose-$(COMPOSE_VERSION)
CHECK_JSONSCHEMA := $(TOOLS)/check-jsonschema-0.39.0

# Built in the module's own folder, whose go.mod replaces modules, and moved into place when it is whole.
$(COMPOSE):
	@mkdir -p $(TOOLS)
	@echo "building $(notdir $@)"
	@folder=$$(mktemp -d $(TOOLS)/.build-XXXXXX); trap 'rm -rf "$$folder"' EXIT; \
		cd "$$folder"; go mod init build 2> /dev/null; \
		module=$$(go mod download -json $(COMPOSE_MODULE) | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'); \
		cp "$$module/go.mod" own.mod; cp "$$module/go.sum" own.sum; cd "$$module"; \
		CGO_ENABLED=0 nice -n 19 go build -modfile "$$folder/own.mod" -trimpath \
			-ldflags '-s -w -X github.com/docker/compose/v2/internal.Version=v$(COMPOSE_VERSION)' -o "$$folder/docker-compose" ./cmd; \
		mv "$$folder/docker-compose" $@

$(CHECK_JSONSCHEMA):
	@python3 -m venv $@ && $@/bin/pip install --quiet check-jsonschema==0.39.0 || { rm -rf $@; exit 1; }

.PHONY: deploy-tools
deploy-tools: $(COMPOSE) $(CHECK_JSONSCHEMA) ## Build what compose-check and compose-test need, once

.PHONY: image
image: ## Build the container image (IMAGE=, RUST_IMAGE=, BASE_IMAGE=)
	@deploy/engine/with-engine.sh deploy/build-image.sh

.PHONY: image-test
image-test: ## Look into the image, start it with a sidecar, use it (IMAGE=)
	@deploy/engine/with-engine.sh deploy/checks/with-images.sh daprd redis -- python3 deploy/checks/image_test.py

.PHONY: compose-check
compose-check: $(COMPOSE) $(CHECK_JSONSCHEMA) ## Check the compose files, without an engine
	@python3 deploy/checks/compose_check.py

.PHONY: compose-images
compose-images: $(COMPOSE) ## Name the images of others that the compose files run
	@python3 deploy/checks/compose_images.py

.PHONY: compose-test
compose-test: $(COMPOSE) ## Start the core of the compose file on a real engine, use it, break it
	@deploy/engine/with-engine.sh deploy/checks/with-images.sh daprd redis kafka registry database rabbitmq edge \
		prometheus alertmanager -- python3 deploy/checks/compose_test.py

.PHONY: deploy-evidence
deploy-evidence: ## Write docs/evidence/{image,compose,compose-check}.txt
	@EVIDENCE=1 $(MAKE) --no-print-directory image-test compose-check compose-test
