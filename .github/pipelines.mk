##@ Pipelines

TIDEMARK_CACHE_DIR ?= $(HOME)/.cache/tidemark
TOOLS ?= $(TIDEMARK_CACHE_DIR)/tools

# The image's name, without tag or digest.
IMAGE_REPOSITORY ?= ghcr.io/tidemark/tidemark
STAGING_VALUES := charts/tidemark/values-staging.yaml
PRODUCTION_VALUES := charts/tidemark/values-production.yaml

PIPELINES := .github/scripts
# What Renovate raises stands once: a tool lies under its version, so a new version is a new tool.
ACTIONLINT_PACKAGE := github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
ACTIONLINT := $(TOOLS)/actionlint-$(lastword $(subst @v, ,$(ACTIONLINT_PACKAGE)))/actionlint
CARGO_DENY_CRATE := cargo-deny@0.20.2
CARGO_DENY := $(TOOLS)/$(subst @,-,$(CARGO_DENY_CRATE))/bin/cargo-deny
CARGO_LLVM_COV_CRATE := cargo-llvm-cov@0.9.1
CARGO_LLVM_COV := $(TOOLS)/$(subst @,-,$(CARGO_LLVM_COV_CRATE))/bin/cargo-llvm-cov
CARGO_MUTANTS_CRATE := cargo-mutants@27.1.0
CARGO_MUTANTS := $(TOOLS)/$(subst @,-,$(CARGO_MUTANTS_CRATE))/bin/cargo-mutants
# Debian's tools of the LLVM that rustc is built with (rustc -vV) read what its programs count.
LLVM_MAJOR := 22
LLVM_BIN := /usr/lib/llvm-$(LLVM_MAJOR)/bin
# A folder of packages, named by what the list of them says.
PIPELINES_PACKAGES := $(TOOLS)/pipelines-$(shell sha256sum < .github/requirements.txt | head -c 12)
PIPELINES_PYTHON := PYTHONPATH=$(PIPELINES_PACKAGES) PATH="$(PIPELINES_PACKAGES)/bin:$$PATH" python3
export PYTHONDONTWRITEBYTECODE := 1

$(ACTIONLINT):
	GOBIN=$(@D) CGO_ENABLED=0 go install -trimpath $(ACTIONLINT_PACKAGE)

# An interrupted installation must not look finished: it is made beside its place and moved.
$(PIPELINES_PACKAGES):
	mkdir -p $(TOOLS)
	rm -rf $@.new
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--target $@.new --requirement .github/requirements.txt
	mv $@.new $@

$(CARGO_DENY):
	env --unset=CARGO_TARGET_DIR cargo install --quiet --locked --root $(TOOLS)/$(subst @,-,$(CARGO_DENY_CRATE)) $(CARGO_DENY_CRATE)

$(CARGO_LLVM_COV):
	env --unset=CARGO_TARGET_DIR cargo install --quiet --locked --root $(TOOLS)/$(subst @,-,$(CARGO_LLVM_COV_CRATE)) $(CARGO_LLVM_COV_CRATE)

$(CARGO_MUTANTS):
	env --unset=CARGO_TARGET_DIR cargo install --quiet --locked --root $(TOOLS)/$(subst @,-,$(CARGO_MUTANTS_CRATE)) $(CARGO_MUTANTS_CRATE)

$(LLVM_BIN)/llvm-cov:
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get update --quiet
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install --yes --quiet --no-install-recommends llvm-$(LLVM_MAJOR)

.PHONY: pipelines-tools
pipelines-tools: $(ACTIONLINT) $(PIPELINES_PACKAGES) ## Install what pipelines-check needs

.PHONY: pipelines-check
pipelines-check: pipelines-tools ## Check workflows, their scripts, and the shell scripts and units of deploy/
	$(PIPELINES_PYTHON) $(PIPELINES)/check.py
	PATH="$(PIPELINES_PACKAGES)/bin:$$PATH" $(ACTIONLINT)
	$(PIPELINES_PACKAGES)/bin/zizmor --offline --quiet --persona=pedantic --no-progress .github
	$(PIPELINES_PYTHON) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PIPELINES_PYTHON) -m check_jsonschema --builtin-schema vendor.renovate .github/renovate.json
	$(PIPELINES_PYTHON) -m check_jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(PIPELINES_PYTHON) -m check_jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(PIPELINES_PACKAGES)/bin/shellcheck --severity=warning $(shell git ls-files '*.sh' '.ci/run')
	deploy/systemd/check.sh
	$(PIPELINES_PYTHON) -m unittest discover --buffer --start-directory $(PIPELINES)/tests

