//! Tests of the rules, their holes, and of whole clusters.
mod found;
