//! The simulator, its checkers and adversaries, and tests of real processes.
