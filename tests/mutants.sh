#!/usr/bin/env bash
# Whether the tests can fail: hunts every planted bug with all that looks for bugs. The simulator has to
# find each; Twins and the puppeteer those of the protocols' rules that are theirs; and what no scenario
# shows, a unit test, which has to fail with the bug and to pass without it.
#   MUTANTS_PARTS="units twins" MUTANTS_PROTOCOLS=pbft tests/mutants.sh --most 500 --starts 3
# The options are the simulator's. All parts run, whatever survives; fails if anything does.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/known.sh

target=${CARGO_TARGET_DIR:-target}/planted
jobs=$(nproc 2>/dev/null || echo 2)
read -ra parts <<<"${MUTANTS_PARTS:-units simulator twins puppeteer}"
read -ra protocols <<<"${MUTANTS_PROTOCOLS:-hotstuff pbft raft}"
bin=$target/planted
hunted=0
failed=0

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

# cargo, in the build that has the bugs.
planted() { RUSTFLAGS="--cfg planted" cargo "$@" --quiet --profile planted --target-dir "$target"; }

# Whether a part has something to look for under a protocol: two of them look for liars, which raft need not
# withstand.
looks() { [ "$2" != raft ] || { [ "$1" != twins ] && [ "$1" != puppeteer ]; }; }

# Runs one unit test of `consensus`, by its whole name: 0 it passes, 1 it fails, 2 it did not run.
unit() {
    local said
    said=$("$units" --exact "$1" 2>&1)
    case $said in
    *"1 passed; 0 failed"*) return 0 ;;
    *"0 passed; 1 failed"*) return 1 ;;
    *) return 2 ;;
    esac
}

units() {
    local bug name list
    list=$("$bin/sim" --protocol "$1" --units) && [ -n "$list" ] || {
        fail "units, $1: the planted bugs are not listed"
        return
    }
    while read -r bug name; do
        unit "$name" || fail "$name does not pass without a bug"
        QUORATE_PLANTED=$bug unit "$name"
        case $? in
        0) fail "$bug survives $name" ;;
        1) printf '%-18s dies by %s\n' "$bug" "$name" ;;
        *) fail "$name does not run with $bug" ;;
        esac
    done <<<"$list"
}

simulator() { "$bin/sim" --protocol "$1" --planted all --jobs "$jobs" "${options[@]}" || fail "simulator, $1"; }

twins() { "$bin/twins" --protocol "$1" --planted all --jobs "$jobs" || fail "twins, $1"; }

puppeteer() {
    "$bin/puppeteer" --protocol "$1" --planted all --most 20000 --jobs "$jobs" || fail "puppeteer, $1"
}

known part "units simulator twins puppeteer" "${parts[@]}"
known protocol "hotstuff pbft raft" "${protocols[@]}"
options=("$@")
say "build"
planted build -p quorate-tests --bin sim --bin twins --bin puppeteer || exit
# The program of the unit tests: the last one that the compiler names.
units=$(planted test -p consensus --lib --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$units" ] || fail "the unit tests do not build"
for part in "${parts[@]}"; do
    for protocol in "${protocols[@]}"; do
        looks "$part" "$protocol" || continue
        hunted=$((hunted + 1))
        say "$part, $protocol"
        "$part" "$protocol"
    done
done
[ "$hunted" -gt 0 ] || fail "nothing was hunted"
printf '\n%d failed\n' "$failed"
[ "$failed" = 0 ]
