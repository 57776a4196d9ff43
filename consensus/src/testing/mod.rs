//! What the tests of all protocols share.
//!
//! A protocol `P` says in an `impl Subject for P` what is its own: the fault model, whether payload is
//! inline, and what it promises beyond what is judged for all. Then its tests have
//!
//! - [`Members`]: keys and configuration of a chain; `type Craft = Members<P>`, with an `impl Craft` in
//!   the protocol's own `tests/craft.rs` for the messages that it makes by hand;
//! - [`Solo`]: one replica without a shell, fed by hand, for the rules; `type Solo = testing::Solo<P>`,
//!   with an `impl Solo` for what the protocol's tests ask of it;
//! - [`Cluster`]: whole replicas in their shells over a network and disks that fail, judged at every
//!   event; `type Cluster = testing::Cluster<P>`;
//! - [`crashes`] and [`random`]: the runs that every protocol has to pass, each called by one test of
//!   the protocol's `restart.rs` and `random.rs`;
//! - [`golden`]: bytes of wire and disk in short.
//!
//! `impl Craft`, `impl Solo` and `impl Cluster` may stand in the protocol's tests, since they are of
//! this crate, and never meet those of other protocols, since `P` is theirs. See `raft/tests/craft.rs`.
#![allow(clippy::unwrap_used)]

pub mod batches;
mod cluster;
pub mod crashes;
mod disk;
pub mod golden;
mod machine;
mod members;
mod network;
pub mod random;
mod scheme;
mod solo;
mod subject;

pub use cluster::Cluster;
pub use disk::Image;
pub use members::Members;
pub use network::Net;
pub use scheme::Mock;
pub use solo::Solo;
pub use subject::Subject;
