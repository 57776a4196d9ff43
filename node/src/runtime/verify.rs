//! The checks before the machine: control messages at once where they are read, in the order of
//! their stream and with no thread to wake; batches and transactions on threads of their own, so
//! that no batch of a thousand signatures delays a vote.

use super::failure::Failure;
use super::inbox::Inbox;
use super::metrics::{Metrics, Stage};
use super::network::Sink;
use super::network::peer::Permit;
use super::occasionally::Occasionally;
use super::requests::{Answer, Question, Requests, Slot};
use bytes::Bytes;
use consensus::Window;
use crypto::{NodeId, Reject, Time, Transaction};
use engine::{Class, Ingress, Input, Refusal, Reply, RequestId, Wait};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

/// Most transactions in one batch of signatures: larger ones gain little.
const BATCH: usize = 64;
/// Most bytes of transactions that wait.
const SUBMISSION_BYTES: usize = 64 << 20;
/// When who is refused for that may try again.
const RETRY: Time = Time::millis(50);

struct Frame {
    from: NodeId,
    bytes: Bytes,
    permit: Permit,
}

/// A transaction to be checked. It keeps its request's slot: who leaves at once makes no room for more.
struct Submission {
    request: RequestId,
    transaction: Transaction,
    wait: Wait,
    _slot: Slot,
}

impl Submission {
    fn bytes(&self) -> usize {
        Transaction::OVERHEAD + self.transaction.body.len()
    }
}

/// Work that waits. Bounded by the permits of frames and the slots of requests.
#[derive(Default)]
struct Work {
    /// Of each peer in turn: what one sends, and is perhaps all bad, must not delay the others'.
    bulk: BTreeMap<NodeId, VecDeque<Frame>>,
    /// Whose turn it was last.
    last: NodeId,
    submissions: VecDeque<Submission>,
    submission_bytes: usize,
    /// Whose turn it is among those that share the threads.
    bulk_next: bool,
    closed: bool,
}

/// One piece of work for the shared threads.
enum Heavy {
    Bulk(Frame),
    Submissions(Vec<Submission>),
}

/// What the threads share, and the network's sink.
pub(crate) struct Verification<I: Ingress> {
    ingress: Arc<I>,
    window: Arc<RwLock<Window>>,
    inbox: Inbox<I::Checked>,
    requests: Arc<Requests>,
    metrics: Arc<Metrics>,
    log: Occasionally,
    work: Mutex<Work>,
    heavy_ready: Condvar,
}

