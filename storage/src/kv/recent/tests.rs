#![allow(clippy::unwrap_used)]

use super::*;
use crate::WriteBatch;
use crate::memory::Memory as InMemory;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Put(u8, u8),
    Delete(u8),
    /// More rows than a generation holds.
    Flood,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..9u8).prop_map(Step::Get),
        3 => (0..9u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..9u8).prop_map(Step::Delete),
        1 => Just(Step::Flood),
    ]
}

fn key(table: Table, number: u8) -> Bytes {
    vec![table as u8, number].into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However much is forgotten, it answers as the store does.
    #[test]
    fn it_reads_like_its_store(steps in proptest::collection::vec(step(), 1..40)) {
        let store = Arc::new(Staged::new(Arc::new(InMemory::state())));
        let recent = Recent::new(Arc::clone(&store));
        for step in steps {
            for table in [Table::Key, Table::Session, Table::History] {
                let mut batch = WriteBatch::new();
                match step {
                    Step::Get(number) => {
                        let key = key(table, number);
                        prop_assert_eq!(recent.get(table, &key), store.get(table, &key));
                    }
                    Step::Put(number, value) => batch.put(table, key(table, number), vec![value]),
                    Step::Delete(number) => batch.delete(table, key(table, number)),
                    Step::Flood => {
                        batch.put(table, key(table, 100), vec![0; BYTES]);
                        batch.put(table, key(table, 101), vec![0; BYTES]);
                    }
                }
                recent.write(batch.into()).unwrap();
            }
        }
        for table in TABLES {
            for number in 0..9 {
                let key = key(table, number);
                prop_assert_eq!(recent.get(table, &key), store.get(table, &key));
            }
        }
    }
}

#[test]
fn it_is_bounded_and_keeps_what_is_used() {
    let recent = Recent::new(Arc::new(Staged::new(Arc::new(InMemory::state()))));
    let used = Bytes::from_static(b"used");
    let mut batch = WriteBatch::new();
    batch.put(Table::Key, used.clone(), Bytes::from_static(b"here"));
    recent.write(batch.into()).unwrap();
    for number in 0..800_000u32 {
        let key = number.to_be_bytes();
        recent.get(Table::Key, &key).unwrap();
        if number % 1_000 == 0 {
            recent.get(Table::Key, &used).unwrap();
        }
    }
    let memory = recent.memory.borrow();
    let rows = memory.young[0].len() + memory.old[0].len();
    assert!(rows * OVERHEAD <= 2 * BYTES, "{rows} rows");
    assert!(memory.young[0].contains_key(&used) || memory.old[0].contains_key(&used));
    assert!(!memory.young[0].contains_key(&0u32.to_be_bytes()[..]));
}
