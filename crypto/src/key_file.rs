//! Secret keys on disk: one line of text, readable by its owner alone.
//!
//! The only file of this crate that may touch the file system: whoever starts a node reads its keys
//! through here, so that no other place handles a key's bytes.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "see above"
)]

use crate::SecretKey;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a key file begins with; 64 hex digits of the seed (RFC 8032) and a line feed follow.
const PREFIX: &str = "ed25519-seed-v1:";
const LENGTH: usize = PREFIX.len() + 64 + 1;

/// Why a key file cannot be used. Each names the file and the way out.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// There is none.
    #[error("{path}: no such key file; make one with `quorate key new`", path = .0.display())]
    Missing(PathBuf),
    /// It would overwrite a key.
    #[error("{path}: exists already, and a key is never overwritten; move it away first", path = .0.display())]
    Exists(PathBuf),
    /// Others may read it.
    #[error("{path}: mode {mode:04o} lets others use the key; run `chmod 600 {path}`", path = .0.display(), mode = .1)]
    Mode(PathBuf, u32),
    /// It is no key file.
    #[error("{path}: not a key file (one line, `{PREFIX}` and 64 hex digits); restore it from a backup", path = .0.display())]
    Damaged(PathBuf),
    /// The file system refuses.
    #[error("{path}: {1}; check the path and its permissions", path = .0.display())]
    Io(PathBuf, std::io::Error),
}

/// Reads and writes secret keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyFile;

impl KeyFile {
    /// Writes a key into a new file of mode 0600 and syncs it and its directory.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => KeyFileError::Exists(path.into()),
            _ => KeyFileError::Io(path.into(), error),
        };
        let mut line = Zeroizing::new(String::with_capacity(LENGTH));
        line.push_str(PREFIX);
        for byte in key.seed().iter() {
            for digit in [byte >> 4, byte & 15] {
                line.push(char::from_digit(u32::from(digit), 16).expect("a half byte is below 16"));
            }
        }
        line.push('\n');
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        let parent = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)
    }

    /// Reads a key from a regular file that only its owner may read.
    ///
    /// # Errors
    /// If it is missing, open to others, or no key file.
    pub fn read(path: &Path) -> Result<SecretKey, KeyFileError> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => KeyFileError::Missing(path.into()),
            _ => KeyFileError::Io(path.into(), error),
        };
        // A pipe or device would block or never end: looked at before it is opened.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(KeyFileError::Damaged(path.into()));
        }
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Mode(path.into(), mode));
        }
        // Room for all that is read, so that growing leaves no copy of the key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LENGTH));
        file.take(LENGTH as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let seed = parse(&bytes).ok_or_else(|| KeyFileError::Damaged(path.into()))?;
        Ok(SecretKey::from_seed(&seed))
    }
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = bytes.strip_prefix(PREFIX.as_bytes())?;
    let digits = digits.strip_suffix(b"\n").unwrap_or(digits);
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut seed[..]).ok()?;
    Some(seed)
}

#[cfg(test)]
mod tests;