.PHONY: pipelines-evidence
pipelines-evidence: pipelines-tools ## Write docs/evidence/pipelines.txt
	@$(PIPELINES)/evidence.sh docs/evidence/pipelines.txt "The pipelines, checked; none was run by GitHub" \
		"$(ACTIONLINT) --version" "$(PIPELINES_PACKAGES)/bin/zizmor --version" \
		"make --no-print-directory pipelines-check"

# Jobs begin on an image that has no package lists, and a Python without PyYAML or pip.
.PHONY: runner-prepare
runner-prepare: ## Install what the checks need of a bare Debian or Ubuntu
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get update --quiet
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install --yes --quiet --no-install-recommends python3-pip python3-venv python3-yaml

.PHONY: changes
changes: ## Say which of a pull request's jobs a change concerns (BASE, a commit)
	@python3 $(PIPELINES)/changes.py $(BASE)

.PHONY: dependencies-check
dependencies-check: $(CARGO_DENY) ## Licences, bans, sources and known holes of all dependencies (deny.toml)
	$(CARGO_DENY) --all-features check $(if $(OFFLINE),bans licenses sources)

.PHONY: crates-dry
crates-dry: ## Package every crate as a registry would get it; none is published
	cargo package --workspace --no-verify --exclude-lockfile $(if $(CI),,--allow-dirty)

COVERAGE_ENVIRONMENT := CARGO_TARGET_DIR=$(TIDEMARK_CACHE_DIR)/coverage COVERAGE_TOOL=$(CARGO_LLVM_COV) \
	LLVM_COV=$(LLVM_BIN)/llvm-cov LLVM_PROFDATA=$(LLVM_BIN)/llvm-profdata
# The least shares of lines in per cent.
PAGES := app/pages
COVERAGE_OF_UNITS := app/domain 80 $(PAGES) 80 app/protocol 70
COVERAGE_OF_ACCEPTANCE := app 70
COVERAGE_TOGETHER := app/domain 80 $(PAGES) 80 app/api 80

.PHONY: coverage
coverage: $(CARGO_LLVM_COV) $(LLVM_BIN)/llvm-cov ## Lines that the tests reach, inside and from outside, and whether they are enough
	$(COVERAGE_ENVIRONMENT) $(PIPELINES)/coverage.sh target/coverage
	$(MAKE) --no-print-directory coverage-judge

.PHONY: coverage-judge
coverage-judge: ## Judge what coverage measured last
	@echo "unit and property tests"
	@python3 $(PIPELINES)/coverage.py target/coverage/units.lcov $(COVERAGE_OF_UNITS)
	@echo "acceptance suite, $(if $(TOPOLOGY),in the $(TOPOLOGY) topology alone,in both topologies), without kills"
	@python3 $(PIPELINES)/coverage.py target/coverage/acceptance.lcov $(COVERAGE_OF_ACCEPTANCE)
	@echo "all of them"
	@python3 $(PIPELINES)/coverage.py target/coverage/together.lcov $(COVERAGE_TOGETHER)

.PHONY: coverage-evidence
coverage-evidence: ## Write docs/evidence/coverage.txt: measure, and judge
	@$(PIPELINES)/evidence.sh docs/evidence/coverage.txt "Lines that the tests reach" \
		"make --no-print-directory --silent coverage > target/coverage.log 2>&1 || { tail -30 target/coverage.log; exit 1; }" \
		"make --no-print-directory coverage-judge"

.PHONY: mutants
mutants: $(CARGO_MUTANTS) ## Break rules and pages in small, and see a test fail each time (OF=app/domain, SHARD=1/8; for hours without)
	CARGO_MUTANTS=$(CARGO_MUTANTS) CARGO_TARGET_DIR=$(TIDEMARK_CACHE_DIR)/mutants python3 $(PIPELINES)/mutants.py $(or $(SHARD),1/1) $(or $(OF),app/domain $(PAGES))

.PHONY: faults
faults: ## The acceptance suite, kills and outages included, ROUNDS times in a row
	for round in $$(seq $(or $(ROUNDS),10)); do \
		echo "round $$round"; cargo test --package tidemark-acceptance || exit 1; done

