#![allow(clippy::unwrap_used)]

use super::*;
use crate::runtime::inbox::Outlet;
use crypto::{ChainId, Ed25519, Epoch, Height, SecretKey, Signature, View};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const BAD: u8 = 0;
const SLOW: u8 = 1;
const GOOD: u8 = 2;

/// Refuses, dawdles or takes, by the first byte of a frame; transactions by the real rules.
#[derive(Default)]
struct Toy {
    batches: Mutex<Vec<usize>>,
    unsigned: AtomicBool,
}

impl Ingress for Toy {
    type Checked = Bytes;

    fn admit(&self, _: NodeId, frame: &Bytes, _: &Window) -> Result<Bytes, Reject> {
        match frame[0] {
            BAD => return Err(Reject::BadSignature),
            SLOW => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
        Ok(frame.clone())
    }
    fn checks_signatures(&self) -> bool {
        !self.unsigned.load(Ordering::Relaxed)
    }
    fn admit_transactions(
        &self,
        list: Vec<Transaction>,
    ) -> Vec<Result<mempool::CheckedTransaction, Reject>> {
        self.batches.lock().unwrap().push(list.len());
        let rules = mempool::Rules {
            transaction_bytes: 1_000,
            batch_bytes: 10_000,
            batch_transactions: 100,
            signed: self.checks_signatures(),
            peers_trusted: false,
            validate: Arc::new(|_| true),
        };
        rules.admit_transactions(list, &ChainId::default(), &Ed25519)
    }
}

struct Bench {
    verification: Arc<Verification<Toy>>,
    toy: Arc<Toy>,
    requests: Arc<Requests>,
    metrics: Arc<Metrics>,
    outlet: Outlet<Bytes>,
    threads: Vec<JoinHandle<()>>,
    permits: Arc<Semaphore>,
}

fn bench() -> Bench {
    let window = Window {
        epoch: Epoch(0),
        views: (View(0), View(9)),
        heights: (Height(0), Height(9)),
    };
    let (inbox, outlet) = Inbox::new();
    let (toy, metrics) = (Arc::new(Toy::default()), Arc::new(Metrics::new()));
    let requests = Arc::new(Requests::new(1_000));
    let verification = Arc::new(Verification::new(
        toy.clone(),
        Arc::new(RwLock::new(window)),
        inbox,
        requests.clone(),
        metrics.clone(),
    ));
    let permits = Arc::new(Semaphore::new(1_000));
    Bench {
        verification,
        toy,
        requests,
        metrics,
        outlet,
        threads: Vec::new(),
        permits,
    }
}

impl Bench {
    fn start(&mut self) {
        let failure = Failure::new(CancellationToken::new());
        self.threads = self.verification.start(1, &failure).unwrap();
    }
    fn frame(&self, from: u16, class: Class, bytes: &[u8]) {
        let permit = self.permits.clone().try_acquire_owned().unwrap();
        let bytes = Bytes::copy_from_slice(bytes);
        self.verification.frame(NodeId(from), class, bytes, permit);
    }
    /// The next inputs; their permits are dropped.
    fn inputs(&self, count: usize) -> Vec<Input<Bytes>> {
        let (end, mut inputs) = (Instant::now() + PATIENCE, Vec::new());
        while inputs.len() < count {
            assert!(Instant::now() < end, "only {inputs:?}");
            self.outlet.take(Duration::from_millis(10), 1, &mut inputs);
        }
        inputs.into_iter().map(|(input, _)| input).collect()
    }
    fn end(self) {
        self.verification.close();
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert_eq!(self.permits.available_permits(), 1_000, "a permit was kept");
    }
}

fn transaction(sequence: u64, good: bool) -> Transaction {
    let key = SecretKey::from_seed(&[5; 32]);
    let mut transaction = Transaction {
        format: crypto::transaction::FORMAT,
        chain: ChainId::default(),
        client: key.public(),
        sequence,
        expires: Height(100),
        body: Bytes::from_static(b"x"),
        signature: Signature::NONE,
    };
    if good {
        transaction.signature = key.sign(&transaction.digest());
    }
    transaction
}

#[test]
fn control_messages_of_a_peer_keep_their_order() {
    let mut bench = bench();
    bench.start();
    for i in 0..200 {
        bench.frame(i % 3, Class::Control, &[GOOD, i as u8]);
    }
    let inputs = bench.inputs(200);
    for peer in 0..3 {
        let of_peer = inputs.iter().filter_map(|input| match input {
            Input::Message { from, message } if *from == NodeId(peer) => Some(message[1]),
            _ => None,
        });
        let expected = (0..200_u16).filter(|i| i % 3 == peer).map(|i| i as u8);
        assert!(of_peer.eq(expected), "peer {peer}");
    }
    drop(inputs);
    bench.end();
}

#[test]
fn a_batch_that_takes_long_does_not_delay_a_vote() {
    let mut bench = bench();
    bench.start();
    bench.frame(0, Class::Bulk, &[SLOW]);
    bench.frame(0, Class::Bulk, &[SLOW]);
    bench.frame(0, Class::Control, &[GOOD]);
    let first = bench.inputs(1);
    assert!(matches!(&first[0], Input::Message { message, .. } if message[0] == GOOD));
    bench.inputs(2);
    bench.end();
}

#[test]
fn a_bad_message_is_counted_and_dropped() {
    let mut bench = bench();
    bench.start();
    bench.frame(2, Class::Control, &[BAD]);
    bench.frame(2, Class::Control, &[GOOD]);
    assert_eq!(bench.inputs(1).len(), 1);
    assert_eq!(bench.metrics.rejects(Reject::BadSignature), 1);
    bench.end();
}

#[test]
fn transactions_that_wait_are_checked_together_and_bad_ones_answered() {
    let mut bench = bench();
    let mut answers = Vec::new();
    for sequence in 0..100 {
        let (waiting, answer) = bench.requests.open().unwrap();
        let request = waiting.request();
        let transaction = transaction(sequence, sequence != 50);
        let wait = Wait::Accepted;
        bench.verification.ask(Question::Submit {
            request,
            transaction,
            wait,
        });
        answers.push((waiting, answer));
    }
    bench.start();
    let inputs = bench.inputs(99);
    assert!(
        inputs
            .iter()
            .all(|input| matches!(input, Input::Submit { .. }))
    );
    assert_eq!(*bench.toy.batches.lock().unwrap(), [64, 36]);
    let mut bad = answers.remove(50).1;
    assert!(matches!(
        bad.try_recv(),
        Ok(Answer::Rejected(Reject::BadSignature))
    ));
    assert!(
        answers
            .iter_mut()
            .all(|(_, answer)| answer.try_recv().is_err())
    );
    bench.end();
}

#[test]
fn a_transaction_that_nobody_signs_wakes_no_thread() {
    let bench = bench(); // none is started
    bench.toy.unsigned.store(true, Ordering::Relaxed);
    let (waiting, _answer) = bench.requests.open().unwrap();
    bench.verification.ask(Question::Submit {
        request: waiting.request(),
        transaction: transaction(1, false),
        wait: Wait::Committed,
    });
    assert!(matches!(&bench.inputs(1)[0], Input::Submit { .. }));
    bench.end();
}

#[test]
fn a_request_given_up_before_its_checks_never_reaches_the_machine() {
    let mut bench = bench();
    for (sequence, stays) in [(1, false), (2, true)] {
        let (waiting, _answer) = bench.requests.open().unwrap();
        let request = waiting.request();
        let transaction = transaction(sequence, true);
        let wait = Wait::Committed;
        bench.verification.ask(Question::Submit {
            request,
            transaction,
            wait,
        });
        if stays {
            std::mem::forget(waiting);
        }
    }
    bench.start();
    let inputs = bench.inputs(1);
    let Input::Submit { transaction, .. } = &inputs[0] else {
        panic!("{inputs:?}")
    };
    assert_eq!(transaction.transaction().sequence, 2);
    bench.end();
}

/// A client may send a burst, reset the stream, and do it again: what it left behind still waits.
#[test]
fn what_nobody_waits_for_keeps_its_slot_until_it_is_taken_and_is_not_checked() {
    let mut bench = bench();
    let submit = |bench: &Bench, sequence| {
        let (waiting, answer) = bench.requests.open()?;
        bench.verification.ask(Question::Submit {
            request: waiting.request(),
            transaction: transaction(sequence, false),
            wait: Wait::Committed,
        });
        Some((waiting, answer))
    };
    (0..2_000).for_each(|sequence| drop(submit(&bench, sequence)));
    let waiting = bench.verification.waiting();
    assert!(waiting <= 1_000, "{waiting} wait");
    bench.start();
    let end = Instant::now() + PATIENCE;
    let (_waiting, answer) = loop {
        if let Some(taken) = submit(&bench, 1) {
            break taken;
        }
        assert!(Instant::now() < end, "no slot comes free");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(matches!(
        answer.blocking_recv(),
        Ok(Answer::Rejected(Reject::BadSignature))
    ));
    assert_eq!(*bench.toy.batches.lock().unwrap(), [1]);
    bench.end();
}

/// As above, once it is checked, or need not be: the machine may be busy with something else.
#[test]
fn what_nobody_waits_for_keeps_its_slot_until_the_machine_has_taken_it() {
    for unsigned in [true, false] {
        let mut bench = bench();
        bench.toy.unsigned.store(unsigned, Ordering::Relaxed);
        bench.start();
        let leave = |bench: &Bench, sequence| {
            let (waiting, _answer) = bench.requests.open()?;
            let (request, wait) = (waiting.request(), Wait::Accepted);
            let transaction = transaction(sequence, true);
            let questions = [
                Question::Submit {
                    request,
                    transaction,
                    wait,
                },
                Question::Read { request },
            ];
            for question in questions {
                bench.verification.ask(question);
            }
            // Until it is checked; then he leaves.
            let end = Instant::now() + PATIENCE;
            while bench.verification.waiting() > 0 && Instant::now() < end {
                std::thread::yield_now();
            }
            let slot = bench.requests.slot(request)?;
            drop(waiting);
            bench.verification.ask(Question::Cancel { request, slot });
            Some(())
        };
        let left = (0..2_000).filter_map(|i| leave(&bench, i)).count();
        assert_eq!(left, 1_000, "as many as there are slots");
        assert!(bench.outlet.len() <= 3 * left, "{}", bench.outlet.len());
        let waiting = bench.outlet.len();
        drop(bench.inputs(waiting));
        assert!(bench.requests.open().is_some(), "free again");
        bench.end();
    }
}

/// Slots count requests, and a transaction may have more than a MiB.
#[test]
fn long_transactions_that_wait_are_refused_when_there_are_too_many() {
    let bench = bench();
    let long = Transaction {
        body: vec![0; 1 << 20].into(),
        ..transaction(1, false)
    };
    let mut refused = 0;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let (one, mut answer) = bench.requests.open().unwrap();
        bench.verification.ask(Question::Submit {
            request: one.request(),
            transaction: long.clone(),
            wait: Wait::Committed,
        });
        let full = |it: &Answer| {
            matches!(
                it,
                Answer::Reply(engine::Reply::Refused(engine::Refusal::Full { .. }))
            )
        };
        refused += usize::from(answer.try_recv().is_ok_and(|it| full(&it)));
        waiting.push((one, answer));
    }
    assert!((30..50).contains(&refused), "{refused} are refused");
    assert_eq!(bench.verification.waiting(), 100 - refused);
    bench.end();
}

/// One peer's batches, bad ones perhaps, must not delay those of all others.
#[test]
fn batches_of_one_peer_do_not_delay_those_of_another() {
    let mut bench = bench();
    for _ in 0..6 {
        bench.frame(3, Class::Bulk, &[SLOW]);
    }
    bench.frame(1, Class::Bulk, &[GOOD]);
    bench.frame(2, Class::Bulk, &[GOOD]);
    bench.start();
    let inputs = bench.inputs(8);
    let place = |peer| {
        let from =
            |it: &Input<Bytes>| matches!(it, Input::Message { from, .. } if *from == NodeId(peer));
        inputs.iter().position(from).unwrap()
    };
    assert!(
        place(1) <= 2 && place(2) <= 2,
        "behind {} and {}",
        place(1),
        place(2)
    );
    drop(inputs);
    bench.end();
}

#[test]
fn requests_are_capped() {
    let requests = Arc::new(Requests::new(2));
    let first = requests.open().unwrap();
    let _second = requests.open().unwrap();
    assert!(requests.open().is_none());
    drop(first);
    assert!(requests.open().is_some());
}
