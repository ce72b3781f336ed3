SHELL := /bin/bash -o pipefail
# Where Go's own installation puts it, which sudo and CI often leave out.
export PATH := $(PATH):/usr/local/go/bin

BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 20s

.PHONY: help build test lint bench fuzz soak matrix test-fresh

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/racelab
	go build -o bin/racelab ./cmd/racelab

test: ## run everything, with the race detector; installs what it needs if it may
	@scripts/test.sh

lint: ## gofmt, vet (also for macOS), staticcheck, a tidy go.mod
	@scripts/lint.sh

bench: ## run the benchmarks (BENCH=regexp, BENCHTIME=1s), with as much garbage as the command allows itself
	GOGC=400 go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) ./...

fuzz: ## run each fuzz test for FUZZTIME=20s
	@go test -list '^Fuzz' ./... \
	| awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, names[i]; n = 0 }' \
	| { failed=0; \
		while read -r package name; do \
			echo "== $$package $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package </dev/null || failed=1; \
		done; \
		exit $$failed; }

soak: ## run the long variants of the tests, with all servers and full-length windows
	RACELAB_SOAK=1 RACELAB_TEST_REQUIRE=1 go test -count=1 -timeout 2h ./...

matrix: build ## compute docs/matrix.md anew, on all engines that are found
	@mkdir -p docs
	bin/racelab matrix --format markdown > docs/matrix.md.new || { rm docs/matrix.md.new; exit 1; }
	mv docs/matrix.md.new docs/matrix.md

test-fresh: ## prove `make test` on a new Debian in a folder; needs root and debootstrap
	@scripts/fresh.sh