# The acceptance suite does the same for seconds, in both topologies.
.PHONY: garbage
garbage: ## Slow clients, hang-ups and garbage for GARBAGE_SECONDS=600 beside one honest client: nothing grows, nothing is lost
	GARBAGE_SECONDS=$(or $(GARBAGE_SECONDS),600) TOPOLOGY=$(or $(TOPOLOGY),single) \
		cargo test --quiet --package tidemark-acceptance --test acceptance -- strangers_with_garbage

.PHONY: garbage-evidence
garbage-evidence: ## Write docs/evidence/garbage.txt: ten minutes of it, and what was measured
	@mkdir -p target
	@$(PIPELINES)/evidence.sh docs/evidence/garbage.txt "Strangers with garbage: what the program and its sidecar hold" \
		"make --no-print-directory garbage > target/garbage.log 2>&1 || { cat target/garbage.log; exit 1; }; sed -n '/^measured/,/^test result/p' target/garbage.log"

.PHONY: fuzz
fuzz: ## Random and damaged bytes for whatever reads strangers' bytes, FUZZ_SECONDS long
	$(PIPELINES)/fuzz.sh $(or $(FUZZ_SECONDS),600) tidemark-domain tidemark-pages tidemark-protocol tidemark

.PHONY: bench-report
bench-report: ## What bench prints, also in target/bench.txt
	mkdir -p target
	$(MAKE) --no-print-directory bench | tee target/bench.txt

.PHONY: staged-image
staged-image: $(PIPELINES_PACKAGES) ## Say which image staging runs (IMAGE_REPOSITORY)
	@digest=$$($(PIPELINES_PYTHON) $(PIPELINES)/image_digest.py $(STAGING_VALUES)); \
		echo "image=$${digest:+$(IMAGE_REPOSITORY)@$$digest}" | tee -a $${GITHUB_OUTPUT:-/dev/null}

# What follows changes the world outside; the workflows call it, with the rights that they were given.

.PHONY: image-candidate
image-candidate: ## Build the image for looking at it (tidemark:candidate), not for others
	$(PIPELINES)/publish.sh load tidemark:candidate

.PHONY: image-publish
image-publish: ## Build and push the image by its digest (IMAGE_REPOSITORY)
	$(PIPELINES)/publish.sh push $(IMAGE_REPOSITORY)

.PHONY: image-sign
image-sign: ## Sign an image without a key (IMAGE_REPOSITORY, DIGEST)
	cosign sign --yes $(IMAGE_REPOSITORY)@$(DIGEST)

.PHONY: image-verify
image-verify: $(PIPELINES_PACKAGES) ## See that our pipeline signed the image that staging runs (IMAGE_REPOSITORY, REPOSITORY)
	$(PIPELINES)/verify.sh $(IMAGE_REPOSITORY)@$$($(PIPELINES_PYTHON) $(PIPELINES)/image_digest.py $(STAGING_VALUES))

.PHONY: stage
stage: $(PIPELINES_PACKAGES) ## Commit and push an image's digest into staging's values (IMAGE_REPOSITORY, DIGEST, COMMIT)
	PYTHONPATH=$(PIPELINES_PACKAGES) $(PIPELINES)/stage.sh $(STAGING_VALUES) $(IMAGE_REPOSITORY) $(DIGEST) $(COMMIT)

.PHONY: stage-wait
stage-wait: ## Wait until Argo CD runs an image in health (APPLICATION, DIGEST, STAGED)
	python3 $(PIPELINES)/argocd.py $(APPLICATION) $(DIGEST) $(if $(STAGED),--commit $(STAGED))

.PHONY: promote
promote: $(PIPELINES_PACKAGES) ## Propose staging's image for production (IMAGE_REPOSITORY, SOURCE)
	PYTHONPATH=$(PIPELINES_PACKAGES) $(PIPELINES)/promote.sh $(IMAGE_REPOSITORY) $(STAGING_VALUES) $(PRODUCTION_VALUES) $(SOURCE)

.PHONY: changelog
changelog: ## Print what changed (SINCE, UNTIL; the last tag and HEAD by default)
	@python3 $(PIPELINES)/changelog.py "$(or $(SINCE),$$(git describe --tags --abbrev=0 2> /dev/null || true))" "$(or $(UNTIL),HEAD)"

.PHONY: release
release: $(HELM) ## Tag the image, push the charts, publish the notes (IMAGE_REPOSITORY, TAG, REPOSITORY)
	HELM=$(HELM) $(PIPELINES)/release.sh $(IMAGE_REPOSITORY) $(TAG) $(REPOSITORY) $(patsubst %/Chart.yaml,%,$(wildcard charts/*/Chart.yaml))
