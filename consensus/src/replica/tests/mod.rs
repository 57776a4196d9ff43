//! Tests of the shell, named after its rules.
