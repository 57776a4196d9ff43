//! What is done to a cluster in a round: drawn from the round's seed.

use super::Fault;
use crate::sim::Chance;
use std::fmt;
use std::time::Duration;

/// Whom it hits: found out when it does, since nobody knows before who will lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victims {
    /// Whether the leader is the first.
    pub leader: bool,
    /// All nodes, in the order of their turn.
    pub order: Vec<usize>,
    /// How many.
    pub count: usize,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// kill -9, all at once, and in the end they are started again.
    Kill(Victims),
    /// SIGSTOP, and in the end SIGCONT.
    Pause(Victims),
    /// This befalls what the first sends to the second.
    Links(Fault, Vec<(usize, usize)>),
}

/// When.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the round began.
    pub at: Duration,
    /// How long it lasts; all is over when the round is, or half a second later.
    pub lasts: Duration,
    /// What.
    pub what: What,
}

/// A round's faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How long they go on.
    pub span: Duration,
    /// In the order in which they begin; never none.
    pub events: Vec<Event>,
}

impl Victims {
    /// Who, if that node leads.
    #[must_use]
    pub fn named(&self, leader: Option<usize>) -> Vec<usize> {
        let first = leader.filter(|_| self.leader);
        let others = self
            .order
            .iter()
            .copied()
            .filter(|node| Some(*node) != first);
        first.into_iter().chain(others).take(self.count).collect()
    }
}

impl Plan {
    /// Of a cluster of `n` nodes of which `f` may be faulty.
    #[must_use]
    pub fn draw(seed: u64, n: usize, f: usize, span: Duration) -> Self {
        let chance = Chance::of(seed, "fault round");
        let mut draw = Draw { chance, n, f, span };
        let mut events = Vec::new();
        while events.is_empty() {
            draw.processes(&mut events);
            draw.links(&mut events);
        }
        events.sort_by_key(|event| event.at);
        Self { span, events }
    }
}

/// A plan on its way.
struct Draw {
    chance: Chance,
    n: usize,
    f: usize,
    span: Duration,
}

impl Draw {
    fn processes(&mut self, events: &mut Vec<Event>) {
        let few = self.chance.between(1, self.f.max(1) as u64) as usize;
        let many = self.chance.between(self.f as u64 + 1, self.n as u64) as usize;
        let n = self.n;
        match self.chance.below(12) {
            0..3 => events.push(self.event(What::Kill, few)),
            3 | 4 => events.push(self.event(What::Kill, n)),
            5 => events.push(self.event(What::Kill, many)),
            // Killed again while it recovers.
            6 => {
                let first = self.event(What::Kill, few);
                let soon = Duration::from_millis(self.chance.between(10, 500));
                let at = first.at + first.lasts + soon;
                let lasts = self.span.saturating_sub(at);
                let again = Event {
                    at,
                    lasts,
                    ..first.clone()
                };
                events.extend([first, again]);
            }
            7 | 8 => events.push(self.event(What::Pause, few)),
            9 => events.push(self.event(What::Pause, many)),
            10 => {
                events.push(self.event(What::Kill, few));
                events.push(self.event(What::Pause, few));
            }
            _ => {}
        }
    }

    fn links(&mut self, events: &mut Vec<Event>) {
        let n = self.n as u64;
        let mut all = self.pairs();
        let node = self.chance.below(n) as usize;
        let hit = match self.chance.below(9) {
            0 | 1 => return,
            // A few, each with a fault of its own.
            2..=4 => {
                shuffle(&mut all, &mut self.chance);
                all.truncate(self.chance.between(1, 2 * n) as usize);
                for pair in all {
                    let (fault, (at, lasts)) = (self.fault(), self.time());
                    let what = What::Links(fault, vec![pair]);
                    events.push(Event { at, lasts, what });
                }
                return;
            }
            // A node that is not heard, one that does not hear, and both.
            5 => all.into_iter().filter(|(from, _)| *from == node).collect(),
            6 => all.into_iter().filter(|(_, to)| *to == node).collect(),
            7 => all
                .into_iter()
                .filter(|(from, to)| *from == node || *to == node)
                .collect(),
            // Two camps.
            _ => {
                let camp = self.chance.between(1, (1 << n) - 2);
                let of = |node: usize| camp >> node & 1;
                all.into_iter()
                    .filter(|(from, to)| of(*from) != of(*to))
                    .collect()
            }
        };
        let (fault, (at, lasts)) = (self.fault(), self.time());
        let what = What::Links(fault, hit);
        events.push(Event { at, lasts, what });
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let to = |from| {
            (0..self.n)
                .filter(move |to| *to != from)
                .map(move |to| (from, to))
        };
        (0..self.n).flat_map(to).collect()
    }

