//! Ways to lie: each is counted by itself, so that one which works does not hide that others do not.

/// What has to become of a way's lies in every campaign that is long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Something is kept back, or said late: there is nothing that could be looked at.
    Silent,
    /// Some are of the right form and rightly signed, and so get as far as the rules, which refuse them or
    /// to which they do no harm.
    Bold,
    /// All are refused where they come in: their form or their signatures are false.
    Refused,
}

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// In words, once in an adversary.
    pub name: &'static str,
    /// See there.
    pub fate: Fate,
}

impl Way {
    pub(super) const fn silent(name: &'static str) -> Self {
        let fate = Fate::Silent;
        Self { name, fate }
    }
    pub(super) const fn bold(name: &'static str) -> Self {
        let fate = Fate::Bold;
        Self { name, fate }
    }
    pub(super) const fn refused(name: &'static str) -> Self {
        let fate = Fate::Refused;
        Self { name, fate }
    }
    /// What is not as it has to be, in words, after so many of its lies; `whole`: the campaign was long
    /// enough for all that is to be seen.
    #[must_use]
    pub fn unmet(self, it: Tally, whole: bool) -> Option<String> {
        let Self { name, fate } = self;
        let wrong = match fate {
            Fate::Refused if it.taken > 0 => "gets past the checks of form and signatures",
            _ if !whole => return None,
            _ if it.told == 0 => "is never told",
            Fate::Bold if it.taken == 0 => "never gets as far as a rule",
            Fate::Refused if it.refused == 0 => "is never refused",
            _ => return None,
        };
        Some(format!("{name}: {wrong}"))
    }
}

/// What became of the lies of one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Told, to each who was told.
    pub told: u64,
    /// Of the right form and rightly signed.
    pub taken: u64,
    /// Refused: where they came in, or by a rule.
    pub refused: u64,
}

impl Tally {
    /// Adds those of another run.
    pub fn add(&mut self, other: Self) {
        self.told += other.told;
        self.taken += other.taken;
        self.refused += other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_is_not_told_or_has_another_fate_is_named() {
        let tally = |told, taken, refused| Tally {
            told,
            taken,
            refused,
        };
        let unmet = |way: Way, it| way.unmet(it, true).is_some();
        let (silent, bold) = (Way::silent("a"), Way::bold("b"));
        let refused = Way::refused("c");
        assert!(!unmet(silent, tally(1, 0, 0)));
        assert!(unmet(silent, tally(0, 0, 0)));
        assert!(!unmet(bold, tally(2, 1, 0)));
        assert!(unmet(bold, tally(2, 0, 2)));
        assert!(!unmet(refused, tally(2, 0, 1)));
        assert!(unmet(refused, tally(2, 0, 0)));
        assert!(unmet(refused, tally(2, 1, 1)));
        // After a few runs only what must never be is judged.
        assert_eq!(bold.unmet(tally(0, 0, 0), false), None);
        assert!(refused.unmet(tally(2, 1, 1), false).is_some());
    }
}
