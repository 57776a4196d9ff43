//! The safety file: outside of the database, the last fence that was released.
//!
//! It tells an ordinary crash, which loses only what was never released, from a disk that lost
//! what it had acknowledged: all of it, or the promises, as the [`SafetyPolicy`] has it. Two slots
//! are written in turn, so a torn write leaves the other.

mod file;
mod memory;

pub use file::RealSafetyFile;
pub use memory::MemorySafetyFile;

use crypto::{ChainId, Digest, Epoch, PublicKey, View};
use thiserror::Error;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safety {
    /// The chain it is about.
    pub chain: ChainId,
    /// The consensus key whose promises it guards.
    pub key: PublicKey,
    /// The epoch at the last fence.
    pub epoch: Epoch,
    /// The view at the last fence.
    pub view: View,
    /// The last fence when it was written. Everything up to it may have been released.
    pub fence: u64,
}

/// Bytes of a slot that carry something. It is padded to [`SLOT`].
pub const ENCODED: usize = 8 + 32 + 32 + 8 + 8 + 8 + 4;
/// Bytes from slot to slot: a page, so that a torn write of one never touches the other.
pub const SLOT: usize = 4096;
/// Marks a slot, with the format's number in the last byte.
const MAGIC: [u8; 8] = *b"QRSAFE\0\x01";

impl Safety {
    /// The first one: nothing is signed yet. Only `genesis` writes it.
    #[must_use]
    pub fn genesis(chain: ChainId, key: PublicKey) -> Self {
        Self {
            chain,
            key,
            epoch: Epoch(0),
            view: View(0),
            fence: 0,
        }
    }
    /// The slot of a file to be written next: the one without the newest valid content. The
    /// fence does not tell it: after a torn write the next fence has the parity of the one before.
    #[must_use]
    pub fn free_slot(file: &[u8]) -> usize {
        let fence = |slot: &[u8]| Self::decode(slot).map(|safety| safety.fence);
        let first = file.get(..SLOT).and_then(fence);
        let second = file.get(SLOT..).and_then(fence);
        usize::from(first > second)
    }
    /// Its bytes: magic, chain, key, epoch, view, fence (little-endian), CRC-32C of all before.
    #[must_use]
    pub fn encode(&self) -> [u8; ENCODED] {
        let mut out = [0; ENCODED];
        let fields: [&[u8]; 6] = [
            &MAGIC,
            &self.chain.0.0,
            &self.key.0,
            &self.epoch.0.to_le_bytes(),
            &self.view.0.to_le_bytes(),
            &self.fence.to_le_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            out[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let sum = crc32c::crc32c(&out[..at]);
        out[at..].copy_from_slice(&sum.to_le_bytes());
        out
    }
    /// The inverse; `None` for whatever is torn, flipped, empty or of another format.
    #[must_use]
    pub fn decode(slot: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENCODED] = slot.get(..ENCODED)?.try_into().ok()?;
        let (body, sum) = bytes.split_at(ENCODED - 4);
        if body[..8] != MAGIC || crc32c::crc32c(body).to_le_bytes() != sum {
            return None;
        }
        let array = |at: usize| -> [u8; 32] { std::array::from_fn(|i| body[at + i]) };
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| body[at + i]));
        Some(Self {
            chain: ChainId(Digest(array(8))),
            key: PublicKey(array(40)),
            epoch: Epoch(number(72)),
            view: View(number(80)),
            fence: number(88),
        })
    }
    /// The newest valid slot of a whole file.
    #[must_use]
    pub fn newest(file: &[u8]) -> Option<Self> {
        file.chunks(SLOT)
            .take(2)
            .filter_map(Self::decode)
            .max_by_key(|safety| safety.fence)
    }
}

/// How often the file is written. It is a second sync behind that of the log, so a protocol whose
/// promises are few writes it for those only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafetyPolicy {
    /// At every fence (HotStuff, PBFT: a vote for each block). The file then tells of any lost
    /// suffix of the log.
    EachFence,
    /// At a fence with a new view, or with a row of the guard (Raft: term and vote). The file then
    /// tells that a promise was lost, and with it any older copy of the log from before it; not
    /// that entries were lost which were acknowledged since: the fence in the file is no longer the
    /// last one that was released, so of damage only what a loss of power leaves is taken for an end.
    EachPromise,
}

impl SafetyPolicy {
    /// Whether the file, which says `told`, is written at a fence.
    pub(crate) fn wants(self, told: &Safety, fence: &Safety, promises: bool) -> bool {
        match self {
            Self::EachFence => true,
            Self::EachPromise => promises || (fence.epoch, fence.view) != (told.epoch, told.view),
        }
    }
}

/// Why the safety file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SafetyError {
    /// The disk or the file system refused.
    #[error(
        "the safety file {path} could not be {what}: {why}; check the disk, then start the node again"
    )]
    Failed {
        /// Which file.
        path: String,
        /// "read" or "written".
        what: &'static str,
        /// What the system said.
        why: String,
    },
    /// There is one already.
    #[error("the safety file {path} exists already: it is written once, by `quorate genesis`")]
    Exists {
        /// Which file.
        path: String,
    },
}

/// The file, or the simulator's.
pub trait SafetyFile: Send {
    /// The newest valid slot; `None` if there is no file, or nothing valid in it.
    ///
    /// # Errors
    /// [`SafetyError::Failed`].
    fn read(&mut self) -> Result<Option<Safety>, SafetyError>;
    /// Overwrites the older slot and makes it durable.
    ///
    /// # Errors
    /// [`SafetyError::Failed`]: the process stops, it is never retried.
    fn write(&mut self, safety: &Safety) -> Result<(), SafetyError>;
}

/// Whether the node may vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that was ever released is in the database.
    Start,
    /// It may not.
    Refuse(Refusal),
}

/// Why a node may not vote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No file, or no valid slot.
    #[error(
        "the safety file is missing or unreadable, so this node cannot know what it has signed; \
         `quorate genesis` writes the first one and nothing else may: restore it together with its data, or replace the node"
    )]
    Missing,
    /// The database lost what was released.
    #[error(
        "the database ends at fence {database} but fence {file} was released: promises of this node are lost \
         (an older copy of data/log, or a disk that lies about syncs); restore the newer data, or replace the node"
    )]
    Behind {
        /// The database's fence.
        database: u64,
        /// The file's fence.
        file: u64,
    },
    /// Another chain's or another key's file.
    #[error("the safety file belongs to another {0}: this is not the data directory of this node")]
    Foreign(&'static str),
}

/// Compares the recovered database's fence with the file (ARCHITECTURE.md, "Durability").
/// Database ahead: an ordinary crash between the sync and the file, or fences at which the
/// [`SafetyPolicy`] wrote none.
#[must_use]
pub fn verdict(database: u64, file: Option<&Safety>, chain: ChainId, key: PublicKey) -> Verdict {
    let Some(file) = file else {
        return Verdict::Refuse(Refusal::Missing);
    };
    if file.chain != chain {
        return Verdict::Refuse(Refusal::Foreign("chain"));
    }
    if file.key != key {
        return Verdict::Refuse(Refusal::Foreign("key"));
    }
    if file.fence > database {
        return Verdict::Refuse(Refusal::Behind {
            database,
            file: file.fence,
        });
    }
    Verdict::Start
}

#[cfg(test)]
mod tests;
