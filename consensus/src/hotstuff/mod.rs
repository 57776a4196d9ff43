//! Chained HotStuff.
