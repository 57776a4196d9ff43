use super::*;
use storage::Outcome;

const CLIENT: PublicKey = PublicKey([1; 32]);

fn receipt(transaction: u8, outcome: Outcome) -> Receipt {
    Receipt {
        client: CLIENT,
        sequence: 5,
        transaction: Digest([transaction; 32]),
        outcome,
        revision: 0,
        height: Height(7),
        index: 0,
        repeated: false,
    }
}

fn answers(requests: &mut Requests, receipt: Receipt) -> Vec<(RequestId, Reply)> {
    let (height, mut out) = (receipt.height, Vec::new());
    requests.executed(&[receipt], height, &mut out);
    let answer = |effect| match effect {
        Effect::Reply { request, reply } => (request, reply),
        other => panic!("{other:?}"),
    };
    out.into_iter().map(answer).collect()
}

/// A client whose first transaction timed out signs another of the same sequence; then the first is
/// ordered, too late. If it were told that the sequence is used, it would sign the second one anew,
/// and both would take effect.
#[test]
fn who_waits_for_another_transaction_of_the_sequence_waits_until_it_is_used() {
    let done = Outcome::Done {
        succeeded: true,
        replies: None,
    };
    let (second, any) = (RequestId(1), RequestId(2));
    let mut requests = Requests::new(9);
    requests.wait(second, (CLIENT, 5), Some(Digest([2; 32])), Height(9));
    requests.wait(any, (CLIENT, 5), None, Height(9));
    for void in [
        Outcome::Expired,
        Outcome::SequenceUsed,
        Outcome::TooManySessions,
    ] {
        assert!(answers(&mut requests, receipt(1, void)).is_empty());
    }
    let told = answers(&mut requests, receipt(2, done.clone()));
    let executed =
        |it: &(RequestId, Reply)| matches!(&it.1, Reply::Executed(it) if it.outcome == done);
    assert!(told.len() == 2 && told.iter().all(executed), "{told:?}");
    assert_eq!(requests.len(), 0);

    requests.wait(second, (CLIENT, 5), Some(Digest([2; 32])), Height(9));
    let told = answers(&mut requests, receipt(1, done));
    assert!(
        matches!(told[..], [(_, Reply::Refused(Refusal::SequenceUsed))]),
        "{told:?}"
    );
}
