//! What the pool wants done.

use crate::engine::{Engine, Loading};
use crate::{Effect, Query, Refusal, RequestId, rows, wire};
use consensus::{Input, Protocol, Refused, Ticket};
use mempool::{Output, To, Unfit};
use storage::{Scan, Table, log};

impl<P: Protocol> Engine<P> {
    pub(crate) fn pooled(&mut self, output: Output, out: &mut Vec<Effect>) {
        match output {
            Output::Accepted { request } => self.requests.accepted(RequestId(request), out),
            Output::Refused { request, refusal } => {
                self.requests
                    .refused(RequestId(request), refusal_of(refusal), out);
            }
            Output::Store { .. } if crypto::planted!(StoreNothing) => {}
            Output::Store {
                reference,
                bytes,
                committed,
            } => rows::put_batch(&reference, bytes, committed, &mut self.writing.batch),
            Output::Drop { digest, committed } => {
                rows::drop_batch(&digest, committed, &mut self.writing.batch);
            }
            Output::Load(digest) => {
                let query = Query {
                    table: Table::Batch,
                    scans: vec![Scan::one(log::batch_key(&digest))],
                    bytes: usize::MAX,
                };
                self.load(Loading::Batch(digest), query, out);
            }
            Output::Send { to, message } => {
                let (class, frame) = wire::encode_pool(message);
                out.push(match to {
                    To::One(to) => Effect::Send { to, class, frame },
                    To::Others => Effect::Broadcast { class, frame },
                });
            }
            Output::Payload { ticket, payload } => {
                self.tell_protocol(Input::Payload {
                    ticket: Ticket(ticket),
                    payload,
                });
            }
            Output::Checked { block, held } => {
                let held = held.map_err(|unfit| match unfit {
                    Unfit::Invalid => Refused::Invalid,
                    Unfit::Expired => Refused::Expired,
                });
                self.tell_protocol(Input::Checked { block, held });
            }
            Output::Pending { oldest } => {
                if oldest.is_some() != self.pending.is_some() {
                    self.tell_pool(mempool::Input::Idle(oldest.is_none()));
                }
                self.pending = oldest;
                self.tell_protocol(Input::Pending { oldest });
            }
            Output::Overdue { batch } => self.tell_protocol(Input::Overdue { batch }),
            Output::Available { height } => {
                self.execution.available(height, self.writing.token);
                self.may_execute(None, out);
            }
            Output::Reject(from, reject) => out.push(Effect::Rejected { from, reject }),
        }
    }

    pub(crate) fn load(&mut self, what: Loading, query: Query, out: &mut Vec<Effect>) {
        // What is loaded may be in it.
        if !self.writing.batch.is_empty() {
            self.finish_write(out);
        }
        self.last_load += 1;
        let token = self.last_load;
        self.loading.insert(token, what);
        out.push(Effect::Load { token, query });
    }
}

fn refusal_of(refusal: mempool::Refusal) -> Refusal {
    match refusal {
        mempool::Refusal::SequenceUsed => Refusal::SequenceUsed,
        mempool::Refusal::Expired { height } => Refusal::Expired { height },
        mempool::Refusal::TooLong { .. } => Refusal::Invalid(refusal.to_string()),
        mempool::Refusal::Full { what, retry_after } => Refusal::Full { retry_after, what },
    }
}
