##@ Observability

OBSERVABILITY := PYTHONDONTWRITEBYTECODE=1 STACK="$(STACK)" python3 observability/checks

.PHONY: observability-check
observability-check: ## Check scraping, rules, alerts, routes, dashboards, log pipelines and runbooks
	@$(OBSERVABILITY)/check.py

.PHONY: observability-test
observability-test: ## Real Prometheus and Alertmanager beside a real stack: parts die, alerts arrive, and end
	@$(OBSERVABILITY)/real.py test

.PHONY: observability-traces
observability-traces: ## A real Jaeger beside a real stack: a change is one trace across Kafka (builds Jaeger once)
	@$(OBSERVABILITY)/traces.py

.PHONY: observability-logs
observability-logs: ## Log lines of a real stack by Filebeat in a real OpenSearch, found by their fields (JDK 21)
	@command -v mvn > /dev/null || apt-get install --yes --quiet --no-install-recommends maven
	@$(OBSERVABILITY)/stored_logs.py

.PHONY: observability-inventory
observability-inventory: ## Write down anew which metrics every exporter gives beside a real stack
	@$(OBSERVABILITY)/real.py inventory

.PHONY: observability-dashboards
observability-dashboards: ## Write Grafana's dashboards anew from their definitions
	@PYTHONDONTWRITEBYTECODE=1 python3 observability/grafana/dashboards.py

.PHONY: observability-evidence
observability-evidence: ## Write docs/evidence/observability.txt: all four checks, as they ran
	@$(OBSERVABILITY)/evidence.py
