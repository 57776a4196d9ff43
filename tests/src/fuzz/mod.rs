//! What is fuzzed, as ordinary functions of bytes: `tests/fuzz` hands them to cargo-fuzz, and a test
//! runs what it has found, and a little more, whenever all tests run.
//!
//! None of them may panic, whatever the bytes, or allocate without bound.

mod cluster;
pub mod data_dir;
#[cfg(feature = "e2e")]
pub mod evidence;
pub mod files;
mod forge;
mod forge_hotstuff;
mod forge_pbft;
mod forge_raft;
#[cfg(feature = "e2e")]
pub mod hello;
mod mutate;
pub mod node;
mod plan;
pub mod records;
mod rows;
#[cfg(feature = "e2e")]
pub mod rpc;
#[cfg(feature = "e2e")]
mod rpc_node;
mod seeds;
mod source;
pub mod state;
mod stores;
mod twist;
pub mod wire;

pub use mutate::mutated;
pub use seeds::seeds;
#[cfg(feature = "e2e")]
use seeds::testnets;
pub use source::Source;

/// What a target has read in its bytes: kinds of frames that were admitted, of rows that decode, of files
/// that are whole; or what a game has come to.
pub type Found = Vec<&'static str>;

/// One of them.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the program that fuzzes it, and of its corpus.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]) -> Found,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("wire_hotstuff", wire::hotstuff),
    target("wire_pbft", wire::pbft),
    target("wire_raft", wire::raft),
    target("batches", wire::batches),
    target("node_hotstuff", node::hotstuff),
    target("node_pbft", node::pbft),
    target("node_raft", node::raft),
    target("records_hotstuff", records::hotstuff),
    target("records_pbft", records::pbft),
    target("records_raft", records::raft),
    target("rows", rows::value),
    target("genesis_toml", files::genesis),
    target("node_toml", files::node),
    target("key_file", files::key),
    target("data_dir", data_dir::open),
    target("state", state::execute),
    #[cfg(feature = "e2e")]
    target("transaction_json", files::transaction),
    #[cfg(feature = "e2e")]
    target("evidence", evidence::file),
    #[cfg(feature = "e2e")]
    target("hello", hello::check),
    #[cfg(feature = "e2e")]
    target("rpc", rpc::requests),
];

/// Runs a target once, for the programs that fuzz.
///
/// # Panics
/// If there is none of this name, or it has found something.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|it| it.name == name);
    let _ = (target.expect("a fuzzer is named like a target").run)(data);
}

const fn target(name: &'static str, run: fn(&[u8]) -> Found) -> Target {
    Target { name, run }
}
