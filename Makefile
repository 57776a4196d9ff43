# The commands of the project. `make` alone lists them.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin

# make testnet NODES=7 DURATION=30s ARGS="--fresh"
NODES ?= 4
DURATION ?=
ARGS ?=
# make soak SOAK_SECONDS=600 SOAK_FROM=1000000 SOAK_PARTS="simulator adversaries" SOAK_PROTOCOLS=raft
export SOAK_SECONDS SOAK_FROM SOAK_SHARD SOAK_PARTS SOAK_PROTOCOLS
# make fuzz FUZZ_SECONDS=600 ARGS="node_pbft state"
FUZZ_SECONDS ?= 60

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help setup build testnet test mutants mutants-rules soak release-run fuzz versus-etcd

help:
	@echo "make testnet   run a testnet of $(NODES) nodes here (NODES=7, DURATION=30s, ARGS='--fresh')"
	@echo "make test      every check: format, lints, tests, the simulator"
	@echo "make mutants   whether every planted bug is found: by the simulator, Twins, the puppeteer, unit tests (ARGS='--most 500 --starts 3')"
	@echo "make mutants-rules  whether unit tests notice every small change of the rules (ARGS='raft/rules'; needs cargo-mutants)"
	@echo "make soak      simulator, attacks, fault rounds, planted bugs, ... for an hour, and a report (SOAK_SECONDS=600, SOAK_PROTOCOLS=raft)"
	@echo "make release-run  every Twins schedule of four views, a thousand seeds of each attack, the planted bugs: hours"
	@echo "make fuzz      every fuzzer for a minute (FUZZ_SECONDS=600, ARGS='node_pbft state'; needs cargo-fuzz)"
	@echo "make versus-etcd  Raft mode beside a real etcd (ARGS='--rounds 1 --seconds 3 --restart 20000')"
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

# Bugs chosen at run time, in a build of its own beside the usual one; an error if one survives. Not
# part of `test`: build and hunt take more than ten minutes.
mutants: setup
	@tests/mutants.sh $(ARGS)

# Every small change of the rules, against the unit tests; hours. Needs cargo-mutants.
mutants-rules: setup
	@tests/mutants-rules.sh $(ARGS)

soak: setup
	@tests/soak.sh

release-run: setup
	@SOAK_PARTS="schedules attacks mutants" tests/soak.sh

fuzz: setup
	@tests/fuzz.sh $(FUZZ_SECONDS) $(ARGS)

versus-etcd: setup
	@tests/etcd.sh $(ARGS)
