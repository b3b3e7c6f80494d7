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

.PHONY: tf-evidence
tf-evidence: ## Write docs/evidence/terraform.txt (MUTATIONS=1 breaks the rules as well)
	@.github/scripts/evidence.sh docs/evidence/terraform.txt "The stacks, checked without providers: nothing was planned or applied in a cloud" \
		"terraform version" "make --no-print-directory tf-check" $(if $(MUTATIONS),"make --no-print-directory tf-check-mutations")
