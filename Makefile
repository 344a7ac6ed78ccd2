# The short names of what is done often. `make build` and `make deploy` come with the infrastructure.

.PHONY: run test lint fmt planted-bugs

run:
	cargo run -p local

test:
	cargo test --workspace

lint:
	cargo clippy --workspace --all-targets -- -D warnings

fmt:
	cargo fmt --all

planted-bugs:
	cargo run -p testkit --bin planted-bugs
