//! What the protocol and its shell want done.

use crate::engine::{Engine, Loading};
use crate::{Effect, Query, Refusal, RequestId, rows, wire};
use consensus::replica::Effect as Ordered;
use consensus::{Committed, Input, Loaded, Protocol, ReadId, Retry, Selection, To, Token};
use crypto::{Height, Time};
use std::sync::Arc;
use storage::{Commit, Executed, Table};

impl<P: Protocol> Engine<P> {
    pub(crate) fn order(&mut self, effect: Ordered<P>, out: &mut Vec<Effect>) {
        match effect {
            Ordered::Write { fence, ops, sync } => {
                for op in ops {
                    rows::write(op, &mut self.writing.batch);
                }
                self.writing.sync |= sync;
                if sync {
                    let token = self.writing.token;
                    match self.fences.back_mut() {
                        Some(last) if last.0 == token => last.1 = fence,
                        _ => self.fences.push_back((token, fence)),
                    }
                }
            }
            Ordered::Send { to, message } => {
                let (class, frame) = wire::encode_replica(&*message);
                out.push(match to {
                    To::One(to) => Effect::Send { to, class, frame },
                    To::Me | To::All | To::Others => Effect::Broadcast { class, frame },
                });
            }
            Ordered::Commit { committed, by_leader } => self.commit(&committed, by_leader, out),
            Ordered::WantPayload { ticket, height, budget, exclude } => {
                let ticket = ticket.0;
                self.tell_pool(mempool::Input::Want { ticket, height, budget, exclude });
            }
            Ordered::CheckPayload { block, height, payload } => {
                self.tell_pool(mempool::Input::Check { block, height, payload });
            }
            Ordered::DropCheck(block) => self.tell_pool(mempool::Input::DropCheck(block)),
            Ordered::Return(payload) => self.tell_pool(mempool::Input::Return(payload)),
            Ordered::Load { token, which } => {
                let scans = match which {
                    Selection::Heights(heights) => vec![rows::records_at(&heights)],
                    Selection::Keys(keys) => keys.into_iter().map(rows::record_of).collect(),
                };
                let bytes = self.setup.load_bytes();
                let query = Query { table: Table::Record, scans, bytes };
                self.load(Loading::Records(token), query, out);
            }
            Ordered::Read(id, at) => self.read_answered(id, at, out),
            Ordered::Behind { target, .. } => out.push(Effect::Notice(format!(
                "this node is so far behind height {target} that no peer holds the blocks it lacks: \
                 replace it by a node under a new key"
            ))),
            Ordered::Evidence(proof) => {
                let synced = self.fences.back();
                let (write, _) = synced.expect("its write came just before, and is synced");
                self.proofs.push_back((*write, proof));
            }
            Ordered::Reject(from, reject) => out.push(Effect::Rejected { from, reject }),
            Ordered::Leader(leader) => self.tell_pool(mempool::Input::Leader(leader)),
            Ordered::Stable(_) => {}
            Ordered::Halt(reason) => out.push(Effect::Halt { reason }),
        }
    }

    fn commit(
        &mut self,
        committed: &Arc<Committed<P::Proof>>,
        by_leader: bool,
        out: &mut Vec<Effect>,
    ) {
        let (height, payload) = (committed.height, committed.payload.clone());
        let token = self.writing.token;
        let handed = self
            .execution
            .commit(height, (&payload, committed.history), token);
        self.may_execute(handed, out);
        let batches = payload.references();
        out.push(Effect::Committed {
            height,
            batches: batches.iter().map(|batch| batch.digest).collect(),
            transactions: batches.iter().map(|batch| batch.count as usize).sum(),
        });
        self.tell_pool(mempool::Input::Committed {
            height,
            payload,
            by_leader,
        });
    }

    /// Tells the executor what it may execute by now, and has written soon what it waits for.
    pub(crate) fn may_execute(&mut self, handed: Option<Commit>, out: &mut Vec<Effect>) {
        self.execution.request(handed, out);
        self.writing.wanted |= self.execution.waits_for(self.writing.token);
    }

    fn read_answered(&mut self, id: ReadId, at: Result<Height, Retry>, out: &mut Vec<Effect>) {
        let request = RequestId(id.0);
        match at {
            Ok(height) => {
                self.requests.read_at(request, height);
                self.requests.serve_reads(self.execution.executed, out);
            }
            Err(retry) => {
                let why = match retry {
                    Retry::NoLeader => Refusal::NoLeader,
                    Retry::NoQuorum => Refusal::NoQuorum {
                        missing: self.missing(),
                    },
                    Retry::Full => Refusal::Full {
                        retry_after: Time::millis(100),
                        what: "the list of waiting reads",
                    },
                };
                self.requests.refused(request, why, out);
            }
        }
    }

    /// The protocol would take a record that is not what this node wrote for one that was never
    /// written, though it may have voted for it: so the node stops, as one that starts does.
    pub(crate) fn loaded_records(
        &mut self,
        token: Token,
        rows: &[storage::Row],
        out: &mut Vec<Effect>,
    ) {
        let records: Result<Vec<_>, _> = rows
            .iter()
            .map(|(key, value)| rows::record::<P>(key, value))
            .collect();
        match records {
            Ok(records) => self.tell_protocol(Input::Loaded(Loaded { token, records })),
            Err(damage) => out.push(Effect::Halt {
                reason: damage.to_string(),
            }),
        }
    }

    pub(crate) fn executed(&mut self, heights: Vec<Executed>, out: &mut Vec<Effect>) {
        for executed in heights {
            let Executed {
                height,
                state,
                receipts,
            } = executed;
            assert_eq!(
                height,
                self.execution.executed.next(),
                "heights execute in order"
            );
            self.execution.executed(height, state);
            self.requests.executed(&receipts, height, out);
            self.tell_protocol(Input::Executed { height, state });
        }
    }
}
