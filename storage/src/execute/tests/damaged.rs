//! Rows of the state that decode, and that nobody wrote.

use super::*;

/// A state with one key, of which a row is changed before the next height is executed.
fn after(table: Table, key: &[u8], change: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let mut bench = Bench::new(ExecutorConfig::new(small()));
    let write = |sequence| {
        let request = Request::all(vec![put("a", "value")]);
        transaction(1, sequence, 9, &request)
    };
    bench.one(&[write(1)]);
    bench.executor.flush(true).unwrap();
    let row = bench.state.get(table, key).unwrap().unwrap();
    let mut batch = WriteBatch::new();
    batch.put(table, key.to_vec(), change(&row));
    bench.state.write(batch).unwrap();
    bench.restart();
    bench.commit(&[&[write(2)]]);
    let executed = bench.executor.step(Time(0), bench.top);
    executed.unwrap_err().to_string()
}

/// The last of the numbers in a row becomes the last that there is.
fn at_its_end(row: &[u8]) -> Vec<u8> {
    let (others, _) = row.split_at(row.len() - 8);
    [others, &u64::MAX.to_le_bytes()].concat()
}

/// It panicked: nothing is one more than the last number.
#[test]
fn a_key_that_was_written_too_often_is_damage() {
    let why = after(Table::Key, b"a", at_its_end);
    assert!(why.contains("data/state is damaged"), "{why}");
}

/// The same.
#[test]
fn a_state_that_was_written_too_often_is_damage() {
    let why = after(Table::Applied, APPLIED, at_its_end);
    assert!(why.contains("data/state is damaged"), "{why}");
}
