#!/usr/bin/env bash
# Runs the fuzzers in turn: `fuzz.sh SECONDS [TARGET...]`, or all of them. What they find lies in
# tests/fuzz/artifacts; their growing corpora lie with the build, beside those of the tree. `fuzz.sh keep`
# makes these anew: the seeds, and of all else as little as reaches the same code.
#
# Without a sanitizer unless SANITIZER names one: our crates forbid unsafe code, and address checks
# cost two thirds of the speed. SANITIZER=address bounds single allocations as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/fuzz"

die() { printf 'fuzz: %s\n' "$*" >&2; exit 1; }
command -v cargo-fuzz >/dev/null || die "cargo-fuzz is missing: cargo install cargo-fuzz"
cargo +nightly --version >/dev/null 2>&1 ||
    die "a nightly compiler is missing (its instrumentation is not stable): rustup toolchain install nightly"

sanitizer=${SANITIZER:-none}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz
grown=$CARGO_TARGET_DIR/corpus
# The versions that the product has.
cp ../../Cargo.lock Cargo.lock
cargo +nightly fuzz build --fuzz-dir . --sanitizer "$sanitizer" --features rpc

run() {
    local target=$1
    shift
    cargo +nightly fuzz run --fuzz-dir . --sanitizer "$sanitizer" --features rpc "$target" "$@"
}
limits=(-rss_limit_mb=2048 -malloc_limit_mb=256 -timeout=20 -detect_leaks=0 -print_final_stats=1)

how=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
failed=()
for target in "${targets[@]}"; do
    mkdir -p "$grown/$target" "corpus/$target"
    printf '\n== %s\n' "$target"
    if [ "$how" = keep ]; then
        small=$(mktemp -d)
        cp "corpus/$target"/seed-* "$small"
        # Which code is reached, not how often: that would be ten times as much.
        run "$target" "$small" "corpus/$target" "$grown/$target" -- "${limits[@]}" -merge=1 -use_counters=0
        rm -rf "corpus/$target"
        mv "$small" "corpus/$target"
        chmod 755 "corpus/$target"
    else
        run "$target" "$grown/$target" "corpus/$target" -- "${limits[@]}" -max_total_time="$how" ||
            failed+=("$target")
    fi
done
[ ${#failed[@]} = 0 ] || die "found something: ${failed[*]} (see tests/fuzz/artifacts)"
