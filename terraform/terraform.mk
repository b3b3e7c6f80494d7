##@ Terraform

.PHONY: tf-check
tf-check: ## Check the stacks of all clouds, offline
	@python3 terraform/checks/check.py

.PHONY: tf-check-mutations
tf-check-mutations: ## Break each rule of the stacks once and see it noticed
	@python3 terraform/checks/check.py mutations

.PHONY: tf-golden
tf-golden: ## Accept what the stacks would now make
	@python3 terraform/checks/check.py golden

.PHONY: tf-docs
tf-docs: ## Write the stacks' READMEs anew
	@python3 terraform/checks/check.py docs

.PHONY: tf-tools
tf-tools: ## Install the tools of tf-check
	@python3 terraform/checks/check.py install
