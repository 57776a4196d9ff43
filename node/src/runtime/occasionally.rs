//! Logs of what a stranger can cause: counted always, written now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one line per topic in this span.
const PAUSE: Duration = Duration::from_secs(10);
/// Topics remembered; the caller's topics are few and fixed.
const TOPICS: usize = 1_024;

/// Decides when to write.
#[derive(Debug, Default)]
pub struct Occasionally {
    topics: Mutex<BTreeMap<String, (Instant, u64)>>,
}

impl Occasionally {
    /// `Some(n)` if a line may be written now, `n` being how many were left out before it.
    pub fn may(&self, topic: &str) -> Option<u64> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let full = topics.len() >= TOPICS;
        match topics.get_mut(topic) {
            Some((last, left_out)) if now.duration_since(*last) < PAUSE => {
                *left_out += 1;
                None
            }
            Some((last, left_out)) => {
                *last = now;
                Some(std::mem::take(left_out))
            }
            None if full => None,
            None => {
                topics.insert(topic.to_owned(), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_topic_makes_one_line() {
        let log = Occasionally::default();
        assert_eq!(log.may("a"), Some(0));
        for _ in 0..1_000 {
            assert_eq!(log.may("a"), None);
        }
        assert_eq!(log.may("b"), Some(0));
    }

    #[test]
    fn topics_are_capped() {
        let log = Occasionally::default();
        for i in 0..TOPICS {
            assert_eq!(log.may(&i.to_string()), Some(0));
        }
        assert_eq!(log.may("one more"), None);
    }
}
