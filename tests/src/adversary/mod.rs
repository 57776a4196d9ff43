//! Adversaries: each wraps an honest node, holds its key, and rewrites what
//! it sends. Nothing adversarial is in the program: the same wrapper runs in the simulator and, built
//! into a program of its own, as a real process of a testnet.
//!
//! A [`Disguised`] machine is an honest [`engine::Engine`] with another mouth; an [`Adversary`] says what
//! comes out of it; all liars of a cluster share a [`Ring`] of keys; and a [`Tongue`] is what an
//! adversary has to know of a protocol. The [`catalogue`] lists them.

mod bad_block;
mod censor;
mod colluding;
mod disguised;
mod double_vote;
mod equivocate;
mod far_future;
mod forge;
mod give_up;
mod hotstuff;
mod memory;
mod mouth;
mod mutate;
mod pbft;
mod poison;
mod reluctant;
mod replay;
mod ring;
mod spam;
mod stale;
mod tongue;
mod way;
mod withhold;

pub use colluding::camp;
pub use disguised::Disguised;
pub use equivocate::{Equivocate, RIVAL};
pub use mouth::{Mouth, Said};
pub use poison::{Poison, Proof};
pub use ring::Ring;
pub use tongue::{Fluent, Role, Tongue};
pub use way::{Fate, Tally, Way};

use crypto::{NodeId, Time};

/// What a liar does with what its honest half would say.
pub trait Adversary<P: Tongue>: Send {
    /// The honest half says this: what goes out instead is said with `mouth`.
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>);
    /// A message of the protocol came in, checked; the honest half reads it afterwards.
    fn hear(&mut self, _from: NodeId, _message: &P::Message, _mouth: &mut Mouth<'_>) {}
    /// Its deadline has come.
    fn wake(&mut self, _mouth: &mut Mouth<'_>) {}
    /// When it wants to be woken.
    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// An adversary of the catalogue.
pub struct Entry<P> {
    /// Its name, as in `--adversary 3:equivocate`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// In which ways.
    pub ways: Vec<Way>,
    /// Makes one.
    pub make: fn() -> Box<dyn Adversary<P>>,
}

impl<P: Tongue> Entry<P> {
    fn new(
        name: &'static str,
        about: &'static str,
        ways: &[Way],
        make: fn() -> Box<dyn Adversary<P>>,
    ) -> Self {
        Self {
            name,
            about,
            ways: ways.to_vec(),
            make,
        }
    }
}

/// Those who leave out, or say late, what their honest half would say.
fn reluctant<P: Fluent>() -> Vec<Entry<P>> {
    vec![
        Entry::new("silent", "says nothing", &[reluctant::NOTHING], || {
            Box::new(reluctant::Silent)
        }),
        Entry::new(
            "slow",
            "says everything just under the time-out",
            &[reluctant::LATE],
            || Box::new(reluctant::Slow::default()),
        ),
        Entry::new(
            "selective",
            "speaks to some only, others each view",
            &[reluctant::SOME],
            || Box::new(reluctant::Selective),
        ),
        Entry::new(
            "withhold-vote",
            "votes to nobody or to one",
            &[withhold::VOTE],
            || Box::new(withhold::Votes),
        ),
        Entry::new(
            "withhold-payload",
            "payload to exactly f + 1, its digest to all",
            &[withhold::BATCH],
            || Box::new(withhold::Payloads),
        ),
        Entry::new(
            "censor",
            "never orders what one node's clients sent",
            &[censor::LEFT_OUT],
            || Box::new(censor::Censor),
        ),
    ]
}

/// Those who say something else.
fn lying<P: Fluent>() -> Vec<Entry<P>> {
    vec![
        Entry::new(
            "equivocate",
            "conflicting proposals and votes, to chosen recipients; its accomplices vote for all of them",
            &equivocate::WAYS,
            || Box::new(Equivocate::default()),
        ),
        Entry::new(
            "double-vote",
            "conflicting votes",
            &double_vote::WAYS,
            || Box::new(double_vote::DoubleVote),
        ),
        Entry::new(
            "stale",
            "old certificates in new messages",
            &stale::WAYS,
            || Box::new(stale::Stale::default()),
        ),
        Entry::new(
            "replay",
            "messages again in another view, epoch, chain, phase and kind",
            &replay::WAYS,
            || Box::new(replay::Replay::default()),
        ),
        Entry::new("forge", "certificates that are none", &forge::WAYS, || {
            Box::new(forge::Forge::default())
        }),
        Entry::new(
            "bad-block",
            "proposals that break a rule",
            &bad_block::ways::<P>(),
            || Box::new(bad_block::BadBlock::default()),
        ),
        Entry::new(
            "far-future",
            "huge views and heights, in floods",
            &far_future::WAYS,
            || Box::new(far_future::FarFuture::default()),
        ),
        Entry::new(
            "give-up",
            "abuses time-outs: gives up every view that goes well, over and over",
            &give_up::WAYS,
            || Box::new(give_up::GiveUp::default()),
        ),
        Entry::new("spam", "floods the pools", &spam::WAYS, || {
            Box::new(spam::Spam::default())
        }),
        Entry::new(
            "mutate",
            "small changes to real messages",
            &mutate::WAYS,
            || Box::new(mutate::Mutate::default()),
        ),
        Entry::new(
            "collude",
            "two camps that never hear of each other, and a story for each",
            &colluding::WAYS,
            || Box::new(colluding::Colluding::default()),
        ),
        Entry::new(
            "poison-sync",
            "answers who lags out of order, with gaps, little by little, with foreign content",
            &poison::ways::<P>(),
            || Box::new(poison::PoisonSync::default()),
        ),
    ]
}

/// All adversaries of a protocol: those that every Byzantine protocol has, and its own.
#[must_use]
pub fn catalogue<P: Fluent>() -> Vec<Entry<P>> {
    let mut all = lying();
    all.extend(reluctant());
    for entry in &mut all {
        let lacks = |way: &Way| P::LACKS.contains(&(entry.name, way.name));
        entry.ways.retain(|way| !lacks(way));
    }
    all.extend(P::own());
    all
}

/// The names of all.
#[must_use]
pub fn names<P: Fluent>() -> Vec<&'static str> {
    catalogue::<P>().into_iter().map(|it| it.name).collect()
}

/// The adversary of a name.
///
/// # Errors
/// In words, if there is none.
pub fn named<P: Fluent>(name: &str) -> Result<Box<dyn Adversary<P>>, String> {
    let found = catalogue::<P>().into_iter().find(|it| it.name == name);
    let entry = found.ok_or_else(|| {
        let names = names::<P>().join(" ");
        format!("no adversary is called {name}; these are: {names}")
    })?;
    Ok((entry.make)())
}
