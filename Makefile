# The commands of this project. Each sets up what it needs by itself.
.DEFAULT_GOAL := help
.PHONY: help cluster cluster-down

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

cluster: ## bring up a Kubernetes with database servers and our chart, and leave it running
	@e2e/cluster/up.sh
	@e2e/cluster/release.sh

cluster-down: ## end that cluster and remove all that it left on the machine
	@e2e/cluster/down.sh
