//! The write-ahead log as RocksDB writes it, read to tell what a loss of power tears from what a disk damages.
//!
//! RocksDB's own recovery either refuses every bad record that has another behind it, as pages that reach the disk
//! in any order leave them, or drops whatever is behind it, acknowledged or not. And it goes on silently behind a
//! page of zeros at a block's end, or an old file that lost its end. So each record is looked at before: whether it
//! is whole, and whether it continues the one before.
//!
//! Format: RocksDB wiki, "Write Ahead Log File Format" (blocks, fragments) and `db/write_batch.cc` (records).

use crate::log::fence_in;
use crate::names::sync_dir;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const BLOCK: usize = 32 << 10;
/// Of a fragment: masked CRC-32C of kind and payload, the payload's length (little-endian), kind.
const HEADER: usize = 4 + 2 + 1;
/// Of a record: its first sequence number, and how many it takes.
const NUMBERS: usize = 8 + 4;
/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;
/// So many zeros at a sector's end are what was never written; a page may have been, up to there.
const ZEROS: usize = 8;

/// Where a write-ahead log breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The file, by its number.
    pub file: u64,
    /// The byte at which the first record begins that is not whole, or does not continue the one before.
    pub at: u64,
    /// Whether sectors that never came explain it.
    pub torn: bool,
    /// A sequence number that is missing: the first, if one was before it.
    pub missing: Option<u64>,
    /// The last fence before it.
    pub fence: Option<u64>,
    /// The last fence that must have been synced, for something behind the break was written after that.
    pub synced: u64,
}

/// The numbers of a log's files, in order; none if there is no directory.
///
/// # Errors
/// If the directory cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Where a log of these files breaks, if it does. Everything up to the sequence number `tables` is in the tables;
/// where that is not known, the first record may be any.
///
/// # Errors
/// If one cannot be read.
pub fn first_break(dir: &Path, files: &[u64], tables: Option<u64>) -> io::Result<Option<Break>> {
    let mut walk = Walk {
        tables,
        ..Walk::default()
    };
    for number in files {
        walk.file(*number, &fs::read(path(dir, *number))?);
    }
    Ok(walk.found)
}

/// Whether a file is empty that has others behind it: the log's beginning may be missing.
///
/// # Errors
/// If one cannot be read.
pub fn begins_empty(dir: &Path, files: &[u64]) -> io::Result<bool> {
    match files {
        [first, _, ..] => Ok(fs::metadata(path(dir, *first))?.len() == 0),
        _ => Ok(false),
    }
}

/// Cuts the log where it breaks.
///
/// # Errors
/// If the disk refuses. What is cut already was to be cut.
pub fn cut(dir: &Path, at: &Break) -> io::Result<()> {
    let later = files(dir)?.into_iter().filter(|number| *number > at.file);
    for number in later.rev() {
        fs::remove_file(path(dir, number))?;
    }
    // None of them may come back behind what is written at the cut from now on.
    sync_dir(dir)?;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path(dir, at.file))?;
    file.set_len(at.at)?;
    file.sync_all()
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:06}.log"))
}

/// A way through all files, in order.
#[derive(Default)]
struct Walk {
    /// The tables have everything up to this sequence number.
    tables: Option<u64>,
    /// The sequence number that comes next, once one is known.
    next: Option<u64>,
    /// The last fence: before the break; behind it, until something follows.
    fence: Option<u64>,
    found: Option<Break>,
}

impl Walk {
    fn file(&mut self, number: u64, bytes: &[u8]) {
        let (mut at, mut record) = (0, Vec::new());
        while self.found.is_none() {
            match next(bytes, at, &mut record) {
                Next::End => return,
                Next::Record(end) if self.continues(&record) => at = end,
                // An end that is missing leaves no trace but in the numbers of the next file.
                Next::Record(_) => self.breaks(number, at, at == 0),
                Next::Broken(bad) => {
                    self.breaks(number, at, is_torn(bytes, bad));
                    at = bad;
                }
            }
        }
        self.behind(bytes, at);
    }

    /// Whether the record's numbers continue those before it.
    fn continues(&mut self, record: &[u8]) -> bool {
        let Some((sequence, count)) = numbers(record) else {
            return false;
        };
        // RocksDB marks where it recovered to with a record of nothing, which takes no number.
        if count > 0 {
            let missing = match (self.next, self.tables) {
                (Some(next), _) => next != sequence,
                (None, Some(tables)) => tables < sequence.saturating_sub(1),
                (None, None) => false,
            };
            if missing {
                return false;
            }
            self.next = sequence.checked_add(u64::from(count));
        }
        self.fence = fence_of(record).or(self.fence);
        true
    }

    fn breaks(&mut self, file: u64, at: usize, torn: bool) {
        self.found = Some(Break {
            file,
            at: at as u64,
            torn,
            missing: self.next,
            fence: self.fence.take(),
            synced: 0,
        });
    }