impl<I: Ingress> Verification<I> {
    pub(crate) fn new(
        ingress: Arc<I>,
        window: Arc<RwLock<Window>>,
        inbox: Inbox<I::Checked>,
        requests: Arc<Requests>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            ingress,
            window,
            inbox,
            requests,
            metrics,
            log: Occasionally::default(),
            work: Mutex::default(),
            heavy_ready: Condvar::new(),
        }
    }

    /// Starts `heavy` threads for batches and transactions.
    pub(crate) fn start(
        self: &Arc<Self>,
        heavy: usize,
        failure: &Failure,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let mut threads = Vec::new();
        for _ in 0..heavy.max(1) {
            let this = self.clone();
            threads.push(failure.spawn("verify", move || this.run_heavy())?);
        }
        Ok(threads)
    }

    /// Ends the threads; what waits is dropped.
    pub(crate) fn close(&self) {
        *self.lock() = Work {
            closed: true,
            ..Work::default()
        };
        self.heavy_ready.notify_all();
    }

    /// Passes a client's question on, transactions through their checks.
    pub(crate) fn ask(&self, question: Question) {
        match question {
            Question::Submit {
                request,
                transaction,
                wait,
            } => {
                // He may have left already.
                if let Some(slot) = self.requests.slot(request) {
                    self.submit(Submission {
                        request,
                        transaction,
                        wait,
                        _slot: slot,
                    });
                }
            }
            Question::Read { request } => self.post(request, Input::Read { request }),
            Question::Await {
                request,
                client,
                sequence,
            } => {
                let input = Input::Await {
                    request,
                    client,
                    sequence,
                };
                self.post(request, input);
            }
            Question::Cancel { request, slot } => {
                self.inbox.post_held(Input::Cancel { request }, slot);
            }
        }
    }

    /// Posts what a request asks, unless nobody waits for it any longer.
    fn post(&self, request: RequestId, input: Input<I::Checked>) {
        if let Some(slot) = self.requests.slot(request) {
            self.inbox.post_held(input, slot);
        }
    }

    /// Passes a transaction on; one that is signed waits for its check.
    fn submit(&self, submission: Submission) {
        if !self.ingress.checks_signatures() {
            return self.admit_transactions(vec![submission]);
        }
        let (request, bytes) = (submission.request, submission.bytes());
        let mut work = self.lock();
        let room = work.submission_bytes + bytes <= SUBMISSION_BYTES;
        if room && !work.closed {
            work.submission_bytes += bytes;
            work.submissions.push_back(submission);
            self.heavy_ready.notify_one();
        }
        drop(work);
        if !room {
            let full = Refusal::Full {
                retry_after: RETRY,
                what: "the queue of signature checks",
            };
            self.requests
                .answer(request, Answer::Reply(Reply::Refused(full)));
        }
    }

    /// How many frames and transactions wait.
    pub(crate) fn waiting(&self) -> usize {
        let work = self.lock();
        let bulk: usize = work.bulk.values().map(VecDeque::len).sum();
        bulk + work.submissions.len()
    }

    /// Counts a peer's fault, and writes of it now and then.
    pub(crate) fn reject(&self, from: NodeId, reject: Reject) {
        self.metrics.reject(reject);
        if let Some(left_out) = self.log.may(&format!("{from} {}", reject.name())) {
            tracing::debug!(%from, left_out, "refused a message: {reject}");
        }
    }

    fn run_heavy(&self) {
        loop {
            let mut work = self.lock();
            let next = loop {
                if work.closed {
                    return;
                }
                if let Some(next) = work.take_heavy() {
                    break next;
                }
                work = self
                    .heavy_ready
                    .wait(work)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(work);
            match next {
                Heavy::Bulk(frame) => self.admit(frame),
                Heavy::Submissions(list) => self.admit_transactions(list),
            }
        }
    }

    fn admit(&self, frame: Frame) {
        let window = *self.window.read().unwrap_or_else(PoisonError::into_inner);
        match self.ingress.admit(frame.from, &frame.bytes, &window) {
            Ok(message) => {
                self.inbox.post_held(
                    Input::Message {
                        from: frame.from,
                        message,
                    },
                    frame.permit,
                );
            }
            Err(reject) => self.reject(frame.from, reject),
        }
    }

    fn admit_transactions(&self, list: Vec<Submission>) {
        let mut names = Vec::with_capacity(list.len());
        let mut transactions = Vec::with_capacity(list.len());
        for it in list {
            if self.requests.slot(it.request).is_some() {
                names.push((it.request, it.wait));
                transactions.push(it.transaction);
            }
        }
        if names.is_empty() {
            return;
        }
        let checked = self.ingress.admit_transactions(transactions);
        assert_eq!(
            checked.len(),
            names.len(),
            "one verdict for each transaction"
        );
        for ((request, wait), checked) in names.into_iter().zip(checked) {
            match checked {
                Ok(transaction) => {
                    let submit = |slot| {
                        let input = Input::Submit {
                            request,
                            transaction,
                            wait,
                        };
                        self.inbox.post_held(input, slot);
                    };
                    if let Some(took) = self.requests.admitted(request, submit) {
                        self.metrics.stage(Stage::Admit, took);
                    }
                }
                Err(reject) => {
                    self.requests.answer(request, Answer::Rejected(reject));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Batches and transactions in turn, so that neither starves the other.
    fn take_heavy(&mut self) -> Option<Heavy> {
        let bulk = !self.bulk.is_empty() && (self.bulk_next || self.submissions.is_empty());
        self.bulk_next = !bulk;
        if bulk {
            return self.take_bulk().map(Heavy::Bulk);
        }
        let count = self.submissions.len().min(BATCH);
        let taken: Vec<_> = self.submissions.drain(..count).collect();
        self.submission_bytes -= taken.iter().map(Submission::bytes).sum::<usize>();
        (count > 0).then_some(Heavy::Submissions(taken))
    }
    /// One frame of the next peer that has any.
    fn take_bulk(&mut self) -> Option<Frame> {
        let mut behind = self
            .bulk
            .range((Bound::Excluded(self.last), Bound::Unbounded));
        let (&peer, _) = behind.next().or_else(|| self.bulk.first_key_value())?;
        self.last = peer;
        let queue = self.bulk.get_mut(&peer)?;
        let frame = queue.pop_front();
        if queue.is_empty() {
            self.bulk.remove(&peer);
        }
        frame
    }
}

impl<I: Ingress> Sink for Verification<I> {
    fn frame(&self, from: NodeId, class: Class, bytes: Bytes, permit: Permit) {
        let frame = Frame {
            from,
            bytes,
            permit,
        };
        match class {
            Class::Control => self.admit(frame),
            Class::Bulk => {
                let mut work = self.lock();
                if !work.closed {
                    work.bulk.entry(from).or_default().push_back(frame);
                    self.heavy_ready.notify_one();
                }
            }
        }
    }

    fn touched(&self, node: NodeId, connected: bool) {
        self.inbox.post(if connected {
            Input::Connected(node)
        } else {
            Input::Disconnected(node)
        });
    }

    fn rejected(&self, from: NodeId, reject: Reject) {
        self.reject(from, reject);
    }
}

#[cfg(test)]
mod tests;
