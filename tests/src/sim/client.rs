//! Clients with keys of their own: what they ask for, how they go about it when nobody answers, and
//! what they were told.

use super::system::{CHAIN, scheme};
use super::{Chance, Scenario, mock};
use crate::check::Way;
use bytes::Bytes;
use crypto::{
    Digest, Hasher, Height, NodeId, Scheme, SecretKey, Signature, Time, Transaction, transaction,
};
use engine::RequestId;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::kv::{Compare, Operation, Relation, Request, Span, Test};

/// Keys that clients write to.
const KEYS: u64 = 12;

/// How a client goes about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// To one node; to another when that does not answer.
    Plain,
    /// To two nodes at once.
    Twice,
    /// Waits for the pool first, then asks for the receipt.
    Await,
    /// Sends it again after it was answered: must be told the same.
    Again,
    /// Signs another one under the same number and sends both: one may take effect.
    Conflict,
    /// Takes its request back and sends it again elsewhere.
    Cancel,
    /// Reads instead.
    Read,
}

/// What a client is about.
#[derive(Clone, Debug)]
pub struct Task {
    /// How.
    pub manner: Manner,
    /// What; the last one is the one that counts when nothing is heard.
    pub transactions: Vec<Transaction>,
    /// Since when.
    pub since: Time,
    /// How often it was sent.
    pub attempts: u32,
    /// Whether it was answered once and is sent again.
    pub answered: bool,
    /// The key that it reads, if that does not follow from the request.
    reads: Option<u64>,
}

impl Task {
    /// A read.
    #[must_use]
    pub fn read(now: Time) -> Self {
        Self {
            manner: Manner::Read,
            transactions: vec![],
            since: now,
            attempts: 0,
            answered: false,
            reads: None,
        }
    }
    /// What it asks for: all but when it would expire.
    fn what(&self) -> Digest {
        let mut hasher = Hasher::new("quorate/sim/task");
        hasher.number(self.manner as u64);
        hasher.number(self.reads.unwrap_or_default());
        for it in &self.transactions {
            hasher.number(it.sequence).bytes(&it.body);
        }
        hasher.finish()
    }
}

/// A client.
pub struct Client {
    key: Arc<SecretKey>,
    /// What it asks for, if that depends on nothing else ([`Scenario::same_work`]).
    work: Chance,
    next: u64,
    left: u64,
    /// Its node of choice.
    pub home: NodeId,
    /// Counts tasks and attempts: an old timer is none.
    pub timer: u64,
    /// What it is about now.
    pub task: Option<Task>,
}

/// What a request was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked.
    pub client: usize,
    /// Whom.
    pub node: NodeId,
    /// In which attempt.
    pub timer: u64,
    /// Which of the task's transactions.
    pub which: usize,
}

/// All clients.
pub struct Clients {
    /// Each.
    pub list: Vec<Client>,
    /// Open requests.
    pub open: BTreeMap<RequestId, Asked>,
    /// When one was answered last.
    pub rested: Time,
    /// What reads that were served saw, until their clients are told.
    pub saw: BTreeMap<RequestId, (Vec<u8>, Way)>,
    last: u64,
    /// What was asked for, by client and number.
    asked: BTreeMap<(usize, u64), Digest>,
    scheme: Arc<dyn Scheme>,
    /// Their chances.
    pub chance: Chance,
}

