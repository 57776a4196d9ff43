//! Clients' requests that wait for an answer.

use crate::{Effect, Refusal, Reply, RequestId, Wait};
use crypto::{Digest, Height, PublicKey, Time};
use std::collections::{BTreeMap, BTreeSet};
use storage::Receipt;

type Session = (PublicKey, u64);

/// One who waits for a receipt.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    request: RequestId,
    /// Of the transaction that he sent; `None`: whatever has the sequence.
    digest: Option<Digest>,
}

/// All who wait. Its size is capped; whoever comes beyond the cap is told so.
#[derive(Debug)]
pub(crate) struct Requests {
    cap: usize,
    receipts: BTreeMap<Session, Vec<Waiter>>,
    sessions: BTreeMap<RequestId, (Session, Height)>,
    expiries: BTreeSet<(Height, RequestId)>,
    /// Submissions that the pool has not answered yet (it does so within the step).
    submitted: BTreeMap<RequestId, Wait>,
    /// Reads, with the height at which they may be served once their barrier is known.
    reads: BTreeMap<RequestId, Option<Height>>,
    due: BTreeSet<(Height, RequestId)>,
}

impl Requests {
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            cap,
            receipts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            expiries: BTreeSet::new(),
            submitted: BTreeMap::new(),
            reads: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.reads.len()
    }

    /// Whether another may wait.
    pub(crate) fn room(&self) -> Result<(), Refusal> {
        if self.len() < self.cap {
            return Ok(());
        }
        Err(Refusal::Full {
            retry_after: Time::millis(100),
            what: "the list of waiting requests",
        })
    }

    /// A submission goes to the pool.
    pub(crate) fn submit(
        &mut self,
        request: RequestId,
        wait: Wait,
        session: Session,
        digest: Digest,
        expires: Height,
    ) {
        self.submitted.insert(request, wait);
        if wait == Wait::Committed {
            self.wait(request, session, Some(digest), expires);
        }
    }

    /// Waits for the receipt of a sequence, up to a height.
    pub(crate) fn wait(
        &mut self,
        request: RequestId,
        session: Session,
        digest: Option<Digest>,
        expires: Height,
    ) {
        self.receipts
            .entry(session)
            .or_default()
            .push(Waiter { request, digest });
        self.sessions.insert(request, (session, expires));
        self.expiries.insert((expires, request));
    }

    /// The pool took it.
    pub(crate) fn accepted(&mut self, request: RequestId, out: &mut Vec<Effect>) {
        if self.submitted.remove(&request) == Some(Wait::Accepted) {
            out.push(Effect::Reply {
                request,
                reply: Reply::Accepted,
            });
        }
    }

    /// It is not taken.
    pub(crate) fn refused(&mut self, request: RequestId, why: Refusal, out: &mut Vec<Effect>) {
        self.cancel(request);
        out.push(Effect::Reply {
            request,
            reply: Reply::Refused(why),
        });
    }

    /// A read waits for its barrier.
    pub(crate) fn barrier(&mut self, request: RequestId) {
        self.reads.insert(request, None);
    }

    /// The barrier is known: answer when this height is executed.
    pub(crate) fn read_at(&mut self, request: RequestId, height: Height) {
        if let Some(at @ None) = self.reads.get_mut(&request) {
            *at = Some(height);
            self.due.insert((height, request));
        }
    }

    /// Heights up to `height` are executed: answers all who can be answered.
    pub(crate) fn executed(&mut self, receipts: &[Receipt], height: Height, out: &mut Vec<Effect>) {
        for receipt in receipts {
            self.tell_waiters(receipt, out);
        }
        self.serve_reads(height, out);
        while let Some(&(expires, request)) = self.expiries.first() {
            if expires >= height {
                break;
            }
            self.refused(request, Refusal::Expired { height }, out);
        }
    }

    /// Those who wait for another transaction of the sequence go on waiting, unless this one used it
    /// up: told that it is used, they would do under another what may still be done under this.
    fn tell_waiters(&mut self, receipt: &Receipt, out: &mut Vec<Effect>) {
        let session = (receipt.client, receipt.sequence);
        let used = receipt.outcome.used_sequence();
        let ours = |waiter: &Waiter| waiter.digest.map(|digest| digest == receipt.transaction);
        let waiters = self.receipts.remove(&session).unwrap_or_default();
        let (told, waiting): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| used || ours(waiter) == Some(true));
        for waiter in told {
            self.forget(waiter.request);
            let reply = match ours(&waiter) {
                Some(false) => Reply::Refused(Refusal::SequenceUsed),
                Some(true) | None => Reply::Executed(receipt.clone()),
            };
            out.push(Effect::Reply {
                request: waiter.request,
                reply,
            });
        }
        if !waiting.is_empty() {
            self.receipts.insert(session, waiting);
        }
    }

    /// Answers the reads whose height is reached.
    pub(crate) fn serve_reads(&mut self, height: Height, out: &mut Vec<Effect>) {
        while let Some(&(at, request)) = self.due.first() {
            if at > height {
                break;
            }
            self.due.pop_first();
            self.reads.remove(&request);
            out.push(Effect::Reply {
                request,
                reply: Reply::ReadAt(height),
            });
        }
    }

    /// Nobody waits for it any more.
    pub(crate) fn cancel(&mut self, request: RequestId) {
        self.submitted.remove(&request);
        if let Some(Some(height)) = self.reads.remove(&request) {
            self.due.remove(&(height, request));
        }
        if let Some((session, _)) = self.forget(request)
            && let Some(waiters) = self.receipts.get_mut(&session)
        {
            waiters.retain(|waiter| waiter.request != request);
            if waiters.is_empty() {
                self.receipts.remove(&session);
            }
        }
    }

    fn forget(&mut self, request: RequestId) -> Option<(Session, Height)> {
        let known = self.sessions.remove(&request);
        if let Some((_, expires)) = known {
            self.expiries.remove(&(expires, request));
        }
        known
    }
}

#[cfg(test)]
mod tests;
