#!/usr/bin/env bash
# Looks for bugs with all that the project has, for as long as asked, and writes one page about it:
#   SOAK_SECONDS=7200 SOAK_PARTS="simulator rounds" SOAK_PROTOCOLS="pbft raft" tests/soak.sh
# Each part gets an equal share of the time for each protocol. The page is SOAK_OUT/soak.md, the same
# for machines SOAK_OUT/soak.json. It fails if a part finds something, runs nothing or tells nothing; it says
# which ran too little for what is rare. Of all schedules of Twins it plays one shard, as large as the time
# allows: which of them, SOAK_SHARD says, and else SOAK_FROM in millions.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/known.sh

seconds=${SOAK_SECONDS:-3600}
from=${SOAK_FROM:-0}
target=${CARGO_TARGET_DIR:-target}
out=${SOAK_OUT:-$target/soak}
read -ra parts <<<"${SOAK_PARTS:-simulator adversaries puppeteer twins rounds mutants}"
read -ra protocols <<<"${SOAK_PROTOCOLS:-hotstuff pbft raft}"
jobs=$(nproc 2>/dev/null || echo 2)
seeds=$from..$((from + 1000000000))
bin=$target/release
page=$out/soak.jsonl
begun=0

say() { printf '\n== %s\n' "$*"; }

# A failure that a part did not tell of itself.
broke() {
    printf '{"part":"%s","seconds":0,"ran":0,"of":0,"figures":[],"counters":[],"table":null,"failures":[{"what":"%s","replay":"%s"}]}\n' \
        "$1" "$2" "${*:3}" >>"$page"
}

# A part that ends without a section of its own, or badly after sound ones, has failed as a whole.
part() {
    local name=$1 before status
    shift
    begun=$((begun + 1))
    say "$name: $*"
    before=$(wc -l <"$page")
    "$@" --report "$page"
    status=$?
    if [ "$(wc -l <"$page")" = "$before" ]; then
        broke "$name" "it ended with status $status and told nothing" "$@"
    elif [ "$status" != 0 ] && ! tail -n "+$((before + 1))" "$page" | grep -q '"what":'; then
        broke "$name" "it ended with status $status after what it told" "$@"
    fi
}

# Whether a protocol is to withstand liars.
withstands() { [ "$1" != raft ]; }

simulator() { part "simulator, $1" "$bin/sim" --protocol "$1" --seeds "$seeds" --seconds "$share" --jobs "$jobs"; }

adversaries() {
    withstands "$1" || return 0
    for nodes in 4 7; do
        part "adversaries, $1, $nodes nodes" "$bin/sim" --protocol "$1" --attack all --nodes "$nodes" \
            --seeds "$seeds" --seconds "$half" --jobs "$jobs"
    done
}

# A shard of all schedules of four views, and longer ones that are drawn. There are so many shards that one
# is played to its end at 200 schedules a second for each job, half of what a busy core does: what is behind
# the place where a shard is cut would never be played.
twins() {
    withstands "$1" || return 0
    local shards=$((1502936 / (200 * half * jobs) + 1))
    local shard=$((${SOAK_SHARD:-$((from / 1000000))} % shards))
    part "twins, $1" "$bin/twins" --protocol "$1" --views 4 --shard "$shard/$shards" --seconds "$half" --jobs "$jobs"
    part "twins, $1, longer" "$bin/twins" --protocol "$1" --views 8 --phases 3 --warm --sample 1000000000 \
        --seed "$from" --seconds "$half" --jobs "$jobs"
}

puppeteer() {
    withstands "$1" || return 0
    part "puppeteer, $1" "$bin/puppeteer" --protocol "$1" --seeds "$seeds" --seconds "$share" --jobs "$jobs"
}

# Each round takes its own time, and in the end a replica sleeps for a minute; in half of the time nodes lie,
# where that is to be withstood.
rounds() {
    local span=$share
    if withstands "$1"; then
        span=$half
        part "fault rounds with liars on real processes, $1" "$bin/rounds" --protocol "$1" --seed "$from" \
            --adversary any --rounds 1000000 --seconds "$span"
    fi
    part "fault rounds on real processes, $1" "$bin/rounds" --protocol "$1" --seed "$from" \
        --rounds 1000000 --seconds "$span"
}

mutants() {
    RUSTFLAGS="--cfg planted" cargo build --profile planted --quiet --target-dir "$target/planted" \
        -p quorate-tests --bin sim || {
        begun=$((begun + 1))
        broke "planted bugs, $1" "the program with planted bugs does not build"
        return
    }
    part "planted bugs, $1" "$target/planted/planted/sim" --protocol "$1" --planted all --jobs "$jobs"
}

known part "simulator adversaries puppeteer twins rounds mutants" "${parts[@]}"
known protocol "hotstuff pbft raft" "${protocols[@]}"
share=$((seconds / ${#parts[@]} / ${#protocols[@]}))
[ "$share" -gt 0 ] || share=1
half=$((share / 2))
[ "$half" -gt 0 ] || half=1
cargo build --release --quiet --workspace --bins --features quorate-tests/e2e || exit
mkdir -p "$out" && : >"$page" || exit
for name in "${parts[@]}"; do
    for protocol in "${protocols[@]}"; do
        "$name" "$protocol"
    done
done
if [ "$begun" = 0 ]; then
    echo "$0: none of these parts has anything to do under these protocols" >&2
    exit 1
fi
say "report"
"$bin/report" "$page" --parts "$begun" --commit "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
