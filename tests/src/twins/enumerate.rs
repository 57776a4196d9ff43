//! All schedules of so many views, each once up to symmetry.
//!
//! Twins can be told from other members, but one pair not from another, nor one of a pair from the
//! other; nor one honest member from another. So the symmetries are the ways to rename instances under
//! which pairs of twins stay pairs: of four members with one pair of twins, 3! x 2 = 12. A schedule
//! stands for all that it becomes by renaming, leaders included, and the least of them is played. By
//! Burnside's lemma there are as many classes as the mean number of schedules that a symmetry leaves
//! as they are: (64^3 + 3 16^3 + 2 4^3 + 32^3 + 3 8^3 + 2 2^3) / 12 = 25,740 of three views, and
//! 1,502,936 of four.

use super::{Cast, Phase, Round, Schedule, Split};
use crypto::NodeId;

/// What is enumerated, or drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Who takes part.
    pub(super) cast: Cast,
    /// Scheduled views.
    pub(super) views: usize,
    /// Splits within a view that may differ: 1; 2, what the leader says and all else; 3, one for each
    /// [`Phase`].
    pub(super) phases: usize,
    /// See [`Schedule::warm`].
    pub(super) warm: bool,
}

/// A way to rename: what each instance becomes.
type Symmetry = Vec<usize>;

/// Most scheduled views.
const MOST_VIEWS: usize = 32;
/// Most schedules that are enumerated: what takes weeks is drawn from instead.
const MOST_CLASSES: u64 = 1 << 30;
/// Most images of views that are kept for it.
const MOST_IMAGES: u64 = 1 << 26;

impl Space {
    /// So many views of a cast.
    ///
    /// # Errors
    /// In words, if there are none, or too many.
    pub fn new(cast: Cast, views: usize, phases: usize, warm: bool) -> Result<Self, String> {
        if !(1..=MOST_VIEWS).contains(&views) {
            return Err(format!("{views} views; 1 to {MOST_VIEWS}"));
        }
        if !(1..=Phase::COUNT).contains(&phases) {
            return Err(format!("{phases} phases; 1 to {}", Phase::COUNT));
        }
        let splits = Split::count(cast).checked_pow(phases as u32);
        let rounds = splits.and_then(|it| it.checked_mul(cast.nodes() as u32));
        let space = Self {
            cast,
            views,
            phases,
            warm,
        };
        rounds.map(|_| space).ok_or_else(|| {
            let instances = cast.instances();
            format!("{phases} splits of {instances} replicas in a view are too many")
        })
    }
    /// Whether all schedules can be played, each once up to symmetry.
    ///
    /// # Errors
    /// In words, if there are too many.
    pub fn is_enumerable(&self) -> Result<(), String> {
        let (pairs, honest) = (self.cast.twins() as u64, self.cast.honest().count() as u64);
        let orders = (1..=pairs).product::<u64>() * (1..=honest).product::<u64>();
        let symmetries = orders << pairs;
        if symmetries.saturating_mul(self.rounds().into()) > MOST_IMAGES {
            return Err(format!(
                "{symmetries} symmetries are too many: draw a sample"
            ));
        }
        match self.classes() {
            0..=MOST_CLASSES => Ok(()),
            classes => Err(format!("{classes} schedules are too many: draw a sample")),
        }
    }
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        let (nodes, twins) = (self.cast.nodes(), self.cast.twins());
        let (views, phases) = (self.views, self.phases);
        let warm = if self.warm { ", after calm ones" } else { "" };
        format!(
            "{views} views{warm}, {nodes} members, {twins} of them twins, splits a view: {phases}"
        )
    }
    /// What may happen in one view.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        let splits = Split::count(self.cast);
        self.cast.nodes() as u32 * splits.pow(self.phases as u32)
    }
    /// A view by its number.
    #[must_use]
    pub fn round(&self, number: u32) -> Round {
        let splits = Split::count(self.cast);
        let mut rest = number;
        let mut digit = || {
            let split = Split::numbered(rest % splits);
            rest /= splits;
            split
        };
        let told: Vec<Split> = (0..self.phases).map(|_| digit()).collect();
        // Fewer splits than phases: the last one goes on.
        let splits = std::array::from_fn(|phase| told[phase.min(self.phases - 1)]);
        Round {
            leader: NodeId(rest as u16),
            splits,
        }
    }
    /// Its number.
    #[must_use]
    pub fn number(&self, round: &Round) -> u32 {
        let splits = Split::count(self.cast);
        let digits = round.splits.iter().take(self.phases).rev();
        let leader = u32::from(round.leader.0);
        digits.fold(leader, |number, it| number * splits + it.number())
    }
    /// The schedule of these views.
    #[must_use]
    pub fn schedule(&self, numbers: &[u32]) -> Schedule {
        Schedule {
            cast: self.cast,
            warm: self.warm,
            rounds: numbers.iter().map(|it| self.round(*it)).collect(),
        }
    }
    /// How many schedules there are up to symmetry, if there are not far too many.
    #[must_use]
    pub fn classes(&self) -> u64 {
        let images = self.images();
        let unchanged = |image: &Vec<u32>| {
            let same = (0u32..).zip(image).filter(|(it, becomes)| it == *becomes);
            (same.count() as u64).saturating_pow(self.views as u32)
        };
        let all = images.iter().map(unchanged);
        all.fold(0, u64::saturating_add) / images.len() as u64
    }
    /// All of them.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        let images = self.images();
        Canonical {
            space: *self,
            all: (0..images.len()).collect(),
            images,
            path: Vec::new(),
            next: 0,
        }
    }

    /// For each symmetry, what the view of each number becomes.
    fn images(&self) -> Vec<Vec<u32>> {
        let image = |symmetry: &Symmetry| {
            let rename = |number| self.number(&renamed(&self.round(number), symmetry, self.cast));
            (0..self.rounds()).map(rename).collect()
        };
        symmetries(self.cast).iter().map(image).collect()
    }
}

