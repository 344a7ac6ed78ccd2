# The short names of what is done often. `make help` lists them.

# What to build for: arm64 or x86_64. Empty: arm64, or this machine's where `cargo lambda` is not installed.
ARCHITECTURE ?=
# Arguments of terraform, for deploy and destroy: TERRAFORM_ARGUMENTS=-var-file=production.tfvars
TERRAFORM_ARGUMENTS ?=
TERRAFORM = terraform -chdir=infra

.PHONY: help run build deploy destroy seed fmt lint test e2e bench planted-bugs simulation thorough

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

run: ## the local cloud, on this machine
	cargo run -p local

build: ## bin/*.zip, the functions as Lambda takes them
	infra/build $(ARCHITECTURE)

# Terraform shows its plan and asks. What was built for is what is deployed, unless a variable file says otherwise,
# which the plan then refuses.
deploy: build ## build, show the plan, ask, and apply it
	$(TERRAFORM) init
	TF_VAR_architecture="$$(cat bin/architecture)" $(TERRAFORM) apply $(TERRAFORM_ARGUMENTS)

destroy: ## say what will be lost, ask, and destroy the deployment
	infra/destroy $(TERRAFORM_ARGUMENTS)

seed: ## publish one sample event per schema to the deployment
	aws lambda invoke --region "$$($(TERRAFORM) output -raw region)" \
	  --function-name "$$($(TERRAFORM) output -raw project)-seed" /dev/stdout

fmt: ## format the code
	cargo fmt --all
	if command -v terraform >/dev/null; then terraform fmt -recursive infra; fi

lint: ## clippy, warnings denied
	cargo clippy --workspace --all-targets -- -D warnings

test: ## all tests, those of the infrastructure included
	cargo test --workspace
	infra/test

e2e: ## deploy onto an emulated AWS, seed, check, destroy; then upgrade a deployment of the Go system
	infra/e2e

planted-bugs: ## break the code on purpose and see that a test notices
	cargo run -p testkit --bin planted-bugs

simulation: ## the pipeline under a hundred thousand schedules of faults
	cargo run -p testkit --bin simulate -- --schedules 100000

thorough: ## every planted bug, and a million schedules: hours
	.ci/thorough

bench: ## the processor's figures, from its real release binary
	cargo build --release -p processor
	cargo bench -p local --bench processor --profile dev
