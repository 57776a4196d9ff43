//! S9: what clients were told is linearizable. Each key is judged for itself, by what every
//! transaction and every read did to it or saw of it, between the moment in which a client first
//! asked and the one in which it was told ([`super::register`]).

use super::register::{Operation, Way, fits};
use super::{Check, Seen};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Linearizable {
    /// Counts calls and returns: all that matters of time.
    clock: u64,
    keys: BTreeMap<Vec<u8>, BTreeMap<u64, Operation>>,
}

impl Linearizable {
    fn called(&mut self, operation: u64, on: &[(Vec<u8>, Vec<Way>)]) {
        self.clock += 1;
        let called = self.clock;
        for (key, ways) in on {
            let operations = self.keys.entry(key.clone()).or_default();
            operations.entry(operation).or_insert_with(|| Operation {
                called,
                returned: None,
                ways: ways.clone(),
            });
        }
    }
    fn returned(&mut self, operation: u64, told: &[(Vec<u8>, Way)]) {
        self.clock += 1;
        for (key, operations) in &mut self.keys {
            let Some(it) = operations.get_mut(&operation) else {
                continue;
            };
            match told.iter().find(|(of, _)| of == key) {
                // Told a second time, it is the first time that counts.
                Some(_) if it.returned.is_some() => {}
                Some((_, way)) => {
                    it.returned = Some(self.clock);
                    it.ways = vec![way.clone()];
                }
                None => {
                    operations.remove(&operation);
                }
            }
        }
    }
}

impl Check for Linearizable {
    fn property(&self) -> &'static str {
        "S9"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Called { operation, on } => self.called(*operation, on),
            Seen::Returned { operation, told } => self.returned(*operation, told),
            _ => {}
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), String> {
        for (key, operations) in &self.keys {
            let operations: Vec<Operation> = operations.values().cloned().collect();
            fits(&operations)
                .map_err(|why| format!("key {}: {why}", String::from_utf8_lossy(key)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
