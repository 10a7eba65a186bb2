# What README and CI call. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run dev gate test test-all lint fmt bench gen clean-data

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing to build and run (or name it)
	@scripts/setup run

run: ## set up, build, serve on port 3000 with demo data, perform the tour, serve on
	@scripts/setup run
	@cargo build --quiet --workspace --bins
	@scripts/run

dev: ## the same server, rebuilt and restarted at every change
	@scripts/setup dev
	@cargo watch -w server -w shared -w migrations -x 'run -p hvflvspot -- serve --dev'

gate: ## build the headless gate and say how to enrol it
	@scripts/setup run
	@cargo build -p gate-core
	@target/debug/gate --help

lint: ## formatting, lints, and that .sqlx is what the migrations and queries say
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/sqlx-prepare --quiet
	@git diff --exit-code --stat -- .sqlx && [ -z "$$(git ls-files --others --exclude-standard .sqlx)" ] \
	  || { echo ".sqlx has changed: commit it"; exit 1; }

test: ## everything a change needs: lints and all tests, on a real PostgreSQL that it starts itself; the gate's window
	@scripts/setup test
	@$(MAKE) --no-print-directory lint
	cargo build --workspace --bins
	cargo nextest run --workspace
	@scripts/gate-ui

test-all: test ## adds the tour, performed against a server of its own on a fresh data folder, third parties, and the pages in a browser
	@scripts/setup third
	HISTORIES=1000 cargo nextest run --workspace -E 'binary(selling) & test(/^histories::/)'
	@scripts/third/openapi
	@scripts/third/schemathesis
	@scripts/third/slowhttptest
	@scripts/third/localstripe
	@scripts/third/web-push
	@scripts/third/webhooks
	@scripts/third/decoders
	@scripts/third/browser
	@scripts/run --once
	@scripts/third/supabase-js

bench: ## every bench beside its floor, release build
	cargo build --release -p hvflvspot -p gate-core
	target/release/hvflvspot bench all

gen: ## regenerate .sqlx and the checked-in OpenAPI document
	scripts/sqlx-prepare
	cargo run --quiet -p hvflvspot -- openapi > docs/openapi.json

fmt: ## format
	cargo fmt --all

clean-data: ## throw the demo data away
	rm -rf data
