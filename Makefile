# Everything that one does with Circles from the command line. The work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run test fmt types bench-catch-up bench-client bench-search bench-window bench-relay profile-relay faults sim fuzz

interface := $(shell find ui/src ui/public ui/index.html ui/package-lock.json ui/vite.config.ts ui/svelte.config.js -type f 2>/dev/null)

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: bootstrap-run ui/dist/index.html ## Build Circles and start it (RELEASE=1: with optimisations)
	@scripts/run

test: bootstrap-test ## Check everything: formatting, lints, types and all tests
	@scripts/test

fmt: bootstrap-test ## Format all code
	@cargo fmt --all
	@cd ui && npm run --silent format

bench-catch-up: bootstrap-test ## Measure importing and catching up (FILES="a.jsonl.gz …")
	@scripts/bench-catch-up $(FILES)

bench-client: bootstrap-test ui/dist/index.html ## Measure the desktop app after an absence (FILES="…")
	@scripts/bench-client $(FILES)

bench-search: bootstrap-test ## Measure searching the cache (FILES="a.jsonl.gz …")
	@scripts/bench-search $(FILES)

bench-window: bootstrap-test ui/dist/index.html ## Measure the desktop window: start, memory, idle work (FILES="…")
	@scripts/bench-window $(FILES)

bench-relay: bootstrap-test ## Measure the relay: fan-out, latency, memory, reconnects, commits (ARGS="--only fanout", or "--only nchan" beside that)
	@cargo build --release --quiet --workspace --bins
	@target/release/bench-relay $(ARGS)

profile-relay: bootstrap-test ## Say where the processor time of the relay's fan-out goes
	@cargo build --release --quiet --workspace --bins --config 'profile.release.package.circles-relay.strip="none"'
	@target/release/bench-relay --only profile

faults: bootstrap-test ## Three relays on Postgres and Redis while all of it breaks (ARGS="--seed N --seconds N")
	@cargo build --quiet --workspace --bins
	@target/debug/faults $(ARGS)

sim: bootstrap-test ## Campus life in simulated time (SEEDS=200 FROM=1, or SEED=n for one and its trace; ARGS=--breakages)
	@scripts/sim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200) --from $(or $(FROM),1)) $(ARGS)

fuzz: bootstrap-test ## Look for input that breaks something (SECONDS=60 for each of TARGETS="texts streams bodies")
	@scripts/fuzz $(or $(SECONDS),60) $(TARGETS)

types: bootstrap-test ## Write the interface's types anew from the Rust types
	@scripts/types

.PHONY: bootstrap-run bootstrap-test
bootstrap-run bootstrap-test: bootstrap-%:
	@scripts/bootstrap $*

# The packages must be there before, but their check is no reason to build anew.
ui/dist/index.html: $(interface) | bootstrap-run
	@cd ui && npm run --silent build