fn renamed(round: &Round, symmetry: &[usize], cast: Cast) -> Round {
    let leader = cast.member(symmetry[round.leader.index()]);
    let splits = round.splits.map(|split| {
        let away = (0..cast.instances()).filter(|i| split.side() >> i & 1 == 1);
        Split::of(away.fold(0, |side, i| side | 1 << symmetry[i]), cast)
    });
    Round { leader, splits }
}

/// All symmetries: each order of the pairs, of each pair, and of the honest members.
fn symmetries(cast: Cast) -> Vec<Symmetry> {
    let (nodes, twins) = (cast.nodes(), cast.twins());
    let mut found = Vec::new();
    for pairs in orders(0, twins) {
        for honest in orders(twins, nodes) {
            for swaps in 0..1usize << twins {
                let swapped = |i: usize| (pairs[i], pairs[i] + nodes, swaps >> i & 1 == 1);
                let first = (0..twins).map(swapped);
                let second = first.clone();
                let first = first.map(|(one, other, swap)| if swap { other } else { one });
                let second = second.map(|(one, other, swap)| if swap { one } else { other });
                found.push(first.chain(honest.iter().copied()).chain(second).collect());
            }
        }
    }
    found
}

/// All orders of the numbers from `from` to `end`.
fn orders(from: usize, end: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in from..end {
        let longer = |order: Vec<usize>| {
            let rest: Vec<usize> = (from..end).filter(|it| !order.contains(it)).collect();
            rest.into_iter().map(move |it| [&order[..], &[it]].concat())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// The least schedule of each class, in ascending order. A beginning that some symmetry makes less is
/// not gone on with; one that makes it greater is of no more interest.
pub struct Canonical {
    space: Space,
    images: Vec<Vec<u32>>,
    all: Vec<usize>,
    /// The views so far, and which symmetries leave them as they are.
    path: Vec<(u32, Vec<usize>)>,
    /// What is to be tried behind them.
    next: u32,
}

impl Canonical {
    /// The symmetries that leave the path as it is with this view behind it; `None`: one makes it less.
    fn keeping(&self, number: u32) -> Option<Vec<usize>> {
        let so_far = self.path.last().map_or(&self.all, |(_, kept)| kept);
        let mut kept = Vec::new();
        for symmetry in so_far {
            let becomes = self.images[*symmetry][number as usize];
            if becomes < number {
                return None;
            }
            if becomes == number {
                kept.push(*symmetry);
            }
        }
        Some(kept)
    }
}

impl Iterator for Canonical {
    type Item = Schedule;

    fn next(&mut self) -> Option<Schedule> {
        loop {
            let number = self.next;
            if number == self.space.rounds() {
                let (before, _) = self.path.pop()?;
                self.next = before + 1;
                continue;
            }
            let Some(kept) = self.keeping(number) else {
                self.next += 1;
                continue;
            };
            if self.path.len() + 1 < self.space.views {
                self.path.push((number, kept));
                self.next = 0;
                continue;
            }
            self.next += 1;
            let before = self.path.iter().map(|(it, _)| *it);
            let numbers: Vec<u32> = before.chain([number]).collect();
            return Some(self.space.schedule(&numbers));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;

    const fn space(views: usize, phases: usize) -> Space {
        Space {
            cast: Cast::FOUR,
            views,
            phases,
            warm: false,
        }
    }

    #[test]
    fn a_view_and_its_number_are_one_to_one() {
        for phases in 1..=Phase::COUNT {
            let space = space(1, phases);
            for number in 0..space.rounds() {
                assert_eq!(space.number(&space.round(number)), number);
            }
        }
        assert_eq!(space(1, 1).rounds(), 64);
        assert_eq!(space(1, 3).rounds(), 4 * 16 * 16 * 16);
    }

    #[test]
    fn symmetries_keep_pairs_together_and_are_all_different() {
        for (nodes, twins, count) in [(4, 1, 12), (4, 2, 2 * 4 * 2), (7, 2, 2 * 4 * 120)] {
            let cast = Cast::new(nodes, twins).unwrap();
            let all = symmetries(cast);
            assert_eq!(all.len(), count);
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count);
            for symmetry in &all {
                let distinct: BTreeSet<_> = symmetry.iter().collect();
                assert_eq!(distinct.len(), cast.instances());
                for (member, becomes) in symmetry.iter().take(cast.nodes()).enumerate() {
                    let member = NodeId(member as u16);
                    let pair = cast.instances_of(member).map(|i| cast.member(symmetry[i]));
                    let renamed = cast.member(*becomes);
                    let whole = vec![renamed; cast.instances_of(renamed).count()];
                    assert_eq!(pair.collect::<Vec<_>>(), whole);
                    assert_eq!(cast.is_honest(member), cast.is_honest(renamed));
                }
            }
        }
    }

    #[test]
    fn as_many_as_burnside_says() {
        for (views, phases, classes) in [
            (1, 1, 15),
            (2, 1, 510),
            (3, 1, 25_740),
            (4, 1, 1_502_936),
            (1, 2, 150),
            (2, 2, 97_240),
            (1, 3, 1_836),
        ] {
            assert_eq!(space(views, phases).classes(), classes, "{views} {phases}");
        }
    }

    #[test]
    fn each_class_is_found_once() {
        for (views, phases) in [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)] {
            let space = space(views, phases);
            let all: Vec<_> = space.canonical().map(|it| it.to_string()).collect();
            assert_eq!(all.len() as u64, space.classes());
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        }
    }

    /// Three views: each of all 262,144 becomes exactly one of those enumerated.
    #[test]
    fn every_schedule_becomes_one_of_them_by_renaming() {
        let space = space(3, 1);
        let images = space.images();
        let number = |it: &Schedule| {
            let rounds = it.rounds.iter().map(|it| space.number(it));
            rounds.collect::<Vec<u32>>()
        };
        let found: BTreeSet<_> = space.canonical().map(|it| number(&it)).collect();
        let n = space.rounds();
        for all in 0..n.pow(3) {
            let it = [all / n / n, all / n % n, all % n].map(|it| it as usize);
            let least = images.iter().map(|image| it.map(|it| image[it]).to_vec());
            assert!(found.contains(&least.min().unwrap()), "{it:?}");
        }
    }

    #[test]
    fn there_are_1_502_936_schedules_of_four_views() {
        assert_eq!(space(4, 1).canonical().count(), 1_502_936);
    }
}
