//! What happens in each view: who leads it, and who hears whom.

use super::Cast;
use crypto::{Kind, NodeId};
use std::fmt::{self, Write as _};

/// Two sides of the network, one of which may be empty: a bit for each instance, clear for the side of
/// instance 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Split(u16);

impl Split {
    /// Everybody hears everybody.
    pub const NONE: Self = Self(0);

    /// The instances on one side, as bits; whichever side it is.
    #[must_use]
    pub fn of(side: u16, cast: Cast) -> Self {
        let all = (1u16 << cast.instances()) - 1;
        let other = if side & 1 == 0 { side } else { !side };
        Self(other & all)
    }
    /// All of them, by number.
    #[must_use]
    pub const fn count(cast: Cast) -> u32 {
        1 << (cast.instances() - 1)
    }
    /// One of them by its number.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        Self((number as u16) << 1)
    }
    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.0 >> 1)
    }
    /// The instances that are not on the side of instance 0, as bits.
    #[must_use]
    pub const fn side(self) -> u16 {
        self.0
    }
    /// Whether two instances are on one side.
    #[must_use]
    pub const fn joins(self, one: usize, other: usize) -> bool {
        (self.0 >> one ^ self.0 >> other) & 1 == 0
    }
    /// The sides in letters: `A B | A' C D`.
    #[must_use]
    pub fn text(self, cast: Cast) -> String {
        let side = |set: bool| {
            let of = (0..cast.instances()).filter(|i| (self.0 >> i & 1 == 1) == set);
            of.map(|i| cast.name(i)).collect::<Vec<_>>().join(" ")
        };
        match self.0 {
            0 => side(false),
            _ => format!("{} | {}", side(false), side(true)),
        }
    }
}

/// What a message is for, within a view. The network may be split otherwise in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What the leader says: proposals, pre-prepares, new views.
    Propose,
    /// What is answered, and whatever is not signed.
    Vote,
    /// By what a view is given up.
    Leave,
}

impl Phase {
    /// All of them.
    pub const COUNT: usize = 3;

    /// Of a message by the kind of its statement.
    #[must_use]
    pub const fn of(kind: Option<Kind>) -> Self {
        match kind {
            Some(Kind::Proposal | Kind::PrePrepare | Kind::NewView) => Self::Propose,
            Some(Kind::Timeout | Kind::ViewChange) => Self::Leave,
            _ => Self::Vote,
        }
    }
}

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Who leads it; twins both do.
    pub leader: NodeId,
    /// How the network is split in each phase.
    pub splits: [Split; Phase::COUNT],
}

impl Round {
    /// The same split in all phases.
    #[must_use]
    pub const fn new(leader: NodeId, split: Split) -> Self {
        Self {
            leader,
            splits: [split; Phase::COUNT],
        }
    }
}

/// All that tells one run from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Who takes part.
    pub cast: Cast,
    /// Calm views come first, so that all have committed something and are locked. They are led in
    /// turn by those who lead the scheduled ones, so that a symmetry of the schedule is one of them.
    pub warm: bool,
    /// The scheduled views.
    pub rounds: Vec<Round>,
}

/// Calm views of a warm start. A commit of HotStuff takes four.
pub const WARM: usize = 4;

impl Schedule {
    /// The last view of the calm start.
    #[must_use]
    pub fn warmed(&self) -> u64 {
        if self.warm { WARM as u64 } else { 0 }
    }
    /// The last scheduled view: behind it the network is whole.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.warmed() + self.rounds.len() as u64
    }
    /// How the network is split in a view.
    #[must_use]
    pub fn split(&self, view: u64, phase: Phase) -> Split {
        let place = view.checked_sub(self.warmed() + 1);
        let round = place.and_then(|it| self.rounds.get(it as usize));
        round.map_or(Split::NONE, |it| it.splits[phase as usize])
    }
    /// The leaders of views 0 (which is nobody's), 1, 2, ...; behind the scheduled ones come honest
    /// members in turn, so many.
    #[must_use]
    pub fn leaders(&self, behind: usize) -> Vec<NodeId> {
        let scheduled = self.rounds.iter().map(|it| it.leader);
        let warm = scheduled.clone().cycle().take(self.warmed() as usize);
        let calm = self.cast.honest().cycle().take(behind);
        let first = std::iter::once(NodeId(0));
        first.chain(warm).chain(scheduled).chain(calm).collect()
    }
    /// Reads what [`Schedule::to_string`] writes.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str, cast: Cast) -> Result<Self, String> {
        let (warm, rounds) = match text.strip_prefix("w.") {
            Some(rounds) => (true, rounds),
            None => (false, text),
        };
        let rounds = rounds.split('.').map(|it| round(it, cast));
        Ok(Self {
            cast,
            warm,
            rounds: rounds.collect::<Result<_, _>>()?,
        })
    }
    /// One line for each scheduled view.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (view, round) in (self.warmed() + 1..).zip(&self.rounds) {
            let [first, rest @ ..] = round.splits;
            let mut splits = first.text(self.cast);
            for split in rest
                .iter()
                .filter(|_| round.splits != [first; Phase::COUNT])
            {
                let _ = write!(splits, "; {}", split.text(self.cast));
            }
            let leader = self.cast.letter(round.leader);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "view {view}, led by {leader}: {splits}");
        }
        text
    }
}

/// The leader's letter, and the instances that are not on the side of instance 0 as a number to the
/// base of sixteen: `b1e`; one such number for each phase if they differ: `b1e-02-00`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.cast.instances().div_ceil(4);
        f.write_str(if self.warm { "w." } else { "" })?;
        for (i, round) in self.rounds.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            let leader = self.cast.letter(round.leader).to_ascii_lowercase();
            let [first, rest @ ..] = round.splits;
            write!(f, "{dot}{leader}{:0digits$x}", first.side())?;
            for split in rest
                .iter()
                .filter(|_| round.splits != [first; Phase::COUNT])
            {
                write!(f, "-{:0digits$x}", split.side())?;
            }
        }
        Ok(())
    }
}

fn round(text: &str, cast: Cast) -> Result<Round, String> {
    let mut letters = text.chars();
    let leader = letters.next().and_then(|it| cast.called(it));
    let leader = leader.ok_or_else(|| format!("`{text}` begins with no member's letter"))?;
    let split = |digits: &str| {
        let side = u16::from_str_radix(digits, 16).ok();
        let side = side.filter(|it| it >> cast.instances() == 0 && it & 1 == 0);
        let side = side.ok_or_else(|| format!("`{digits}` is no side without the first instance"));
        side.map(|it| Split::of(it, cast))
    };
    let splits: Vec<Split> = letters
        .as_str()
        .split('-')
        .map(split)
        .collect::<Result<_, _>>()?;
    match splits[..] {
        [one] => Ok(Round::new(leader, one)),
        [propose, vote, leave] => Ok(Round {
            leader,
            splits: [propose, vote, leave],
        }),
        _ => Err(format!("`{text}` has neither one split nor one a phase")),
    }
}
