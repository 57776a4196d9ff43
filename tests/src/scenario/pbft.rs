//! PBFT's words. A slot is named by its height and, where that matters, its view: `s3/v2`.

use super::script::{Spoken, batches};
use anyhow::{Result, bail};
use consensus::hotstuff::HotStuff;
use consensus::pbft::message::{Reached, Vote};
use consensus::pbft::slot::{content, null};
use consensus::pbft::{Assigned, Message, NewView, Pbft, Record, ViewChange};
use crypto::{Digest, FaultModel, Height, Payload, Signature, Statement};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The contents that scripts give to slots: one batch of a number up to this, or a few that follow
/// each other.
const MOST_BATCHES: u64 = 40;

impl Spoken for Pbft {
    const FAULTS: FaultModel = FaultModel::Byzantine;
    const VIEW: &'static str = "view";

    fn payload(batches: &[u64]) -> Payload {
        HotStuff::payload(batches)
    }
    fn line(message: &Message) -> String {
        match message {
            Message::PrePrepare(it) => {
                let numbers = batches(&Self::batches(&it.payload));
                format!("pre_prepare s{}/v{} with {numbers}", it.height, it.view)
            }
            Message::Prepare(it) => format!("prepare {}", vote(it)),
            Message::Commit(it) => format!("commit {}", vote(it)),
            Message::ViewChange(it) => view_change(it),
            Message::NewView(it) => format!("new_view {}", new_view(it)),
            Message::Opened(it) => format!("opened {}", new_view(it)),
            Message::Certificate(it) => format!("certificate: {}", reached(it)),
            Message::AskProgress(it) => {
                let stalled = if it.stalled { ", stalled" } else { "" };
                let (view, height) = (it.view, it.height);
                format!("ask_progress: in view {view}, {height} committed{stalled}")
            }
            Message::FetchSlots(it) => format!("fetch_slots: from s{}", it.from),
            Message::Slots(it) => {
                let slots = it.slots.iter().map(|it| {
                    let height = it.certificate.assigned.height;
                    with(height, &it.payload)
                });
                let slots: Vec<String> = slots.collect();
                format!("slots: {}; up to s{}", slots.join(", "), it.reached)
            }
            Message::FetchPayloads(it) => {
                let wanted = it.wanted.iter();
                let wanted: Vec<String> = wanted.map(|(at, it)| named(*at, it)).collect();
                format!("fetch_payloads: {}", wanted.join(", "))
            }
            Message::Payloads(it) => {
                let told = it.payloads.iter();
                let told: Vec<String> = told.map(|(at, it)| with(*at, it)).collect();
                format!("payloads: {}", told.join(", "))
            }
            Message::ReadAsk(_) => "read_ask".to_owned(),
            Message::ReadAnswer(it) => format!("read_answer: {}", reached(&it.reached)),
        }
    }
    fn disk(records: &[Record]) -> String {
        let mut said = Vec::new();
        let mut slots: BTreeMap<Height, Vec<String>> = BTreeMap::new();
        let mut slot = |height: Height, what| slots.entry(height).or_default().push(what);
        for record in records {
            match record {
                Record::NewView(it) => said.push(format!("opened v{}", it.view)),
                Record::ViewChange(it) => said.push(format!("asked for v{}", it.change.view)),
                Record::Accepted(_) => {}
                Record::Prepared(it) => {
                    let digest = named_content(&it.assigned.digest);
                    slot(
                        it.assigned.height,
                        format!("{digest} prepared in v{}", it.assigned.view),
                    );
                }
                Record::Committed(it) => {
                    slot(
                        it.assigned.height,
                        format!("committed in v{}", it.assigned.view),
                    );
                }
            }
        }
        for record in records {
            if let Record::Accepted(it) = record
                && !slots.contains_key(&it.height)
            {
                let numbers = batches(&Self::batches(&it.payload));
                let what = format!("{numbers} accepted in v{}", it.view);
                slots.entry(it.height).or_default().push(what);
            }
        }
        let slots = slots.iter();
        said.extend(slots.map(|(height, it)| format!("s{height} {}", it.join(" and "))));
        if said.is_empty() {
            said.push("nothing stored".to_owned());
        }
        said.join(", ")
    }
    fn stored(_: &[&str]) -> Result<Vec<Record>> {
        bail!("what PBFT stores is signed: let it come about")
    }
    /// A pre-prepare of nothing; a view change that claims slot 1 as prepared without proof; a new
    /// view in which what was prepared first is left out.
    fn lie(message: &Message, sign: &dyn Fn(&Statement) -> Signature) -> Option<Message> {
        match message {
            Message::PrePrepare(it) => {
                let mut it = it.clone();
                it.payload = Arc::new(Payload::EMPTY);
                it.signature = sign(&it.statement());
                Some(Message::PrePrepare(it))
            }
            Message::ViewChange(it) => {
                let mut it = it.clone();
                it.change.prepared = vec![Assigned {
                    height: Height(1),
                    view: crypto::View(1),
                    digest: null(),
                }];
                it.change.signature = sign(&it.change.statement());
                Some(Message::ViewChange(it))
            }
            Message::NewView(it) => {
                let mut it = NewView::clone(it);
                let first = it.slots.iter_mut().find(|it| **it != null())?;
                *first = null();
                it.signature = sign(&it.statement());
                Some(Message::NewView(Arc::new(it)))
            }
            _ => None,
        }
    }
}

