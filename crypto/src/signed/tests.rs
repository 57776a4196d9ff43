#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    ChainId, Digest, Ed25519, Epoch, FaultModel, Height, Kind, SecretKey, Slot, Validator, View,
};

fn signer(i: u16) -> Signer {
    let key = |i: u16| SecretKey::from_seed(&[i as u8 + 1; 32]);
    let members = (0..4)
        .map(|i| Validator {
            key: key(i).public(),
        })
        .collect();
    let verifier = Verifier {
        context: Context {
            chain: ChainId(Digest([1; 32])),
            epoch: Epoch(2),
        },
        validators: Arc::new(ValidatorSet::new(members, FaultModel::Byzantine).unwrap()),
        scheme: Arc::new(Ed25519),
    };
    Signer {
        me: NodeId(i),
        key: key(i),
        verifier,
    }
}

fn statement(view: u64, epoch: u64) -> Statement {
    let slot = Slot {
        kind: Kind::Vote,
        epoch: Epoch(epoch),
        view: View(view),
        height: Height(0),
    };
    Statement {
        slot,
        content: Digest([9; 32]),
    }
}

/// A message that claims to be `by`'s vote.
#[derive(Debug, PartialEq)]
struct Ballot {
    by: NodeId,
    signature: Signature,
}

impl Authenticate for Ballot {
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        if from != self.by {
            return Err(Reject::WrongSender);
        }
        by.one(self.by, statement(1, 2), self.signature)
    }
}

#[test]
fn only_what_passes_its_check_becomes_verified() {
    let me = signer(1);
    let ballot = |by| Ballot {
        by,
        signature: me.sign(&statement(1, 2)),
    };
    let verified = Verified::new(NodeId(1), ballot(NodeId(1)), &me.verifier).unwrap();
    assert_eq!(verified.by, NodeId(1));
    let reject =
        |from, by| Verified::new(NodeId(from), ballot(NodeId(by)), &me.verifier).unwrap_err();
    assert_eq!(reject(2, 1), Reject::WrongSender);
    assert_eq!(reject(2, 2), Reject::BadSignature);
    assert_eq!(reject(4, 4), Reject::NotMember);
}

#[test]
fn all_claims_must_hold_and_each_may_be_about_something_else() {
    let by = signer(0).verifier;
    let claim = |i: u16, view| {
        (
            NodeId(i),
            statement(view, 2),
            signer(i).sign(&statement(view, 2)),
        )
    };
    let good = [claim(0, 1), claim(1, 2), claim(2, 3)];
    by.all(good).unwrap();
    by.all([]).unwrap();
    let mut bad = good;
    bad[1].1 = statement(3, 2);
    assert_eq!(by.all(bad), Err(Reject::BadSignature));
    let epoch = (NodeId(0), statement(1, 3), signer(0).sign(&statement(1, 3)));
    assert_eq!(by.all([epoch]), Err(Reject::WrongContext));
    assert_eq!(
        by.all([(NodeId(9), good[0].1, good[0].2)]),
        Err(Reject::NotMember)
    );
}

#[test]
fn many_signers_of_one_statement_are_judged_as_each_alone() {
    let by = signer(0).verifier;
    let share = |i: u16| (NodeId(i), signer(i).sign(&statement(1, 2)));
    by.same(&statement(1, 2), (0..4).map(share)).unwrap();
    assert_eq!(
        by.same(&statement(2, 2), (0..4).map(share)),
        Err(Reject::BadSignature)
    );
    assert_eq!(
        by.same(&statement(1, 3), (0..4).map(share)),
        Err(Reject::WrongContext)
    );
    let stranger = [share(0), (NodeId(4), share(0).1)];
    assert_eq!(by.same(&statement(1, 2), stranger), Err(Reject::NotMember));
    let crossed = [(NodeId(0), share(1).1), (NodeId(1), share(0).1)];
    assert_eq!(
        by.same(&statement(1, 2), crossed),
        Err(Reject::BadSignature)
    );
}
