//! What can happen next.

use super::host::Past;
use bytes::Bytes;
use crypto::NodeId;
use engine::{Class, Query, Reply, RequestId};

/// A process: a node, and which of its lives.
pub type Process = (NodeId, u64);

/// An event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame arrives.
    Deliver {
        /// Where.
        to: NodeId,
        /// From whom.
        from: NodeId,
        /// On which stream.
        class: Class,
        /// What it is.
        name: &'static str,
        /// Its bytes.
        frame: Bytes,
    },
    /// A connection came up or went down, and a node is told.
    Link {
        /// Who is told.
        node: NodeId,
        /// About whom.
        peer: NodeId,
        /// Whether it came up.
        up: bool,
    },
    /// A paused process goes on.
    Resume(NodeId),
    /// A deadline of a machine.
    Wake(Process),
    /// The storage thread is done with a group.
    Written(Process),
    /// A load is done.
    Loaded(Process, u64, Query),
    /// The executor is done with some heights.
    Execute(Process),
    /// A process starts.
    Start(NodeId),
    /// A client begins its next task.
    Begin(usize),
    /// A client has waited long enough.
    Impatient(usize, u64),
    /// A client is answered.
    Answer(RequestId, Reply),
    /// A client's connection broke.
    HungUp(RequestId),
    /// A new phase of the network.
    Phase,
    /// All processes crash.
    CrashAll,
    /// A process is stopped for a while.
    Pause,
    /// A clock jumps.
    ClockJump,
    /// A node is asked to shut down.
    Shutdown,
    /// It does.
    ShutDown(Process),
    /// A copy of the liars' disks is made.
    Remember,
    /// A liar comes back with an old disk.
    Forget(NodeId, Box<Past>),
    /// The faults end.
    Heal,
    /// Look how things stand.
    Judge,
}
