//! Where the client's key is found.

use anyhow::{Result, anyhow};
use crypto::{KeyFile, KeyFileError, SecretKey};
use std::path::{Path, PathBuf};

/// The variable that names the key's file.
const VARIABLE: &str = "QUORATE_KEY";
/// Where a testnet in the current directory keeps its client's key.
const TESTNET: &str = "testnet/client.key";

/// `--key`, `QUORATE_KEY`, then `./testnet/client.key`.
pub(super) fn find(flag: Option<&Path>) -> Result<SecretKey> {
    let named = flag
        .map(Path::to_owned)
        .or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| TESTNET.into());
    match KeyFile::read(&path) {
        Ok(key) => Ok(key),
        Err(KeyFileError::Missing(_)) if named.is_none() => Err(anyhow!(
            "no key to sign with: give --key FILE, set {VARIABLE}, or run where `quorate testnet` \
             made ./{TESTNET}"
        )),
        Err(error) => Err(error.into()),
    }
}
