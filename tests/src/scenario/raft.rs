//! Raft's words.

use super::script::{Spoken, batches};
use anyhow::{Context as _, Result, bail};
use consensus::raft::{Body, Entry, Message, Position, Raft, Record};
use crypto::{Batch, FaultModel, Height, NodeId, Payload, View};
use std::sync::Arc;

impl Spoken for Raft {
    const FAULTS: FaultModel = FaultModel::Crash;
    const VIEW: &'static str = "term";

    fn payload(batches: &[u64]) -> Payload {
        let batch = |number: &u64| Batch {
            author: NodeId(0),
            number: *number,
            expires: Height(u64::MAX),
            transactions: Vec::new(),
        };
        Payload::Inline(batches.iter().map(|it| batch(it).seal()).collect())
    }
    fn line(message: &Message) -> String {
        match &message.body {
            Body::AppendEntries(it) => {
                let after = place(it.previous);
                let what = match &it.entries[..] {
                    [] => "heartbeat".to_owned(),
                    entries => entries
                        .iter()
                        .map(|it| entry(it))
                        .collect::<Vec<_>>()
                        .join(", "),
                };
                let (term, committed, round) = (it.term, it.committed, it.round);
                format!(
                    "append t{term}: {what} after {after}; {committed} committed, round {round}"
                )
            }
            Body::Appended(it) => format!("appended t{}: up to {}", it.term, it.matched),
            Body::Conflict(it) if it.hint.term == View(0) => {
                let (term, height) = (it.term, it.hint.height);
                format!(
                    "conflict t{term}: {} is missing, so is {height}",
                    it.previous
                )
            }
            Body::Conflict(it) => {
                let (term, hint) = (it.term, it.hint);
                let (other, first) = (hint.term, hint.height);
                format!(
                    "conflict t{term}: {} is of t{other}, which begins at {first}",
                    it.previous
                )
            }
            Body::Heard(it) => format!("heard t{}: round {}", it.term, it.round),
            Body::RequestVote(it) => {
                let why = if it.transfer { ", told to stand" } else { "" };
                format!("request_vote t{}: last is {}{why}", it.term, place(it.last))
            }
            Body::Grant(it) => format!("grant t{}: to {}", it.term, it.candidate),
            Body::PreVote(it) => format!("pre_vote t{}: last is {}", it.term, place(it.last)),
            Body::PreGrant(it) => format!("pre_grant t{}", it.term),
            Body::NewerTerm(it) => format!("newer_term t{}", it.term),
            Body::TimeoutNow(it) => format!("timeout_now t{}", it.term),
            Body::ReadIndex(it) => format!("read_index t{}", it.term),
            Body::ReadAnswer(it) => format!("read_answer t{}: {}", it.term, it.height),
        }
    }
    fn disk(records: &[Record]) -> String {
        let vote = records.iter().find_map(|record| match record {
            Record::Term {
                term,
                voted: Some(voted),
            } => Some(format!(", voted for {voted} in t{term}")),
            _ => None,
        });
        let term = |record: &Record| match record {
            Record::Entry(entry) => Some(entry.at.term.to_string()),
            Record::Term { .. } => None,
        };
        let terms: Vec<String> = records.iter().filter_map(term).collect();
        let terms = if terms.is_empty() {
            "empty".to_owned()
        } else {
            terms.join(" ")
        };
        format!("log {terms}{}", vote.unwrap_or_default())
    }
    /// `term 7 log 1 1 4`: the current term, and the terms of the entries from height 1 up. Each has
    /// a batch: of term 4 at height 3, number 43.
    fn stored(words: &[&str]) -> Result<Vec<Record>> {
        let ["term", term, "log", terms @ ..] = words else {
            bail!("say: term 7 log 1 1 4");
        };
        let term = View(term.parse().context("which term?")?);
        let mut records = vec![Record::Term { term, voted: None }];
        for (height, term) in (1..).zip(terms) {
            let term: u64 = term.parse().context("an entry of which term?")?;
            let at = Position {
                term: View(term),
                height: Height(height),
            };
            let payload = Self::payload(&[term * 10 + height]);
            records.push(Record::Entry(Arc::new(Entry { at, payload })));
        }
        Ok(records)
    }
}

/// Height and term.
fn place(at: Position) -> String {
    format!("{}/t{}", at.height, at.term)
}

fn entry(entry: &Entry) -> String {
    let numbers = Raft::batches(&entry.payload);
    format!("{} {}", place(entry.at), batches(&numbers))
}
