//! What a loss of power leaves of files. kill -9 keeps the page cache, so it never tests a sync.
//!
//! Processes run under `tests/recorder`, which has each write, sync and change of names in a [`Trace`], in
//! their order; [`Notes`] are put between them by whoever was promised something. A [`Disk`] follows the
//! trace up to any cut, and draws an image of what may be found there afterwards. [`writer`] fills a node's
//! log by a seed, so that [`Judge`] knows for each image which rows have to be in it.

mod disk;
mod image;
mod judge;
#[path = "../../recorder/src/record.rs"]
mod record;
#[cfg(test)]
mod tests;
mod trace;
pub mod writer;

pub use disk::{Disk, Heard};
pub use image::Fate;
pub use judge::{Judge, Judged, Promised, cuts};
pub use trace::{Notes, Record, Trace};
