//! Systematic Twins (Bano, Sonnino, Chursin, Perelman, Li, Ching, Malkhi: Twins: BFT systems made
//! robust, OPODIS 2021): a faulty member is two honest replicas under one key. Whatever a liar can say
//! by forgetting what he said before, such twins say, if the network shows the ones to some and the
//! others to others; and no line of adversarial code has to be written for it.
//!
//! A [`Schedule`] says for each view who leads it and which replicas hear each other in it; all
//! schedules of so many views, up to symmetry, are a [`Space`]. A world (`world.rs`) plays one of them:
//! replicas in their shells, without pool, store and executor, over a network that delivers at once.
//! Behind the scheduled views the network is whole and only honest members lead, and the world goes on
//! until all of them have committed something new. A [`Campaign`] plays many.
//!
//! What is within a view: messages go between those who hear each other, until nobody says more; then
//! all who are still in the view give it up. Nobody's clock runs out before that. What a split of the
//! network kept back is lost, but for the words by which a view is given up: once nothing moves any
//! more those of the latest view come through, else most schedules would end in the first view.

mod campaign;
mod cast;
mod enumerate;
#[cfg(planted)]
pub mod hunt;
mod instance;
mod judge;
mod schedule;
mod subject;
mod world;

#[cfg(test)]
mod tests;

pub use campaign::{Campaign, Plan, Report, failure};
pub use cast::Cast;
pub use enumerate::{Canonical, Space};
pub use judge::{Facts, PROPERTIES};
pub use schedule::{Phase, Round, Schedule, Split};
pub use subject::{Protocol, Twinned};
pub use world::Outcome;
