#!/usr/bin/env bash
# Changes every operator and every answer in the rules of the papers, the guard, the gate and the arithmetic
# of quorums, one at a time (cargo-mutants), and runs the unit tests beside each. Fails if a change survives
# that tests/testdata/survivors.txt does not list, or if it lists one that does not survive any more.
#   tests/mutants-rules.sh raft/rules gate      only these files
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The files, and which tests are run on them: building costs enough.
files=(
    "crypto/src/quorum.rs quorum::"
    "consensus/src/raft/rules.rs raft::tests::"
    "consensus/src/replica/gate.rs replica::tests::"
    "consensus/src/hotstuff/rules.rs hotstuff::tests::"
    "consensus/src/replica/guard.rs replica::tests::"
    "consensus/src/pbft/rules.rs pbft::tests::"
)
# Takes ten seconds and more, and is about other things.
slow=(--skip=tests::random:: --skip=tests::bench:: --skip=hotstuff::tests::catch_up::
    --skip=an_answer_is_no_longer_than_it_may_be --skip=payloads_of_open_slots_have_a_cap_in_bytes
    --skip=a_follower_that_was_away_for_long_catches_up)

command -v cargo-mutants >/dev/null || {
    echo "cargo-mutants is missing: cargo install cargo-mutants --locked" >&2
    exit 2
}
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mutants-rules
# One for all: it would build the dependencies anew for each file.
export CARGO_TARGET_DIR=$out/target
mkdir -p "$out" || exit
failed=0
declare -A counts=([caught]=0 [timeout]=0 [missed]=0 [unviable]=0)

# Without line and column, which move with every change above.
bare() { sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /' "$1" | sort; }

tell() {
    while read -r line; do
        printf 'FAILED: %s: %s\n' "$1" "$line"
        failed=$((failed + 1))
    done < <(grep .)
}

# Changes one file, and compares who survives with the list.
change() {
    local file=$1 tests=$2 status results kind lines changes=0
    rm -rf "$out/mutants.out"
    cargo mutants --no-shuffle --jobs 1 --output "$out" --file "$file" -- --lib -- "$tests" "${slow[@]}"
    status=$?
    # 0: all caught; 2: some missed; 3: some ran out of time, which is as good as caught.
    case $status in
    0 | 2 | 3) ;;
    *) tell "cargo-mutants ends with $status" <<<"$file" && return ;;
    esac
    results=$out/mutants.out
    for kind in "${!counts[@]}"; do
        # Within arithmetic a missing number would end the shell, and all that is counted with it.
        lines=$(wc -l <"$results/$kind.txt") || {
            tell "cargo-mutants wrote no $kind.txt about" <<<"$file"
            return
        }
        counts[$kind]=$((counts[$kind] + lines))
        changes=$((changes + lines))
    done
    [ "$changes" -gt 0 ] || tell "nothing was changed in" <<<"$file"
    tell "survives, and is not listed" < <(comm -23 <(bare "$results/missed.txt") <(listed "$file"))
    tell "is listed, and does not survive" < <(comm -13 <(bare "$results/missed.txt") <(listed "$file"))
}

# Those of a file that are known to survive.
listed() { grep "^$1: " tests/testdata/survivors.txt | sort; }

for name in "$@"; do
    [[ "${files[*]}" == *"$name.rs "* ]] || {
        echo "$0: none of the files is called $name.rs" >&2
        exit 2
    }
done
ran=0
for entry in "${files[@]}"; do
    read -r file tests <<<"$entry"
    wanted=$([ $# = 0 ] && echo yes)
    for name in "$@"; do
        [[ $file != *"$name.rs" ]] || wanted=yes
    done
    if [ -n "$wanted" ]; then
        ran=$((ran + 1))
        change "$file" "$tests"
    fi
done
printf '%d of %d files changed: %d caught, %d ran out of time, %d survive, %d do not build; %d failed\n' \
    "$ran" "${#files[@]}" "${counts[caught]}" "${counts[timeout]}" "${counts[missed]}" "${counts[unviable]}" "$failed"
[ "$failed" = 0 ] && [ "$ran" -gt 0 ]
