//! What the load asks of a node, and how: transactions on a stream, or reads as calls of their own.

use crate::client::{
    Client, ClientError, Outcome, Reader, Session, SubmitAnswers, SubmitSender, SubmitStream,
};
use crate::rpc::proto::{Consistency, Wait};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use crypto::SecretKey;
use std::time::Duration;
use storage::{Operation, Request};
use tokio::sync::mpsc;
use tonic::Code;

/// Different keys that puts write.
const KEYS: u64 = 100_000;
/// Different keys that gets read, and most bytes that their values take together.
const KEPT: (usize, usize) = (10_000, 64 << 20);
/// Most operations, and bytes of values, of a transaction that writes them.
const AT_ONCE: (usize, usize) = (128, 1 << 20);

/// What each request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A signed transaction of so many puts, with values of so many bytes.
    Puts { operations: usize, size: usize },
    /// A read of one of so many keys: [`keep`] wrote them.
    Gets { consistency: Consistency, keys: u64 },
}

impl Kind {
    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Puts { .. } => "put",
            Self::Gets { consistency, .. } => match consistency {
                Consistency::Local => "local get",
                Consistency::Linearizable | Consistency::Unspecified => "linearizable get",
            },
        }
    }

    /// Operations of each request.
    pub(super) fn operations(self) -> usize {
        match self {
            Self::Puts { operations, .. } => operations,
            Self::Gets { .. } => 1,
        }
    }
}

/// The half of a connection that asks.
pub(super) enum Asker {
    Puts(Box<Writer>),
    Gets {
        reader: Reader,
        consistency: Consistency,
        keys: u64,
        random: Random,
        answers: mpsc::UnboundedSender<(u64, Answer)>,
    },
}

/// Signs and submits.
pub(super) struct Writer {
    operations: usize,
    size: usize,
    sessions: Vec<Session>,
    random: Random,
    stream: SubmitSender,
}

/// The half that hears the answers.
pub(super) enum Hearer {
    Puts(Box<SubmitAnswers>),
    Gets(mpsc::UnboundedReceiver<(u64, Answer)>),
}

/// What became of one request.
pub(super) enum Answer {
    /// Committed and executed, or read, at this height.
    Done(u64),
    /// Refused or lost: why, and when to ask again.
    Failed(String, Duration),
}

/// Connects to a node. `clients` is how many keys sign puts.
pub(super) async fn connect(
    url: &str,
    kind: Kind,
    clients: usize,
    seed: u64,
) -> Result<(Asker, Hearer)> {
    let random = Random::new(seed);
    match kind {
        Kind::Puts { operations, size } => {
            let sessions = sessions(url, clients).await;
            let sessions = sessions.with_context(|| format!("cannot begin a session at {url}"))?;
            let stream = SubmitStream::open(url).await;
            let stream = stream.with_context(|| format!("cannot open a stream to {url}"))?;
            let (stream, answers) = stream.split();
            let writer = Writer {
                operations,
                size,
                sessions,
                random,
                stream,
            };
            Ok((
                Asker::Puts(Box::new(writer)),
                Hearer::Puts(Box::new(answers)),
            ))
        }
        Kind::Gets { consistency, keys } => {
            let (answers, hearer) = mpsc::unbounded_channel();
            let asker = Asker::Gets {
                reader: Reader::connect(url)?,
                consistency,
                keys,
                random,
                answers,
            };
            Ok((asker, Hearer::Gets(hearer)))
        }
    }
}

impl Asker {
    /// Asks; the answer will bear the tag. `height` is the highest that was heard of. False if the
    /// connection is gone.
    pub(super) async fn ask(&mut self, tag: u64, height: u64) -> bool {
        match self {
            Self::Puts(writer) => writer.submit(tag, height).await,
            Self::Gets {
                reader,
                consistency,
                keys,
                random,
                answers,
            } => {
                let key = name(random.next() % *keys);
                let (reader, consistency) = (reader.clone(), *consistency);
                let answers = answers.clone();
                tokio::spawn(async move {
                    let answer = read(reader, key, consistency).await;
                    // Nobody may listen any more: time is over.
                    answers.send((tag, answer)).ok();
                });
                true
            }
        }
    }

    /// The highest height that its sessions began at.
    pub(super) fn height(&self) -> u64 {
        match self {
            Self::Puts(writer) => writer.sessions.iter().map(Session::height).max(),
            Self::Gets { .. } => None,
        }
        .unwrap_or(0)
    }
}

