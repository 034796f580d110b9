# The commands of this project. Each sets up what it needs by itself.
.DEFAULT_GOAL := help
.PHONY: help demo test check mutants fuzz bench generate cluster cluster-down

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the story of one database on a real cluster, narrated
	@e2e/demo.sh

test: ## all tests; ends with `N passed, N failed`
	@e2e/test.sh

check: ## format, clippy, docs, licences, generated files, charts
	@e2e/check.sh

mutants: ## break what decides, one mutant at a time, and show whether the model and which other test catch it (30 minutes)
	@e2e/mutants.sh

bench: ## figures beside those of other ways, as tables; PARTS="backups" measures less
	@e2e/bench.sh $(PARTS)

SECONDS ?= 60
fuzz: ## the operator against an API server that fails in every way, with new seeds for SECONDS=60; SEED=n repeats one
	@FUZZ_SECONDS=$(SECONDS) SEED=$(SEED) e2e/fuzz.sh

generate: ## everything that is generated: CRDs, API reference, tables, the protocol, Jobs
	@e2e/generate.sh

cluster: ## bring up a Kubernetes with database servers and our chart, and leave it running
	@e2e/cluster/up.sh
	@e2e/cluster/release.sh

cluster-down: ## end that cluster and remove all that it left on the machine
	@e2e/cluster/down.sh
