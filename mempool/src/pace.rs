//! How long the first transaction of a batch waits for company.

use crypto::Time;

/// A batch of so many or more that the timer closed: waiting longer would gather yet more.
const CROWDED: usize = 4;
/// One of so few: nobody else comes, waiting longer only costs time.
const LONELY: usize = 2;
/// The delay grows to so many times the configured one.
const MOST: u64 = 8;

/// Small batches waste signature checks (a batch of 16 costs half for each) and wake every thread of
/// every node; long waits waste time. So the delay follows the load: it doubles while batches are
/// crowded and halves while they are lonely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    least: Time,
    delay: Time,
}

impl Pace {
    pub(crate) fn new(least: Time) -> Self {
        Self {
            least,
            delay: least,
        }
    }
    /// The delay now.
    pub(crate) fn delay(&self) -> Time {
        self.delay
    }
    /// The timer closed a batch of so many.
    pub(crate) fn closed(&mut self, transactions: usize) {
        if transactions >= CROWDED {
            let most = self.least.0.saturating_mul(MOST);
            self.delay = Time(self.delay.0.saturating_mul(2).min(most));
        } else if transactions <= LONELY {
            self.delay = Time((self.delay.0 / 2).max(self.least.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_follows_the_load_within_its_bounds() {
        let mut pace = Pace::new(Time(100));
        let delays = [1, 4, 9, 99, 3, 2, 1, 1].map(|count| {
            pace.closed(count);
            pace.delay().0
        });
        assert_eq!(delays, [100, 200, 400, 800, 800, 400, 200, 100]);
    }
}
