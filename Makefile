# What README and CI call. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run dev gate gate-headless gate-deb test test-all test-window lint lint-window fmt bench gen clean-data

# All but the gate's window, which needs WebKit's headers (scripts/setup window).
ALL := --workspace --exclude hvflvspot-gate
# The window's page inside of its binary, instead of a development server's.
WINDOW := -p hvflvspot-gate --features custom-protocol

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing to build and run (or name it)
	@scripts/setup run

run: ## set up, build, serve on port 3000 with demo data, perform the tour, serve on
	@scripts/setup run
	@cargo build --quiet $(ALL) --bins
	@scripts/run

dev: ## the same server, rebuilt and restarted at every change
	@scripts/setup dev
	@cargo watch -w server -w shared -w migrations -x 'run -p hvflvspot -- serve --dev'

gate: ## set up, build and open the gate's window
	@scripts/setup window
	@scripts/gate-ui build
	@cargo build --quiet $(WINDOW)
	@$${CARGO_TARGET_DIR:-target}/debug/hvflvspot-gate

gate-headless: ## build the gate without a window and say how to enrol it
	@scripts/setup gate
	@cargo build -p gate-core
	@$${CARGO_TARGET_DIR:-target}/debug/gate --help

gate-deb: ## package the gate's window for Debian and Ubuntu
	@scripts/setup window
	@scripts/gate-deb

lint: ## formatting, lints, and that .sqlx is what the migrations and queries say
	cargo fmt --all -- --check
	cargo clippy $(ALL) --all-targets -- -D warnings
	scripts/sqlx-prepare --quiet
	@git diff --exit-code --stat -- .sqlx && [ -z "$$(git ls-files --others --exclude-standard .sqlx)" ] \
	  || { echo ".sqlx has changed: commit it"; exit 1; }

test: ## everything a change needs: lints and all tests, on a real PostgreSQL that it starts itself; the gate's window
	@scripts/setup test
	@$(MAKE) --no-print-directory lint
	cargo build $(ALL) --bins
	cargo nextest run $(ALL)
	@scripts/gate-ui

lint-window: ## lints of the gate's window, which needs WebKit's headers
	cargo clippy $(WINDOW) --all-targets -- -D warnings

test-all: test ## adds the gate's window, the tour, performed against a server of its own on a fresh data folder, third parties, readers of codes, and the pages in a browser
	@scripts/setup third
	@scripts/setup window
	@scripts/gate-ui build
	@$(MAKE) --no-print-directory lint-window
	cargo build $(WINDOW)
	cargo nextest run $(WINDOW)
	@scripts/third/window
	HISTORIES=1000 cargo nextest run $(ALL) -E 'binary(selling) & test(/^histories::/)'
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

test-window: ## the gate's real window as stewards use it, driven on a display of its own
	@scripts/setup third
	@scripts/setup window
	@scripts/third/window

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
