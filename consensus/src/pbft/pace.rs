//! How fast a primary assigns slots beside those in flight.

use crypto::{Height, Time};

/// A slot with fewer bytes of batches than this share of the limit makes its primary linger.
const SMALL_SHARE: u32 = 16;
/// A slot with at least this share of the limit shows that more waits than one slot holds.
const FULL_SHARE: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the last slot was assigned, and how many bytes of batches it has.
    last: Option<(Time, u32)>,
    /// A slot whose time is taken.
    timed: Option<(Height, Time)>,
    /// A moving average of how long a slot takes from its assignment to its commitment, in
    /// nanoseconds.
    took: u64,
}

impl Pace {
    /// A slot is assigned.
    pub fn assigned(&mut self, now: Time, height: Height, bytes: u32) {
        self.last = Some((now, bytes));
        self.timed.get_or_insert((height, now));
    }
    /// All slots up to this one are committed.
    pub fn committed(&mut self, now: Time, height: Height) {
        if let Some((_, since)) = self.timed.take_if(|(timed, _)| *timed <= height) {
            let took = now.since(since).0;
            self.took = (self.took / 8 * 7).saturating_add(took / 8);
        }
    }
    /// When to assign the next slot, beside others or alone. Each costs all members signatures and
    /// syncs, whatever it holds, so one that is not pressed for room waits as long as a slot takes
    /// usually, for payload to gather: beside others it is under way when those are slow, or full.
    pub fn next(&self, in_flight: bool, block_bytes: u32, linger: Time) -> Option<Time> {
        let (at, bytes) = self.last?;
        let gap = if bytes >= block_bytes / FULL_SHARE {
            Time(0)
        } else if in_flight {
            Time(self.took).max(linger)
        } else if bytes < block_bytes / SMALL_SHARE {
            linger
        } else {
            Time(0)
        };
        Some(at.plus(gap))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LINGER: Time = Time::millis(1);

    /// A pace at which a slot takes some 100 ms.
    fn slow() -> (Pace, Time) {
        let (mut pace, mut now) = (Pace::default(), Time(0));
        for height in 1..100 {
            pace.assigned(now, Height(height), 0);
            now = now.plus(Time::millis(100));
            pace.committed(now, Height(height));
        }
        (pace, now)
    }

    #[test]
    fn the_first_slot_waits_for_nothing() {
        assert_eq!(Pace::default().next(false, 1 << 20, LINGER), None);
    }
    #[test]
    fn beside_others_a_slot_waits_as_long_as_one_takes() {
        let (mut pace, now) = slow();
        pace.assigned(now, Height(100), 1 << 10);
        let due = pace.next(true, 1 << 20, LINGER).unwrap();
        let gap = due.since(now);
        assert!(
            Time::millis(95) < gap && gap <= Time::millis(100),
            "{gap:?}"
        );
    }
    #[test]
    fn alone_a_slot_waits_no_longer_than_it_lingers() {
        let (mut pace, now) = slow();
        pace.assigned(now, Height(100), 1 << 10);
        assert_eq!(pace.next(false, 1 << 20, LINGER), Some(now.plus(LINGER)));
        pace.assigned(now, Height(101), 1 << 17);
        assert_eq!(pace.next(false, 1 << 20, LINGER), Some(now));
    }
    #[test]
    fn after_a_full_slot_the_next_one_does_not_wait() {
        let (mut pace, now) = slow();
        pace.assigned(now, Height(100), 1 << 19);
        assert_eq!(pace.next(true, 1 << 20, LINGER), Some(now));
    }
    #[test]
    fn one_slot_is_timed_at_a_time() {
        let mut pace = Pace::default();
        pace.assigned(Time::millis(0), Height(1), 1);
        pace.assigned(Time::millis(50), Height(2), 1);
        pace.committed(Time::millis(80), Height(2));
        assert_eq!(Time(pace.took), Time::millis(10));
        pace.committed(Time::millis(90), Height(3));
        assert_eq!(Time(pace.took), Time::millis(10));
    }
}
