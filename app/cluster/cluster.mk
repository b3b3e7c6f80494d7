##@ Cluster

CLUSTER := python3 app/cluster/cluster.py

.PHONY: cluster-up
cluster-up: ## Start a real Kubernetes control plane on this machine, with fake nodes
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## End it and remove its data
	@$(CLUSTER) down

.PHONY: cluster-test
cluster-test: ## Test the charts on a real control plane (STEPS="install upgrade" for some; make cluster-steps lists them)
	@python3 -m unittest discover --quiet --start-directory app/cluster --pattern '*_test.py'
	@$(CLUSTER) test $(STEPS) $(if $(STEPS),,--evidence cluster.txt)

# Dapr's programs look for their token at a fixed path, which takes a mount of their own and so the rights of root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,HOME,TIDEMARK_CACHE_DIR,TIDEMARK_BUILD_JOBS)

.PHONY: cluster-test-deep
cluster-test-deep: ## The same with Dapr's operators, Argo CD and Argo Rollouts; the first time builds for long
	@command -v redis-server > /dev/null || { $(AS_ROOT) apt-get update --quiet \
		&& $(AS_ROOT) apt-get install --yes --quiet --no-install-recommends redis-server; }
	@python3 -m unittest discover --quiet --start-directory app/cluster --pattern '*_test.py'
	@$(AS_ROOT) $(CLUSTER) deep $(STEPS) $(if $(STEPS),,--evidence cluster-deep.txt)

.PHONY: cluster-steps
cluster-steps: ## List the steps of both
	@$(CLUSTER) steps

.PHONY: cluster-tools
cluster-tools: ## Build the control plane's programs (WHAT=operators for those of the deep run)
	@python3 app/cluster/tools.py $(or $(WHAT),control-plane)

.PHONY: post-deploy-check
post-deploy-check: ## Check a deployment that is said to be done (URL=…, NAMESPACE=… for a cluster)
	@$(CLUSTER) post-deploy $(or $(URL),http://localhost:3001) $(if $(NAMESPACE),--namespace $(NAMESPACE))
