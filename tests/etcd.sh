#!/usr/bin/env bash
# Holds Raft mode against a real etcd of three members on this machine, the same loads for both in
# turns, and prints the table. About 20 minutes; `tests/etcd.sh --rounds 1 --seconds 3 --warmup 1
# --restart 20000` is a quick one. Let nothing else run meanwhile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "etcd.sh: $*" >&2; exit 1; }

command -v etcd >/dev/null ||
    die "etcd is not installed, so there is nothing to compare with: apt-get install etcd-server"
command -v setpriv >/dev/null || die "setpriv is missing: apt-get install util-linux"

cargo build --release --quiet -p quorate -p quorate-tests --features quorate-tests/etcd \
    --bin quorate --bin versus-etcd
exec "${CARGO_TARGET_DIR:-target}/release/versus-etcd" "$@"
