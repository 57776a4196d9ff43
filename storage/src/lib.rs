//! The store, the safety file and the key-value state machine.
