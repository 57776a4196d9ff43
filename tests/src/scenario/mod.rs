//! Scripted scenarios: short texts, one language for all protocols, in which messages are delivered,
//! dropped and reordered and timers fired by hand, and what replicas say is compared. They read like
//! the figures of the papers and are in `tests/testdata/<protocol>/*.txt`.
//!
//! A line that begins with `>` does something; the lines below it are what came of it; `#` begins a
//! comment. The outputs are made by running the script: with `QUORATE_BLESS=1` in the environment the
//! test writes them into the files instead of comparing them. Read the difference before you commit it.
//!
//! | before the start | |
//! |---|---|
//! | `nodes 3` | so many replicas, 0, 1, 2, ... |
//! | `tenure 4` | views that a leader keeps (HotStuff) |
//! | `quorums 2 4` | commit and election quorum (Raft) |
//! | `lease 250` | milliseconds (Raft) |
//! | `checkpoints 2` | every so many heights; else 128 |
//! | `stored 1 ...` | what replica 1 finds on its disk, in the words of the protocol |
//!
//! | at any time | |
//! |---|---|
//! | `tick 0` | the clock goes on to the next timer of replica 0, and that one fires |
//! | `wait 100` | the clock goes on by milliseconds, and nothing fires |
//! | `deliver 0>1` | all that is under way from 0 to 1 arrives, in order |
//! | `deliver 0>1 vote` | only messages of this name |
//! | `deliver 0>1 last` | only the latest: what was sent before it is overtaken |
//! | `deliver 0>*`, `deliver *>1`, `deliver *` | from anybody, to anybody |
//! | `again 0>1` | what arrived last from 0 to 1 arrives once more |
//! | `drop ...` | as `deliver`, but it is lost |
//! | `lie ...` | as `deliver`, but its sender says something else, in the way of the protocol, and signs it |
//! | `run` | everything arrives until nobody says more; what is said on the way is not shown |
//! | `run 0 1` | as `run`, among these; all that leaves them is lost |
//! | `submit 7` | batch 7 waits in every pool; `submit 7 at 0`: in that one |
//! | `read 0 5` | a linearizable read named 5 arrives at replica 0 |
//! | `overdue 0` | replica 0 finds that a batch was left out for too long |
//! | `transfer 0 2` | replica 0 is to hand over to 2 |
//! | `slow 0`, `sync 0` | the disk of 0 finishes nothing from now on; finishes all |
//! | `crash 0`, `start 0` | it loses what is not on its disk; starts again |
//! | `show` | what all replicas know |

mod hotstuff;
mod pbft;
mod raft;
mod replicas;
mod script;
mod stage;

pub(crate) use replicas::Company;
pub(crate) use script::Cast;
pub use script::{Spoken, play};
