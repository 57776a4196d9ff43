//! Starting: from genesis, or from what was stored.

use super::entry::{Entry, Position, Proof};
use super::log::Log;
use super::record::Record;
use super::view_change::Elections;
use super::{Out, Raft, Role, read::Reads, replication::Replication};
use crate::common::Loads;
use crate::{Anchor, Config};
use crypto::{NodeId, Time, View};
use std::sync::Arc;

/// See [`crate::Protocol::recover`].
///
/// Whoever led before follows now: only the log, the term and the vote outlive a process. What was
/// acknowledged is in the log, and what was granted comes out of the guard when it is asked again.
pub fn recover(
    config: Config,
    now: Time,
    anchor: &Anchor<Proof>,
    records: Vec<Record>,
    _: &mut Out,
) -> Raft {
    let base = anchor.proof.map_or(Position::START, |proof| proof.0);
    let mut log = Log::new(base, anchor.history);
    let (term, voted, entries) = sort(records);
    for entry in entries {
        if entry.at.height == log.last().height.next() {
            log.append(entry);
        }
    }
    let term = term.max(log.last().term);
    Raft {
        term,
        voted,
        role: Role::Follower,
        leader: None,
        replication: Replication::new(anchor.executed, &config),
        elections: Elections::new(config.timing.clone(), config.seed, now),
        loads: Loads::default(),
        reads: Reads::new(config.timing.clone(), config.seed, now),
        departing: false,
        log,
        config,
    }
}

/// Entries from the last commit up are without a gap, and their terms do not go down: all that was
/// acknowledged is there.
///
/// # Errors
/// See [`crate::Protocol::check_stored`].
pub fn check(anchor: &Anchor<Proof>, records: &[Record]) -> Result<(), String> {
    let mut last = anchor.proof.map_or(Position::START, |proof| proof.0);
    if last.height != anchor.height {
        return Err(format!("commit {} is not what it proves", anchor.height));
    }
    let (_, _, entries) = sort(records.to_vec());
    for entry in entries.iter().filter(|it| it.at.height > anchor.height) {
        let Position { term, height } = entry.at;
        if height != last.height.next() || height == last.height {
            return Err(format!("entry {height} follows entry {}", last.height));
        }
        if term < last.term {
            return Err(format!(
                "entry {height} is of term {term}, the one before of {}",
                last.term
            ));
        }
        last = entry.at;
    }
    Ok(())
}

/// The stored records, by kind; entries ascending.
fn sort(records: Vec<Record>) -> (View, Option<NodeId>, Vec<Arc<Entry>>) {
    let (mut term, mut voted, mut entries) = (View(0), None, Vec::new());
    for record in records {
        match record {
            Record::Term { term: t, voted: v } => (term, voted) = (t, v),
            Record::Entry(entry) => entries.push(entry),
        }
    }
    entries.sort_by_key(|entry| entry.at.height);
    (term, voted, entries)
}
