//! The genesis file: chain, fault model, protocol, validators, limits.
