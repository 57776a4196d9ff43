//! Reading keys, now or at an old revision.

use super::rows::{Head, Version, history_key, history_parts, history_prefix};
use super::{End, Pair, Span, damaged};
use crate::{Read, Scan, StoreError, Table};
use bytes::Bytes;

/// Rows that are scanned at a time.
const PAGE: usize = 128;

/// What ranges may still return.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Most pairs of one range.
    pub pairs: usize,
    /// Bytes of keys and values left for all ranges together. The very first pair always fits.
    pub bytes: usize,
    /// Whether nothing was returned yet.
    pub fresh: bool,
}

impl Budget {
    /// Limits for one transaction or one call.
    pub fn new(pairs: usize, bytes: usize) -> Self {
        Self {
            pairs,
            bytes,
            fresh: true,
        }
    }
    /// Takes a pair; `false` if there is no room for it.
    fn take(&mut self, pair: &Pair) -> bool {
        let bytes = pair.key.len() + pair.value.len();
        let fits = self.fresh || bytes <= self.bytes;
        if fits {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.fresh = false;
        }
        fits
    }
}

/// Pairs of a span in order of keys, and whether a limit cut them short. `revision`: 0 for now.
pub fn range(
    read: &dyn Read,
    span: &Span,
    revision: u64,
    budget: &mut Budget,
) -> Result<(Vec<Pair>, bool), StoreError> {
    let mut taker = Taker {
        pairs: Vec::new(),
        budget,
        more: false,
    };
    match (revision, &span.end) {
        (0, End::Only) => {
            if let Some(head) = head(read, &span.key)? {
                taker.take(pair(read, &span.key, head)?);
            }
        }
        (0, _) => now(read, span, &mut taker)?,
        _ => back_then(read, span, revision, &mut taker)?,
    }
    Ok((taker.pairs, taker.more))
}

/// The head of a key, if it is live.
pub fn head(read: &dyn Read, key: &[u8]) -> Result<Option<Head>, StoreError> {
    read.get(Table::Key, key)?
        .map(|row| Head::decode(&row))
        .transpose()
}

/// A live key with its value.
pub fn pair(read: &dyn Read, key: &Bytes, head: Head) -> Result<Pair, StoreError> {
    let row = read.get(Table::History, &history_key(key, head.modified))?;
    match row.map(|row| Version::decode(&row)).transpose()? {
        Some(Version::Put { value, .. }) => Ok(Pair {
            key: key.clone(),
            value,
            created: head.created,
            modified: head.modified,
            version: head.version,
        }),
        _ => Err(damaged(
            "a key has no value at the revision that wrote it last".into(),
        )),
    }
}

struct Taker<'a> {
    pairs: Vec<Pair>,
    budget: &'a mut Budget,
    more: bool,
}

impl Taker<'_> {
    /// Takes one more; `false` if there is no room, and so an end.
    fn take(&mut self, pair: Pair) -> bool {
        if self.pairs.len() >= self.budget.pairs || !self.budget.take(&pair) {
            self.more = true;
            return false;
        }
        self.pairs.push(pair);
        true
    }
}

fn now(read: &dyn Read, span: &Span, taker: &mut Taker<'_>) -> Result<(), StoreError> {
    let mut from = span.key.clone();
    let until = span.until();
    loop {
        let rows = (taker.budget.pairs - taker.pairs.len())
            .saturating_add(1)
            .min(PAGE);
        let page = read.scan(Table::Key, &Scan::range(from, until.clone()).rows(rows))?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = successor(last);
        for (key, row) in &page {
            // The last row only tells that there is more: its value need not be read.
            if taker.pairs.len() >= taker.budget.pairs {
                taker.more = true;
                return Ok(());
            }
            if !taker.take(pair(read, key, Head::decode(row)?)?) {
                return Ok(());
            }
        }
    }
}

/// Versions of a key lie together, newest first: the first one not above `revision` counts. When
/// newer ones fill a page the next begins right at `revision`, and when the key is done the next
/// begins behind all of its versions, so no key costs more than two pages.
fn back_then(
    read: &dyn Read,
    span: &Span,
    revision: u64,
    taker: &mut Taker<'_>,
) -> Result<(), StoreError> {
    let mut from = Bytes::from(history_prefix(&span.key));
    let until = span.until().map(|key| Bytes::from(history_prefix(&key)));
    let mut done: Option<Vec<u8>> = None;
    loop {
        let page = read.scan(
            Table::History,
            &Scan::range(from, until.clone()).rows(PAGE).bytes(1 << 20),
        )?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        let (last_key, _) = history_parts(last)?;
        for (row, value) in &page {
            let (key, written) = history_parts(row)?;
            if written > revision || done.as_ref() == Some(&key) {
                continue;
            }
            if let Version::Put {
                created,
                version,
                value,
            } = Version::decode(value)?
            {
                let key = Bytes::copy_from_slice(&key);
                if !taker.take(Pair {
                    key,
                    value,
                    created,
                    modified: written,
                    version,
                }) {
                    return Ok(());
                }
            }
            done = Some(key);
        }
        from = match done.as_ref() == Some(&last_key) {
            true => history_end(&last_key),
            false => history_key(&last_key, revision),
        };
    }
}

/// Behind all versions of a key.
fn history_end(key: &[u8]) -> Bytes {
    let mut end = history_prefix(key);
    end.extend_from_slice(&[0xFF; 9]);
    end.into()
}

fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