impl Clients {
    /// The clients of a scenario.
    #[must_use]
    pub fn new(plan: &Scenario) -> Self {
        let mut chance = Chance::of(plan.seed, "clients");
        let client = |i| Client {
            key: mock::key("client", i),
            work: Chance::of(plan.seed << 16 | i, "work of one client"),
            next: 1,
            left: plan.transactions,
            home: plan.home(i, &mut chance),
            timer: 0,
            task: None,
        };
        Self {
            list: (0..plan.clients as u64).map(client).collect(),
            open: BTreeMap::new(),
            rested: Time(0),
            saw: BTreeMap::new(),
            last: 0,
            asked: BTreeMap::new(),
            scheme: scheme(plan),
            chance,
        }
    }
    /// Whether nobody has anything left to ask for.
    #[must_use]
    pub fn done(&self) -> bool {
        self.list.iter().all(|c| c.left == 0 && c.task.is_none())
    }
    /// How many wait for an answer, and since when the longest one does.
    #[must_use]
    pub fn waiting(&self) -> (usize, Option<Time>) {
        let since = self
            .list
            .iter()
            .filter_map(|c| c.task.as_ref().map(|t| t.since));
        (since.clone().count(), since.min())
    }
    /// A name that no request has.
    pub fn name(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }
    /// Opens a request.
    pub fn open(&mut self, asked: Asked) -> RequestId {
        let id = self.name();
        self.open.insert(id, asked);
        id
    }
    /// The key that a read is about.
    #[must_use]
    pub fn read_key(&self, request: RequestId) -> Bytes {
        let asked = self.open.get(&request);
        let task = asked.and_then(|it| self.list[it.client].task.as_ref());
        let reads = task.and_then(|it| it.reads);
        key(reads.unwrap_or(request.0 % KEYS))
    }
    /// All that was asked for, whenever and of whomever.
    #[must_use]
    pub fn asked(&self) -> Digest {
        let mut hasher = Hasher::new("quorate/sim/asked");
        for ((client, number), what) in &self.asked {
            hasher.number(*client as u64).number(*number).digest(what);
        }
        hasher.finish()
    }
    /// The next task of a client, at the height that it believes in. `None`: it has none left.
    pub fn begin(
        &mut self,
        client: usize,
        now: Time,
        height: Height,
        plan: &Scenario,
    ) -> Option<Task> {
        let Self {
            list,
            chance,
            scheme,
            asked,
            ..
        } = self;
        let it = &mut list[client];
        it.left = it.left.checked_sub(1)?;
        let chance = if plan.same_work { &mut it.work } else { chance };
        let manner = match chance.below(20) {
            0 => Manner::Twice,
            1 => Manner::Await,
            2 | 3 => Manner::Again,
            4 => Manner::Conflict,
            5 => Manner::Cancel,
            6 | 7 => Manner::Read,
            _ => Manner::Plain,
        };
        // Now and then a number is left out.
        it.next += if chance.one_in(12) {
            1 + chance.below(3)
        } else {
            0
        };
        let sequence = it.next;
        it.next += 1;
        let ahead = chance.between(plan.lifetime / 2, plan.lifetime.saturating_sub(2));
        let expires = Height(height.0 + ahead);
        let count = match manner {
            Manner::Read => 0,
            Manner::Conflict => 2,
            _ => 1,
        };
        let sign = |_| {
            let body = request(chance, sequence, plan.large).encode();
            sign(&it.key, sequence, expires, body, &**scheme)
        };
        let mut task = Task {
            manner,
            transactions: (0..count).map(sign).collect(),
            since: now,
            attempts: 0,
            answered: false,
            reads: None,
        };
        if plan.same_work {
            task.reads = Some(it.work.below(KEYS));
            asked.insert((client, sequence), task.what());
        }
        it.task = Some(task.clone());
        Some(task)
    }
}

fn sign(
    key: &SecretKey,
    sequence: u64,
    expires: Height,
    body: Bytes,
    scheme: &dyn Scheme,
) -> Transaction {
    let mut it = Transaction {
        format: transaction::FORMAT,
        chain: CHAIN,
        client: key.public(),
        sequence,
        expires,
        body,
        signature: Signature::NONE,
    };
    it.signature = scheme.sign(key, &it.digest());
    it
}

/// Every key that clients write to.
pub fn all_keys() -> impl Iterator<Item = Bytes> {
    (0..KEYS).map(key)
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key{number}"))
}

/// A value that no other transaction writes. Two branches of four large ones are within a transaction.
fn value(chance: &mut Chance, mark: u64, large: bool) -> Bytes {
    let mut value = format!("{mark}-{}", chance.below(1_000)).into_bytes();
    if large {
        let more = chance.pick(&[0, 1_000, 50_000, 150_000]);
        value.resize(value.len() + more, b'.');
    }
    Bytes::from(value)
}

/// Operations on distinct keys, as the language demands within a branch.
fn operations(chance: &mut Chance, mark: u64, large: bool) -> Vec<Operation> {
    let first = chance.below(KEYS);
    let operation = |chance: &mut Chance, i| {
        let key = key((first + i) % KEYS);
        match chance.below(6) {
            0 => Operation::Delete { key },
            1 => Operation::Range {
                span: Span::only(key),
                limit: 1,
                revision: 0,
            },
            _ => Operation::Put {
                key,
                value: value(chance, mark, large),
            },
        }
    };
    (0..chance.between(1, 4))
        .map(|i| operation(chance, i))
        .collect()
}

fn request(chance: &mut Chance, mark: u64, large: bool) -> Request {
    let then = operations(chance, mark, large);
    if !chance.one_in(4) {
        return Request::all(then);
    }
    let relation = chance.pick(&[
        Relation::Equal,
        Relation::Different,
        Relation::Less,
        Relation::Greater,
    ]);
    let test = match chance.below(4) {
        0 => Test::Exists(chance.one_in(2)),
        1 => Test::Version(relation, chance.below(4)),
        2 => Test::Modified(relation, chance.below(40)),
        _ => Test::Created(relation, chance.below(40)),
    };
    let compares = vec![Compare {
        key: key(chance.below(KEYS)),
        test,
    }];
    let otherwise = if chance.one_in(2) {
        operations(chance, mark, large)
    } else {
        vec![]
    };
    Request {
        compares,
        then,
        otherwise,
    }
}
