//! Whether what clients saw of one key can have happened in some order that contradicts no clock:
//! the search of Wing and Gong (JPDC 1993), with the memory of what was tried that Lowe added
//! (2017). Operations whose outcome is unknown may have taken effect at any time since, or never.

use std::collections::BTreeSet;

/// Most operations on one key in a run.
const MOST: usize = 256;
/// The search gives up after so many steps: no history of a run comes near.
const PATIENCE: usize = 2_000_000;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The value.
    pub value: Vec<u8>,
    /// How often it was written since it was created.
    pub version: u64,
}

/// A condition on the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is there.
    Exists,
    /// Its version is this; 0 if it is not there.
    Equal(u64),
    /// It is less.
    Less(u64),
    /// It is greater.
    Greater(u64),
}

/// What is done to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Skip,
    /// A read that saw this.
    Get(Option<Cell>),
    /// A write; the version that it made, if that is known.
    Put(Vec<u8>, Option<u64>),
    /// A removal; whether the key was there, if that is known.
    Delete(Option<bool>),
}

/// A way in which an operation may have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What held before, or did not.
    pub guard: Option<(Test, bool)>,
    /// What was done then.
    pub step: Step,
}

/// An operation on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked for.
    pub called: u64,
    /// When its outcome was told; `None`: it never was.
    pub returned: Option<u64>,
    /// One of these, if it took effect.
    pub ways: Vec<Way>,
}

impl Test {
    fn holds(self, cell: Option<&Cell>) -> bool {
        let version = cell.map_or(0, |cell| cell.version);
        match self {
            Test::Exists => cell.is_some(),
            Test::Equal(it) => version == it,
            Test::Less(it) => version < it,
            Test::Greater(it) => version > it,
        }
    }
}

impl Way {
    /// What the key holds after it; `None`: it cannot have gone so.
    fn apply(&self, cell: Option<&Cell>) -> Option<Option<Cell>> {
        if self
            .guard
            .is_some_and(|(test, held)| test.holds(cell) != held)
        {
            return None;
        }
        match &self.step {
            Step::Skip => Some(cell.cloned()),
            Step::Get(seen) => (seen.as_ref() == cell).then(|| cell.cloned()),
            Step::Put(value, told) => {
                let version = cell.map_or(0, |cell| cell.version) + 1;
                let value = value.clone();
                told.is_none_or(|it| it == version)
                    .then_some(Some(Cell { value, version }))
            }
            Step::Delete(told) => told.is_none_or(|it| it == cell.is_some()).then_some(None),
        }
    }
}

impl Operation {
    /// What the key may hold after it. If nobody was told of it and it changes nothing, it need not happen.
    fn outcomes(&self, cell: Option<&Cell>) -> impl Iterator<Item = Option<Cell>> {
        let after = self.ways.iter().filter_map(move |way| way.apply(cell));
        after.filter(move |next| self.returned.is_some() || next.as_ref() != cell)
    }

    /// Whether it can happen now, and changes nothing whenever it happens.
    fn is_idle(&self, cell: Option<&Cell>) -> bool {
        let [way] = &self.ways[..] else { return false };
        let idle = matches!(
            way.step,
            Step::Skip | Step::Get(_) | Step::Delete(Some(false))
        );
        idle && way.apply(cell).is_some()
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Set([u64; MOST / 64]);

impl Set {
    fn has(&self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 == 1
    }
    fn with(mut self, i: usize) -> Self {
        self.0[i / 64] |= 1 << (i % 64);
        self
    }
}

/// Whether the operations on a key, which did not exist before, fit together.
///
/// # Errors
/// In words, if they do not, or if nobody can tell.
pub fn fits(operations: &[Operation]) -> Result<(), String> {
    if operations.len() > MOST {
        return Err(format!("{} operations on one key", operations.len()));
    }
    // What was told first is tried first: taken from the end.
    let mut order: Vec<usize> = (0..operations.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(operations[*i].returned.unwrap_or(u64::MAX)));
    let mut tried = BTreeSet::new();
    let mut open: Vec<(Set, Option<Cell>)> = vec![(Set::default(), None)];
    let mut furthest = 0;
    while let Some((done, cell)) = open.pop() {
        let waits = |i: &usize| !done.has(*i);
        let told = order
            .iter()
            .filter(|i| waits(i))
            .filter_map(|i| operations[*i].returned);
        let Some(horizon) = told.min() else {
            return Ok(());
        };
        furthest = furthest.max(horizon);
        if tried.len() > PATIENCE {
            return Err("no order of the operations was found in time".into());
        }
        let begun = |i: &usize| operations[*i].called <= horizon;
        let mut turns: Vec<usize> = order.iter().copied().filter(waits).filter(begun).collect();
        // What changes nothing is in nobody's way: it happens now, and nothing else is tried.
        let idle =
            |i: &usize| operations[*i].returned.is_some() && operations[*i].is_idle(cell.as_ref());
        if let Some(first) = turns.iter().copied().find(idle) {
            turns = vec![first];
        }
        for i in turns {
            for next in operations[i].outcomes(cell.as_ref()) {
                let state = (done.with(i), next);
                if tried.insert(state.clone()) {
                    open.push(state);
                }
            }
        }
    }
    let stuck = operations.iter().find(|it| it.returned == Some(furthest));
    Err(format!("no order explains {stuck:?}"))
}

#[cfg(test)]
mod tests;
