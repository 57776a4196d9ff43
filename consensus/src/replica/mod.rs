//! The shell around every protocol.
