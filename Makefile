# The commands of the project. `make` alone lists them.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin

# make testnet NODES=7 DURATION=30s ARGS="--fresh"
NODES ?= 4
DURATION ?=
ARGS ?=
# make soak SOAK_SECONDS=600 SOAK_FROM=1000000
SOAK_SECONDS ?= 3600
SOAK_FROM ?= 0

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help setup build testnet test soak

help:
	@echo "make testnet   run a testnet of $(NODES) nodes here (NODES=7, DURATION=30s, ARGS='--fresh')"
	@echo "make test      every check: format, lints, tests, the simulator"
	@echo "make soak      the simulator for an hour (SOAK_SECONDS=600, SOAK_FROM=first seed)"
	@echo "make build     the program, optimised: $(TARGET)/release/quorate"
	@echo "make setup     install what a fresh Debian 12 lacks"

setup:
	@.ci/setup

build: setup
	@cargo build --release -p quorate

testnet: build
	@exec $(TARGET)/release/quorate testnet --nodes $(NODES) $(if $(DURATION),--duration $(DURATION)) $(ARGS)

test: setup
	@.ci/test

soak: setup
	@cargo run --release --quiet -p quorate-tests --bin sim -- \
		--seeds $(SOAK_FROM)..$$(( $(SOAK_FROM) + 1000000000 )) --seconds $(SOAK_SECONDS) --jobs $$(nproc)