    /// What is behind the break: a fence is written when the one before has been synced, and whatever follows
    /// it when it has been itself.
    fn behind(&mut self, bytes: &[u8], from: usize) {
        let Some(found) = &mut self.found else { return };
        let mut record = Vec::new();
        let mut expected = None;
        for fragment in (Fragments { bytes, at: from }) {
            found.synced = found.synced.max(self.fence.take().unwrap_or(0));
            match fragment.kind {
                FULL | FIRST => record.clear(),
                _ if expected == Some(fragment.from) => {}
                _ => continue,
            }
            record.extend_from_slice(fragment.payload);
            expected = Some(start(fragment.end));
            if let FULL | LAST = fragment.kind {
                expected = None;
                let first = numbers(&record).map(|(sequence, _)| sequence);
                let before = first.and_then(|first| first.checked_sub(1));
                found.missing = found.missing.or(before);
                self.fence = fence_of(&record);
                found.synced = found.synced.max(self.fence.unwrap_or(0).saturating_sub(1));
            }
        }
    }
}

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// A piece of a record.
struct Fragment<'a> {
    from: usize,
    end: usize,
    kind: u8,
    payload: &'a [u8],
}

/// Where the fragment ends that begins there, by its length. None crosses a block's end.
fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let length = bytes.get(from + 4..from + 6)?;
    let length = u16::from_le_bytes([length[0], length[1]]);
    let end = from + HEADER + usize::from(length);
    (end <= block_end(from)).then_some(end)
}

/// The fragment that begins there, if it is whole.
fn fragment(bytes: &[u8], from: usize) -> Option<Fragment<'_>> {
    let end = end(bytes, from)?;
    let (sum, summed) = (&bytes[from..from + 4], bytes.get(from + 6..end)?);
    let (kind, payload) = summed.split_first()?;
    let found = crc32c::crc32c(summed).rotate_right(15);
    let found = found.wrapping_add(0xa282_ead8).to_le_bytes();
    ((FULL..=LAST).contains(kind) && *sum == found).then_some(Fragment {
        from,
        end,
        kind: *kind,
        payload,
    })
}

fn block_end(at: usize) -> usize {
    (at / BLOCK + 1) * BLOCK
}

/// Where a fragment begins that comes next: a block's last bytes are empty if they have no room for a header.
fn start(at: usize) -> usize {
    match block_end(at) - at < HEADER {
        true => block_end(at),
        false => at,
    }
}

/// All fragments that are whole. Behind one that is not, the next one begins where its length says, or with
/// the next block: never within it, where a client's bytes may look like one.
struct Fragments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;
    fn next(&mut self) -> Option<Fragment<'a>> {
        while self.at < self.bytes.len() {
            let from = start(self.at);
            if let Some(found) = fragment(self.bytes, from) {
                self.at = found.end;
                return Some(found);
            }
            let empty = |end: &usize| *end == from + HEADER;
            let end = end(self.bytes, from).filter(|end| !empty(end));
            self.at = end.unwrap_or(block_end(from));
        }
        None
    }
}

/// What comes next.
enum Next {
    /// A record, which ends there.
    Record(usize),
    /// Nothing.
    End,
    /// A fragment that is not whole, or out of place.
    Broken(usize),
}

/// Reads the record that begins there.
fn next(bytes: &[u8], mut at: usize, record: &mut Vec<u8>) -> Next {
    record.clear();
    let mut begun = false;
    loop {
        at = start(at);
        if at >= bytes.len() && !begun {
            return Next::End;
        }
        match fragment(bytes, at) {
            Some(it) if begun == matches!(it.kind, MIDDLE | LAST) => {
                record.extend_from_slice(it.payload);
                if matches!(it.kind, FULL | LAST) {
                    return Next::Record(it.end);
                }
                (begun, at) = (true, it.end);
            }
            _ => return Next::Broken(at),
        }
    }
}

/// Whether sectors that never came explain why the fragment that begins there is not whole.
fn is_torn(bytes: &[u8], from: usize) -> bool {
    let until = end(bytes, from).unwrap_or(from + HEADER);
    let sectors = (from / SECTOR * SECTOR..until).step_by(SECTOR);
    until > bytes.len()
        || sectors.into_iter().any(|sector| {
            let end = (sector + SECTOR).min(bytes.len());
            let last = end.saturating_sub(ZEROS).max(sector).max(from);
            bytes[last..end].iter().all(|byte| *byte == 0)
        })
}

/// A record's first sequence number, and how many it takes: one for each change.
fn numbers(record: &[u8]) -> Option<(u64, u32)> {
    let (sequence, rest) = record.split_first_chunk()?;
    let count = rest.first_chunk()?;
    Some((u64::from_le_bytes(*sequence), u32::from_le_bytes(*count)))
}

/// The last fence that a record writes.
fn fence_of(record: &[u8]) -> Option<u64> {
    let mut rest = record.get(NUMBERS..)?;
    let mut fence = None;
    while let Some((tag, behind)) = rest.split_first() {
        rest = behind;
        // Of a named column family: a deletion, a value, a range.
        if let 0x4 | 0x5 | 0xe = tag {
            varint(&mut rest)?;
        }
        let key = slice(&mut rest)?;
        match tag {
            0x0 | 0x4 => {}
            0x1 | 0x5 => fence = fence_in(key, slice(&mut rest)?).or(fence),
            0xe | 0xf => drop(slice(&mut rest)?),
            _ => return None,
        }
    }
    fence
}

fn slice<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(rest)?;
    let (slice, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(slice)
}

fn varint(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
