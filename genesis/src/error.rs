//! What can be wrong with the files of a node, each in a sentence that says the way out.

use crypto::KeyFileError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a node cannot be started from its files. One line each.
#[derive(Debug, Error)]
pub enum Error {
    /// The file system refuses.
    #[error("{path}: {reason}; {remedy}", path = .path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        reason: String,
        /// The way out.
        remedy: &'static str,
    },
    /// Text that does not parse, or an unknown, missing or mistyped key.
    #[error("{file}{}: {message}", at(.line))]
    Syntax {
        /// The file's name.
        file: String,
        /// From 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be, alone or beside another.
    #[error("{file}{}: {field}: {problem}; {remedy}", at(.line))]
    Field {
        /// The file's name.
        file: String,
        /// From 1, where the field is written out.
        line: Option<usize>,
        /// Its path, for instance `limits.key_bytes`.
        field: String,
        /// What is wrong.
        problem: String,
        /// The way out.
        remedy: String,
    },
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The own consensus key is none of the validators'.
    #[error(
        "{path}: this consensus key is none of the {n} validators of genesis.toml; put the key of \
         a validator there, or the genesis.toml that lists this key", path = .path.display()
    )]
    NotMember {
        /// The key file.
        path: PathBuf,
        /// Validators in genesis.
        n: usize,
    },
    /// The network key is not the one that genesis lists for this validator.
    #[error(
        "{path}: peers would refuse this network key, since genesis.toml lists another one for \
         validator {node}; put the listed key there", path = .path.display()
    )]
    WrongNetworkKey {
        /// The key file.
        path: PathBuf,
        /// Which validator the consensus key belongs to.
        node: crypto::NodeId,
    },
}

fn at(line: &Option<usize>) -> String {
    line.map_or(String::new(), |line| format!(" line {line}"))
}

/// A field's fault before the file and line are known.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Fault {
    pub(crate) fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}
