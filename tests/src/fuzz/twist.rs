//! Edits of encoded bytes. Numbers have eight bytes everywhere, so an edit often changes one field
//! and leaves the rest decodable.

use super::Source;

/// Most bytes that an edit adds or moves.
const MOST: usize = 256;

/// Where half of the edits are.
const HEAD: usize = 64;

/// Makes up to three edits; `donor` is another encoding, from which parts are taken.
pub fn twist(bytes: &mut Vec<u8>, donor: &[u8], source: &mut Source<'_>) {
    for _ in 0..source.below(4) {
        edit(bytes, donor, source);
    }
}

fn edit(bytes: &mut Vec<u8>, donor: &[u8], source: &mut Source<'_>) {
    let kind = source.below(16);
    // What a message or row is about stands at its beginning.
    let reach = if kind >= 8 { HEAD } else { usize::MAX };
    let at = source.below(bytes.len().clamp(1, reach));
    match kind % 8 {
        0 => put(bytes, at, &source.number().to_le_bytes()),
        1 => {
            let by = u64::from(source.byte()).wrapping_sub(128);
            let mut number = [0; 8];
            let there = &bytes[at..bytes.len().min(at + 8)];
            number[..there.len()].copy_from_slice(there);
            let number = u64::from_le_bytes(number).wrapping_add(by);
            put(bytes, at, &number.to_le_bytes());
        }
        2 => {
            let from = source.below(donor.len().max(1)).min(donor.len());
            let length = [8, 32, 64, MOST][source.below(4)];
            let part = &donor[from..donor.len().min(from + length)];
            put(bytes, at, part);
        }
        3 => {
            let end = bytes.len().min(at + source.below(MOST));
            bytes.drain(at.min(end)..end);
        }
        4 => {
            let end = bytes.len().min(at + source.below(MOST));
            let part = bytes[at.min(end)..end].to_vec();
            bytes.splice(end..end, part);
        }
        5 => {
            let added = source.below(16);
            let part = source.take(added).to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..at, part);
        }
        6 => put(bytes, at, &[source.byte()]),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << source.below(8);
            }
        }
    }
}

/// Overwrites what is there; what would lie behind the end is left out.
fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(part) {
        *to = *from;
    }
}
