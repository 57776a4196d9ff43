//! The small files of a data directory: whatever is in them, it is opened or refused in words.

use super::Found;
use crypto::{ChainId, PublicKey};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use storage::{Directory, Identity, OpenError, RealSafetyFile, Safety, SafetyFile as _};

/// Whose data are expected.
pub(super) fn identity() -> Identity {
    Identity {
        chain: ChainId::default(),
        key: PublicKey([7; 32]),
        protocol: "pbft".into(),
    }
}

/// Takes them for `FORMAT` and for the safety file.
#[must_use]
pub fn open(data: &[u8]) -> Found {
    let place = place();
    let found = fs::create_dir(&place).and_then(|()| {
        fs::write(place.join("FORMAT"), data)?;
        fs::write(place.join("safety"), data)?;
        Ok(read(&place, data))
    });
    fs::remove_dir_all(&place).ok();
    found.unwrap_or_default()
}

/// A directory with a name of its own.
fn place() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("quorate-fuzz-{}-{number}.data", std::process::id());
    std::env::temp_dir().join(name)
}

fn read(place: &Path, data: &[u8]) -> Found {
    let mut found = Vec::new();
    let looked = Directory::look(place, &identity());
    let opened = Directory::open(place, &identity()).map(|_| None);
    for opened in [looked, opened] {
        match opened {
            Ok(owner) => {
                assert_eq!(owner, None, "nobody has it");
                found.push("FORMAT");
            }
            // The file system's own troubles are not the data's.
            Err(OpenError::Io { .. }) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    found.dedup();
    let mut file = RealSafetyFile::open(&place.join("safety"));
    let safety = file.as_mut().map(|file| file.read());
    if let Ok(Ok(safety)) = safety {
        assert_eq!(safety, Safety::newest(data));
        found.extend(safety.map(|_| "safety file"));
    }
    found
}

/// What `genesis` writes, and what a node has written since.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let Identity {
        chain,
        key,
        protocol,
    } = identity();
    let first = Safety::genesis(chain, key);
    let safety = |fences: [u64; 2]| {
        let slot = |fence| {
            let mut slot = Safety { fence, ..first }.encode().to_vec();
            slot.resize(storage::safety::SLOT, 0);
            slot
        };
        fences.map(slot).concat()
    };
    let place = place();
    let made = Directory::create(
        &place,
        &Identity {
            chain,
            key,
            protocol,
        },
    );
    let format = made.ok().and_then(|()| fs::read(place.join("FORMAT")).ok());
    fs::remove_dir_all(&place).ok();
    let format = format.expect("a temporary directory can be written");
    vec![
        format,
        first.encode().to_vec(),
        safety([0, 1]),
        safety([9, 8]),
    ]
}
