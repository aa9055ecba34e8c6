# The two commands that matter: `make run` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Undeclared imports between targets are errors, in every build.
SWIFT_FLAGS := --explicit-target-dependency-import-check error
BUILD_PACKAGES := libpq-dev libqrencode-dev libsqlite3-dev pkg-config
TEST_PACKAGES := chromium chromium-driver haproxy nginx-light openssl postgresql systemd
# The suites that run on PostgreSQL too, beside its own.
STORE_SUITES := KassaServiceTests|KassaSessionTests|KassaDeliveryTests|KassaAPITests|EndToEndTests
# The tool chains of the ten languages, what their samples import, and the browser for those of the web.
SAMPLE_PACKAGES := chromium chromium-driver curl default-jdk-headless golang-go libmono-system-net-http4.0-cil mono-mcs \
	mono-runtime nodejs php-cli php-curl python3 python3-requests r-base-core r-cran-httr ruby uuid-runtime
BENCH_PACKAGES := gcc nginx-light postgresql python3 python3-venv wrk

.PHONY: help
help: ## Show these lines
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: run
run: packages ## Build, and start the playground on http://127.0.0.1:8080
	@echo "Building (the first time takes some minutes; the lines below show that it moves) …"
	swift build $(SWIFT_FLAGS) --product kassa
	exec .build/debug/kassa playground $(ARGUMENTS)

.PHONY: test
test: packages lint ## Check the format, build, and run all tests, those in a browser too
	@scripts/install-packages $(TEST_PACKAGES)
	scripts/check-examples
	swift build $(SWIFT_FLAGS) --build-tests
	swift test --skip-build --no-parallel $(ARGUMENTS)
	@echo "Once more on PostgreSQL: the suites that keep something in a store …"
	KASSA_TEST_DATABASE=postgres swift test --skip-build --no-parallel --filter '$(STORE_SUITES)' $(ARGUMENTS)

.PHONY: samples
samples: packages ## Run every sample of the API reference in its own language
	@scripts/install-packages $(SAMPLE_PACKAGES)
	swift build $(SWIFT_FLAGS) --product kassa
	node Tests/samples/run.mjs $(ARGUMENTS)

.PHONY: lint
lint: ## Check the format of the sources
	swift format lint --strict --recursive Sources Tests Plugins Package.swift

.PHONY: format
format: ## Format the sources
	swift format --in-place --recursive Sources Tests Plugins Package.swift

.PHONY: build
build: packages ## Build the optimised program: .build/release/kassa
	swift build $(SWIFT_FLAGS) --configuration release --static-swift-stdlib --product kassa

.PHONY: golden
golden: packages ## Rewrite the generated pages under docs/reference
	swift build $(SWIFT_FLAGS) --build-tests
	KASSA_UPDATE_GOLDEN=1 swift test --skip-build --no-parallel

.PHONY: bench
bench: build ## Measure both stores against their engines' limits and nginx, as ratios in one run
	@scripts/install-packages $(BENCH_PACKAGES)
	bench/run $(ARGUMENTS)

.PHONY: packages
packages:
	@scripts/install-packages $(BUILD_PACKAGES)