    fn fault(&mut self) -> Fault {
        match self.chance.below(4) {
            0 => Fault::Delay {
                least: Duration::from_millis(self.chance.between(1, 200)),
                jitter: Duration::from_millis(self.chance.between(0, 300)),
            },
            1 => Fault::Stall,
            2 => Fault::Reset,
            _ => Fault::Swallow,
        }
    }

    fn event(&mut self, what: fn(Victims) -> What, count: usize) -> Event {
        let mut order: Vec<usize> = (0..self.n).collect();
        shuffle(&mut order, &mut self.chance);
        let leader = self.chance.one_in(2);
        let (at, lasts) = self.time();
        let what = what(Victims {
            leader,
            order,
            count,
        });
        Event { at, lasts, what }
    }

    /// A beginning in the first half, and an end before the round's.
    fn time(&mut self) -> (Duration, Duration) {
        let span = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        let at = self.chance.between(0, span / 2);
        let lasts = self.chance.between(span / 10, span - at);
        (Duration::from_millis(at), Duration::from_millis(lasts))
    }
}

/// Brings a list into any order.
pub(super) fn shuffle<T>(list: &mut [T], chance: &mut Chance) {
    for i in (1..list.len()).rev() {
        list.swap(i, chance.index(i + 1));
    }
}

impl fmt::Display for Victims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        match (self.leader, count == self.order.len()) {
            (_, true) => f.write_str("all"),
            (true, _) if count == 1 => f.write_str("the leader"),
            (true, _) => write!(f, "the leader and {} more of {:?}", count - 1, self.order),
            _ => write!(f, "{:?}", &self.order[..count]),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Sound => f.write_str("sound"),
            Fault::Delay { least, jitter } => write!(f, "delay {least:?}+{jitter:?}"),
            Fault::Stall => f.write_str("stall"),
            Fault::Reset => f.write_str("reset"),
            Fault::Swallow => f.write_str("half-open"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Kill(victims) => write!(f, "kill {victims}")?,
            What::Pause(victims) => write!(f, "pause {victims}")?,
            What::Links(fault, pairs) => {
                write!(f, "{fault}")?;
                for (from, to) in pairs {
                    write!(f, " {from}>{to}")?;
                }
            }
        }
        write!(f, " at {:?} for {:?}", self.at, self.lasts)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, event) in self.events.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{event}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(4);

    #[test]
    fn a_seed_is_a_plan_and_everything_is_drawn_by_some_seed() {
        let mut words = String::new();
        for seed in 0..300 {
            let plan = Plan::draw(seed, 4, 1, SPAN);
            assert_eq!(plan, Plan::draw(seed, 4, 1, SPAN));
            assert!(!plan.events.is_empty());
            for event in &plan.events {
                assert!(event.at <= SPAN + Duration::from_millis(500), "{event}");
            }
            words += &format!("{plan}\n");
        }
        for word in [
            "kill all",
            "kill the leader",
            "pause the leader",
            "pause all",
            "delay",
            "stall",
            "reset",
            "half-open",
        ] {
            assert!(words.contains(word), "{word}");
        }
    }

    #[test]
    fn the_leader_is_hit_first_and_nobody_twice() {
        let (order, count) = (vec![2, 0, 1], 2);
        let named = |leader, now| {
            Victims {
                leader,
                order: order.clone(),
                count,
            }
            .named(now)
        };
        assert_eq!(named(true, Some(1)), [1, 2]);
        assert_eq!(named(true, Some(2)), [2, 0]);
        assert_eq!(named(true, None), [2, 0]);
        assert_eq!(named(false, Some(1)), [2, 0]);
    }
}
