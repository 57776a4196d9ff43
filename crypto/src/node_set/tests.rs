use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn what_is_beyond_the_capacity_is_never_a_member() {
    let mut set = NodeSet::EMPTY;
    assert!(set.insert(NodeId(127)));
    for beyond in [128, 255, 256, u16::MAX] {
        assert!(!set.insert(NodeId(beyond)) && !set.contains(NodeId(beyond)));
        set.remove(NodeId(beyond));
    }
    assert_eq!(set.iter().collect::<Vec<_>>(), [NodeId(127)]);
}

proptest! {
    /// Against the plain set that it stands for.
    #[test]
    fn it_is_a_set(steps in proptest::collection::vec((0u16..140, any::<bool>()), 0..200)) {
        let (mut set, mut model) = (NodeSet::EMPTY, BTreeSet::new());
        for (node, add) in steps {
            if add {
                prop_assert_eq!(set.insert(NodeId(node)), node < 128 && model.insert(node));
            } else {
                set.remove(NodeId(node));
                model.remove(&node);
            }
            prop_assert_eq!(set.contains(NodeId(node)), model.contains(&node));
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        let listed: Vec<u16> = set.iter().map(|node| node.0).collect();
        prop_assert_eq!(listed, model.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(set.iter().collect::<NodeSet>(), set);
    }
}
