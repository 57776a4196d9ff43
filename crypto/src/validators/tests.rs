#![allow(clippy::unwrap_used)]
use super::*;
use crate::SecretKey;

fn members(n: usize) -> Vec<Validator> {
    let seed = |i: usize| std::array::from_fn(|at| if at == 0 { i as u8 } else { 7 });
    (0..n)
        .map(|i| Validator {
            key: SecretKey::from_seed(&seed(i)).public(),
        })
        .collect()
}

#[test]
fn sets_of_all_sizes_name_their_members_in_order() {
    for n in 1..=128 {
        let set = ValidatorSet::new(members(n), FaultModel::Byzantine).unwrap();
        assert_eq!(set.n(), n);
        assert_eq!(set.quorums(), Quorums::of(FaultModel::Byzantine, n));
        let ids: Vec<NodeId> = set.ids().collect();
        assert_eq!(ids, (0..n as u16).map(NodeId).collect::<Vec<_>>());
        for (id, member) in ids.iter().zip(members(n)) {
            assert!(set.contains(*id));
            assert_eq!(set.key(*id), Some(member.key));
        }
        for beyond in [n as u16, 128, u16::MAX] {
            assert!(!set.contains(NodeId(beyond)) && set.key(NodeId(beyond)).is_none());
        }
    }
}

#[test]
fn lists_that_are_no_set_are_refused() {
    let new = |list| ValidatorSet::new(list, FaultModel::Crash).unwrap_err();
    assert_eq!(new(Vec::new()), BadSet::Empty);
    assert_eq!(new(members(129)), BadSet::TooMany(129));
    let mut twice = members(5);
    twice[4] = twice[1];
    assert_eq!(new(twice), BadSet::SameKey(NodeId(1), NodeId(4)));
    for weak in crate::key::tests::WEAK {
        let mut list = members(4);
        list[2].key = PublicKey(hex::decode(weak).unwrap().try_into().unwrap());
        assert_eq!(new(list), BadSet::WeakKey(NodeId(2)), "{weak}");
    }
}