impl Writer {
    async fn submit(&mut self, tag: u64, height: u64) -> bool {
        let which = tag as usize % self.sessions.len();
        let session = &mut self.sessions[which];
        session.observe(height);
        let first = self.random.next();
        let keys = (0..self.operations as u64).map(|i| (first % KEYS + i) % KEYS);
        let transaction = session.sign(puts(keys, self.size, &mut self.random));
        let submitted = self.stream.submit(tag, &transaction, Wait::Committed).await;
        submitted.is_ok()
    }
}

impl Hearer {
    /// The next answer, in any order; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Answer)>, ClientError> {
        match self {
            Self::Gets(answers) => Ok(answers.recv().await),
            Self::Puts(answers) => {
                let answer = answers.next().await?;
                Ok(answer.map(|(tag, outcome)| (tag, outcome.into())))
            }
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done(receipt) => Self::Done(receipt.height),
            Outcome::Failed(failure) | Outcome::Unknown(failure) => Self::Failed(
                format!("{:?}: {}", Code::from(failure.code), failure.message),
                Duration::from_millis(failure.retry_after_ms),
            ),
        }
    }
}

async fn read(mut reader: Reader, key: String, consistency: Consistency) -> Answer {
    match reader.get(key, consistency).await {
        Ok(answer) if answer.kvs.is_empty() => {
            Answer::Failed("a key that was written is not there".into(), Duration::ZERO)
        }
        Ok(answer) => Answer::Done(answer.height),
        Err(status) => {
            let cause = format!("{:?}: {}", status.code(), status.message());
            Answer::Failed(cause, Duration::ZERO)
        }
    }
}

/// Writes what gets are to find, and waits until every endpoint has it; how many keys.
pub(super) async fn keep(endpoints: &[String], size: usize) -> Result<u64> {
    let keys = KEPT.0.min(KEPT.1 / size).max(1);
    let at_once = AT_ONCE.0.min(AT_ONCE.1 / size).max(1);
    let client = Client::new(endpoints, Duration::from_secs(30))?;
    let mut session = Session::open(&client, fresh_key()?).await?;
    let mut random = Random::new(0);
    for first in (0..keys).step_by(at_once) {
        let some = first as u64..keys.min(first + at_once) as u64;
        let body = puts(some, size, &mut random);
        let written = session.execute(&client, body).await;
        written.context("cannot write what is to be read")?;
    }
    for url in endpoints {
        // Once this is answered, so is every later local read.
        let mut reader = Reader::connect(url)?;
        let last = name(keys as u64 - 1);
        let found = reader.get(last, Consistency::Linearizable).await;
        found.with_context(|| format!("cannot read from {url}"))?;
    }
    Ok(keys as u64)
}

/// Fresh keys with their sessions.
async fn sessions(url: &str, count: usize) -> Result<Vec<Session>> {
    let client = Client::new(&[url], Duration::from_secs(10))?;
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        sessions.push(Session::open(&client, fresh_key()?).await?);
    }
    Ok(sessions)
}

fn fresh_key() -> Result<SecretKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Whether a node refuses a transaction whose signature is forged; `None` if it could not be asked.
pub(super) async fn forged_is_refused(url: &str) -> Option<bool> {
    let session = sessions(url, 1).await.ok()?.pop();
    let operation = Operation::Delete {
        key: "bench/forged".into(),
    };
    let mut transaction = session?.sign(Request::all(vec![operation]).encode());
    transaction.signature.0[0] ^= 1;
    let client = Client::new(&[url], Duration::from_secs(5)).ok()?;
    match client.submit(&transaction, Wait::Accepted).await {
        Ok(_) => Some(false),
        Err(ClientError::Refused(status)) if status.message().contains("signature") => Some(true),
        Err(_) => None,
    }
}

/// Puts of these keys with values that do not compress.
fn puts(keys: impl Iterator<Item = u64>, size: usize, random: &mut Random) -> Bytes {
    let operations = keys.map(|key| {
        let mut value = vec![0; size];
        for chunk in value.chunks_mut(8) {
            let bytes = random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Operation::Put {
            key: name(key).into(),
            value: value.into(),
        }
    });
    Request::all(operations.collect()).encode()
}

fn name(key: u64) -> String {
    format!("bench/{key:08}")
}

/// xorshift64*: which keys, and values to write, need no better.
pub(super) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ ((seed + 1) << 32))
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
