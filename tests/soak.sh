#!/usr/bin/env bash
# Looks for bugs with all that the project has, for as long as asked, and writes one page about it:
#   SOAK_SECONDS=7200 SOAK_PARTS="simulator rounds" SOAK_PROTOCOLS="pbft raft" tests/soak.sh
# Each part gets an equal share of the time for each protocol, but for planted bugs, which take as long as
# it takes to find them all. The page is SOAK_OUT/soak.md, the same
# for machines SOAK_OUT/soak.json. It fails if a part finds something, runs nothing or tells nothing; it says
# which ran too little for what is rare. Of all schedules of Twins it plays one shard, as large as the time
# allows: which of them, SOAK_SHARD says, and else SOAK_FROM in millions. Two more parts take hours, however
# short the time: every schedule of four views, and a thousand seeds of each attack (`make release-run`).
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
    for nodes in 4 7; do
        part "adversaries, $1, $nodes nodes" "$bin/sim" --protocol "$1" --attack all --nodes "$nodes" \
            --seeds "$seeds" --seconds "$half" --jobs "$jobs"
    done
}

# A shard of all schedules of four views, and longer ones that are drawn. There are so many shards that one
# is played to its end at 200 schedules a second for each job, half of what a busy core does: what is behind
# the place where a shard is cut would never be played.
twins() {
    local shards=$((1502936 / (200 * quarter * jobs) + 1))
    local shard=$((${SOAK_SHARD:-$((from / 1000000))} % shards))
    part "twins, $1" "$bin/twins" --protocol "$1" --views 4 --shard "$shard/$shards" --seconds "$quarter" --jobs "$jobs"
    sampled "$1" longer --views 8 --phases 3
    sampled "$1" "longer and warm" --views 8 --phases 3 --warm
    sampled "$1" "seven nodes" --views 4 --phases 2 --nodes 7 --twins 2
}

# Schedules that are drawn, of the kind that the options name.
sampled() {
    part "twins, $1, $2" "$bin/twins" --protocol "$1" "${@:3}" --sample 1000000000 \
        --seed "$from" --seconds "$quarter" --jobs "$jobs"
}

schedules() { part "twins, $1, whole" "$bin/twins" --protocol "$1" --views 4 --jobs "$jobs"; }

attacks() {
    for nodes in 4 7; do
        part "attacks, $1, $nodes nodes" "$bin/sim" --protocol "$1" --attack all --nodes "$nodes" \
            --seeds 0..1000 --jobs "$jobs"
    done
}

puppeteer() {
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

# Whether a part has something to do under a protocol: most of them are about liars.
works() {
    case $1 in
    simulator | rounds | mutants) true ;;
    *) withstands "$2" ;;
    esac
}

conclude() {
    say "report"
    "$bin/report" "$page" --parts "$begun" --commit "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
}

known part "simulator adversaries puppeteer twins rounds mutants schedules attacks" "${parts[@]}"
known protocol "hotstuff pbft raft" "${protocols[@]}"
pairs=()
for name in "${parts[@]}"; do
    for protocol in "${protocols[@]}"; do
        ! works "$name" "$protocol" || pairs+=("$name $protocol")
    done
done
if [ ${#pairs[@]} = 0 ]; then
    echo "$0: none of these parts has anything to do under these protocols" >&2
    exit 1
fi
share=$((seconds / ${#pairs[@]}))
[ "$share" -gt 3 ] || share=4
half=$((share / 2))
quarter=$((share / 4))
cargo build --release --quiet --workspace --bins --features quorate-tests/e2e || exit
mkdir -p "$out" && : >"$page" || exit
# What was found until then.
trap 'conclude; exit 130' INT TERM
for pair in "${pairs[@]}"; do
    read -r name protocol <<<"$pair"
    "$name" "$protocol"
done
conclude
