//! Names that last. What is in a file is durable once the file is synced, and its name once the directory is
//! (fsync(2)): a loss of power may take whole directories whose files were all synced.

use std::fs::{self, File};
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Makes a directory whose name lasts, and those above it that are missing. Also the name of one that is there:
/// who made it may have been killed before that.
///
/// # Errors
/// If one of them cannot be made or synced.
pub fn make_dir(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if path.is_dir() {
        return match sync_dir(parent) {
            // Whoever made it for us need not let us read what it is in.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    make_dir(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync_dir(parent),
    }
}

/// Makes the names in a directory last.
///
/// # Errors
/// If it cannot be read or synced.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}

/// Makes all names in a directory and below it last.
///
/// # Errors
/// If one of them cannot be read or synced.
pub fn sync_tree(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(path)
}
