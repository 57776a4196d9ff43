//! The clients of a round: they write, compare and read through the project's own client library.

use super::Lab;
use super::book::Book;
use super::lab::PATIENCE;
use crate::sim::Chance;
use anyhow::Result;
use crypto::SecretKey;
use quorate::client::{Client, ClientError, Session};
use quorate::rpc::proto::{Consistency, RangeRequest, Receipt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use storage::kv::{Compare, Operation, Relation, Request, Span, Test};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What a request may take; its outcome is unknown then.
const DEADLINE: Duration = Duration::from_secs(3);
/// Keys that clients share at a time.
const KEYS: u64 = 2;
/// Operations on these, until others take their place: the search for an order has a limit.
const OPERATIONS: u64 = 160;
/// The longest pause of a client between two requests, in milliseconds.
const THINKS: u64 = 12;
/// Keys read at a time.
const PAGE: u64 = 1_000;

/// What all clients of a round know.
pub(super) struct Work {
    /// Names the round's keys.
    pub round: u64,
    /// What they write down.
    pub book: Book,
    /// When to end.
    pub stop: AtomicBool,
    tickets: AtomicU64,
}

impl Work {
    pub(super) fn of(round: u64) -> Self {
        Self {
            round,
            book: Book::default(),
            stop: AtomicBool::new(false),
            tickets: AtomicU64::new(0),
        }
    }
    /// Every key that clients shared.
    pub(super) fn shared(&self) -> Vec<String> {
        let eras = self.tickets.load(Ordering::Relaxed) / OPERATIONS;
        let keys = (0..=eras).flat_map(|era| (0..KEYS).map(move |key| (era, key)));
        keys.map(|(era, key)| self.key(era, key)).collect()
    }
    fn key(&self, era: u64, key: u64) -> String {
        format!("shared/{}/{era}/{key}", self.round)
    }
    /// Where the round's journal is.
    pub(super) fn journal(&self) -> String {
        format!("journal/{}/", self.round)
    }
}

/// One client.
pub(super) struct One {
    number: usize,
    client: Client,
    session: Session,
    chance: Chance,
    /// Writes keys of its own, each once; else it works on those that are shared.
    journals: bool,
    /// A version that it was told of.
    version: u64,
    written: u64,
}

impl One {
    /// One of the honest nodes: the first is `number` modulo theirs, and he turns to the others if it
    /// fails.
    pub(super) async fn open(lab: &Lab, number: usize, seed: u64) -> Result<Self> {
        let mut nodes = lab.honest();
        let first = number % nodes.len();
        nodes.rotate_left(first);
        let client = lab.client(&nodes, DEADLINE)?;
        let mut chance = Chance::of(seed.wrapping_add(number as u64), "client of rounds");
        let key = SecretKey::from_seed(&chance.bytes());
        // The first question may come while all are busy.
        let patient = lab.client(&nodes, PATIENCE)?;
        let session = Session::open(&patient, key).await?;
        Ok(Self {
            number,
            client,
            session,
            chance,
            journals: number.is_multiple_of(3),
            version: 0,
            written: 0,
        })
    }

    /// Works until it is told to stop.
    async fn run(mut self, work: Arc<Work>) -> Self {
        while !work.stop.load(Ordering::Relaxed) {
            let failed = if self.journals {
                self.note(&work).await
            } else if self.chance.below(10) < 3 {
                self.read(&work).await
            } else {
                self.change(&work).await
            };
            if failed.is_err() {
                // It may have been away for so long that what it signs has expired.
                self.session.refresh(&self.client).await.ok();
            }
            sleep(Duration::from_millis(self.chance.below(THINKS))).await;
        }
        self
    }

    async fn note(&mut self, work: &Work) -> Result<(), ClientError> {
        self.written += 1;
        let key = format!("{}{}/{:06}", work.journal(), self.number, self.written);
        let value = format!("value {} of {}", self.written, self.number);
        write_once(&work.book, &self.client, &mut self.session, &key, &value).await
    }

    async fn read(&mut self, work: &Work) -> Result<(), ClientError> {
        let key = self.shared_keys(work)[0].clone();
        let response = read(&work.book, &self.client, &key).await?;
        self.version = response.unwrap_or(self.version);
        Ok(())
    }

    async fn change(&mut self, work: &Work) -> Result<(), ClientError> {
        let request = self.request(work);
        let open = work.book.asks(&request);
        let told = self.session.execute(&self.client, request.encode()).await;
        let receipt = told.inspect_err(|error| work.book.failed(error))?;
        work.book.told(&open, &request, &receipt);
        Ok(())
    }

    /// Keys of now, in any order.
    fn shared_keys(&mut self, work: &Work) -> [String; 2] {
        let ticket = work.tickets.fetch_add(1, Ordering::Relaxed);
        let first = self.chance.below(KEYS);
        [first, (first + 1) % KEYS].map(|key| work.key(ticket / OPERATIONS, key))
    }

    fn request(&mut self, work: &Work) -> Request {
        let [key, other] = self.shared_keys(work);
        self.written += 1;
        let value = format!("{}.{}", self.number, self.written);
        let put = |key: &String| Operation::Put {
            key: key.clone().into(),
            value: value.clone().into(),
        };
        let get = |key: &String| Operation::Range {
            span: Span::only(key.clone()),
            limit: 1,
            revision: 0,
        };
        let compare = |key: &String, test| Compare {
            key: key.clone().into(),
            test,
        };
        match self.chance.below(7) {
            0 => Request::all(vec![Operation::Delete { key: key.into() }]),
            1 => Request::all(vec![put(&key), get(&other)]),
            // Compare and set, or see what is there instead.
            2 | 3 => {
                let version = match self.chance.below(3) {
                    0 => self.chance.below(4),
                    _ => self.version,
                };
                Request {
                    compares: vec![compare(&key, Test::Version(Relation::Equal, version))],
                    then: vec![put(&key)],
                    otherwise: vec![get(&key)],
                }
            }
            4 => Request {
                compares: vec![compare(&key, Test::Exists(false))],
                then: vec![put(&key), put(&other)],
                otherwise: vec![get(&key)],
            },
            _ => Request::all(vec![put(&key)]),
        }
    }
}

/// Sets clients to work; they come back when they were told to stop.
pub(super) fn run(clients: Vec<One>, work: &Arc<Work>) -> JoinSet<One> {
    let mut running = JoinSet::new();
    for one in clients {
        running.spawn(one.run(work.clone()));
    }
    running
}

/// Writes a key that nobody else writes.
pub(super) async fn write_once(
    book: &Book,
    client: &Client,
    session: &mut Session,
    key: &str,
    value: &str,
) -> Result<(), ClientError> {
    let open = book.notes(key, value);
    let told = put(client, session, key, value.to_owned()).await;
    let receipt = told.inspect_err(|error| book.failed(error))?;
    book.noted(&open, key, &receipt);
    Ok(())
}

/// Writes a key.
pub(super) async fn put(
    client: &Client,
    session: &mut Session,
    key: &str,
    value: String,
) -> Result<Receipt, ClientError> {
    let operation = Operation::Put {
        key: key.to_owned().into(),
        value: value.into(),
    };
    let body = Request::all(vec![operation]).encode();
    session.execute(client, body).await
}

/// Reads a shared key linearizably; the version that it found.
pub(super) async fn read(
    book: &Book,
    client: &Client,
    key: &str,
) -> Result<Option<u64>, ClientError> {
    let open = book.reads(key);
    let request = RangeRequest {
        key: key.to_owned().into(),
        limit: 1,
        consistency: Consistency::Linearizable.into(),
        ..RangeRequest::default()
    };
    let answer = client.range(request).await;
    let response = answer.inspect_err(|error| book.saw_nothing(&open, error))?;
    book.saw(&open, key, &response);
    Ok(response.kvs.first().map(|pair| pair.version))
}

/// All keys that begin so, and their values, read linearizably page by page.
pub(super) async fn all_below(client: &Client, prefix: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut end = prefix.as_bytes().to_vec();
    // Prefixes end with a slash, which has a successor.
    *end.last_mut().expect("a prefix is not empty") += 1;
    let mut request = RangeRequest {
        key: prefix.to_owned().into(),
        range_end: end.into(),
        limit: PAGE,
        consistency: Consistency::Linearizable.into(),
        ..RangeRequest::default()
    };
    loop {
        let page = client.range(request.clone()).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.extend(page.kvs.iter().map(|it| (text(&it.key), text(&it.value))));
        if !page.more {
            return Ok(found);
        }
        // A page of removed keys is empty, so that no last key says where to go on.
        request.key = page.next_key;
    }
}
