//! The real file: preallocated, overwritten in place, synced with fdatasync.

use super::{SLOT, Safety, SafetyError, SafetyFile};
use crate::names::sync_dir;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The safety file of a data directory.
pub struct RealSafetyFile {
    path: PathBuf,
    file: Option<File>,
    /// The slot to be written next, once it is known.
    next: Option<usize>,
}

impl RealSafetyFile {
    /// Writes the first one. Only `genesis` calls this.
    ///
    /// # Errors
    /// [`SafetyError::Exists`] if there is one already, [`SafetyError::Failed`].
    pub fn create(path: &Path, first: &Safety) -> Result<(), SafetyError> {
        let failed = |error| fail(path, "written", &error);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let mut file = match file {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(SafetyError::Exists {
                    path: path.display().to_string(),
                });
            }
            other => other.map_err(failed)?,
        };
        let mut bytes = vec![0; 2 * SLOT];
        let encoded = first.encode();
        bytes[..encoded.len()].copy_from_slice(&encoded);
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        sync_dir(parent).map_err(failed)
    }
    /// Opens it. That there is none is told by [`SafetyFile::read`].
    ///
    /// # Errors
    /// [`SafetyError::Failed`].
    pub fn open(path: &Path) -> Result<Self, SafetyError> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Self {
                path: path.into(),
                file: Some(file),
                next: None,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self {
                path: path.into(),
                file: None,
                next: None,
            }),
            Err(error) => Err(fail(path, "read", &error)),
        }
    }
    /// The whole file, as far as it goes; `None` if there is none.
    fn bytes(&self) -> Result<Option<Vec<u8>>, SafetyError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let mut bytes = vec![0; 2 * SLOT];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(fail(&self.path, "read", &error)),
            }
        }
        bytes.truncate(filled);
        Ok(Some(bytes))
    }
}

fn fail(path: &Path, what: &'static str, error: &std::io::Error) -> SafetyError {
    SafetyError::Failed {
        path: path.display().to_string(),
        what,
        why: error.to_string(),
    }
}

impl SafetyFile for RealSafetyFile {
    fn read(&mut self) -> Result<Option<Safety>, SafetyError> {
        let bytes = self.bytes()?;
        Ok(bytes.and_then(|bytes| Safety::newest(&bytes)))
    }
    fn write(&mut self, safety: &Safety) -> Result<(), SafetyError> {
        let slot = match self.next {
            Some(slot) => slot,
            None => Safety::free_slot(&self.bytes()?.unwrap_or_default()),
        };
        let Some(file) = &self.file else {
            let missing = std::io::Error::from(ErrorKind::NotFound);
            return Err(fail(&self.path, "written", &missing));
        };
        file.write_all_at(&safety.encode(), (slot * SLOT) as u64)
            .and_then(|()| file.sync_data())
            .map_err(|error| fail(&self.path, "written", &error))?;
        self.next = Some(1 - slot);
        Ok(())
    }
}