fn vote(it: &Vote) -> String {
    assigned(&it.assigned)
}

fn assigned(it: &Assigned) -> String {
    let Assigned {
        height,
        view,
        digest,
    } = it;
    format!("s{height}/v{view} {}", named_content(digest))
}

fn with(height: Height, payload: &Payload) -> String {
    let numbers = batches(&Pbft::batches(payload));
    format!("s{height} with {numbers}")
}

fn named(height: Height, digest: &Digest) -> String {
    format!("s{height} {}", named_content(digest))
}

/// A content by its batches, which scripts number.
fn named_content(digest: &Digest) -> String {
    if *digest == null() {
        return "nothing".to_owned();
    }
    let ranges = (1..=MOST_BATCHES).flat_map(|first| (first..first + 4).map(move |it| (first, it)));
    let numbers = ranges.map(|(first, last)| (first..=last).collect::<Vec<u64>>());
    let mut found = numbers.filter(|it| content(&Pbft::payload(it)) == *digest);
    found
        .next()
        .map_or_else(|| "something".to_owned(), |it| batches(&it))
}

fn view_change(it: &ViewChange) -> String {
    let change = &it.change;
    let low = match change.low.height {
        Height(0) => String::new(),
        low => format!(", s{low} is stable"),
    };
    let prepared: Vec<String> = change.prepared.iter().map(assigned).collect();
    let prepared = match prepared.is_empty() {
        true => "nothing".to_owned(),
        false => prepared.join(", "),
    };
    format!("view_change v{}: prepared {prepared}{low}", change.view)
}

fn new_view(it: &NewView) -> String {
    let members: Vec<String> = it.changes.iter().map(|it| it.author.to_string()).collect();
    let slots: Vec<String> = it
        .all_assigned()
        .map(|it| named(it.height, &it.digest))
        .collect();
    let slots = match slots.is_empty() {
        true => format!("nothing above s{}", it.low()),
        false => slots.join(", "),
    };
    format!("v{} by {}: {slots}", it.view, members.join(" "))
}

fn reached(it: &Reached) -> String {
    match it {
        Reached::Nothing => "nothing".to_owned(),
        Reached::Stable(it) => format!("s{} is stable", it.height),
        Reached::Prepared(it) => format!("{} is prepared", assigned(&it.assigned)),
        Reached::Committed(it) => format!("{} is committed", assigned(&it.assigned)),
    }
}
