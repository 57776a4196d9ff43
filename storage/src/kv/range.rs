//! Reading keys, now or at an old revision.
//!
//! A range costs what it looks at, not what it returns: keys that did not exist at a revision, or
//! exist no more, are looked at, too, now as well as then. So there is a budget of keys, by which all replicas cut a range
//! at the same place: it counts keys in the order of keys, not rows or pages. And there is one of bytes
//! that are read, whether they are returned or not: a value may be long, and not fit any more.

use super::rows::{Head, Version, history_key, history_parts, history_prefix};
use super::{End, Limits, Pair, Span, damaged};
use crate::{Read, Scan, StoreError, Table, successor};
use bytes::Bytes;

/// Most rows that are scanned at a time.
const PAGE: usize = 128;
/// Least rows that are scanned at a time: of a key, a version that is too new and the right one.
const LEAST: usize = 2;
/// Bytes of rows that are scanned at a time, but for the last one.
const PAGE_BYTES: usize = 64 << 10;

/// What reading a row costs besides its bytes.
const ROW: usize = 100;

/// What ranges may still return.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Most pairs of one range.
    pub pairs: usize,
    /// Bytes of keys and values left for all ranges together. The very first pair always fits.
    pub bytes: usize,
    /// Keys that all ranges together may still look at. A span of a single key needs none.
    pub looks: usize,
    /// Whether nothing was returned yet.
    pub fresh: bool,
    /// Bytes that were read.
    pub read: usize,
    /// After so many nothing more is read; what is begun is finished.
    most_read: usize,
}

impl Budget {
    /// For one transaction or one call.
    pub fn new(limits: &Limits) -> Self {
        Self {
            pairs: limits.range_pairs,
            bytes: limits.result_bytes,
            looks: limits.looks,
            fresh: true,
            read: 0,
            most_read: limits.read_bytes,
        }
    }
    /// Whether anything more may be read.
    pub fn may_read(&self) -> bool {
        self.read < self.most_read
    }
    /// The pair of a live key.
    pub fn pair(&mut self, read: &dyn Read, key: &Bytes, head: Head) -> Result<Pair, StoreError> {
        let pair = pair(read, key, head)?;
        self.charge(pair.key.len() + pair.value.len());
        Ok(pair)
    }
    fn charge(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(ROW + bytes);
    }
    /// For one range: at most so many pairs, 0: as many as the limits allow.
    pub fn limit(&mut self, pairs: u32, limits: &Limits) {
        let most = limits.range_pairs;
        self.pairs = if pairs == 0 {
            most
        } else {
            most.min(pairs as usize)
        };
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

/// What a range found.
#[derive(Debug)]
pub struct Found {
    /// In order of keys.
    pub pairs: Vec<Pair>,
    /// Whether a limit cut them short.
    pub more: bool,
    /// The first key that was not looked at, if that was the limit; else one goes on behind the last.
    pub next: Option<Bytes>,
}

/// Pairs of a span. `revision`: 0 for now.
pub fn range(
    read: &dyn Read,
    span: &Span,
    revision: u64,
    budget: &mut Budget,
) -> Result<Found, StoreError> {
    let mut taker = Taker {
        pairs: Vec::new(),
        budget,
        more: false,
        next: None,
    };
    match (revision, &span.end) {
        (0, End::Only) => {
            if let Some(head) = head(read, &span.key)?
                && taker.may_read(&span.key)
            {
                let pair = taker.budget.pair(read, &span.key, head)?;
                taker.take(pair);
            }
        }
        (0, _) => now(read, span, &mut taker)?,
        _ if !taker.may_read(&span.key) => {}
        _ => back_then(read, span, revision, &mut taker)?,
    }
    Ok(Found {
        pairs: taker.pairs,
        more: taker.more,
        next: taker.next,
    })
}

/// The head of a key, if it is live.
pub fn head(read: &dyn Read, key: &[u8]) -> Result<Option<Head>, StoreError> {
    let row = read.get(Table::Key, key)?;
    row.map_or(Ok(None), |row| Head::decode(&row))
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
    next: Option<Bytes>,
}

impl Taker<'_> {
    /// Looks at a key; `false` if there were too many, and so an end.
    fn look(&mut self, key: &[u8]) -> bool {
        let left = self.budget.looks.checked_sub(1);
        match left {
            Some(left) => self.budget.looks = left,
            None => self.cut(Bytes::copy_from_slice(key)),
        }
        left.is_some()
    }
    /// Whether more may be read; else it ends at this key.
    fn may_read(&mut self, key: &Bytes) -> bool {
        let may = self.budget.may_read();
        if !may {
            self.cut(key.clone());
        }
        may
    }
    fn cut(&mut self, next: Bytes) {
        (self.more, self.next) = (true, Some(next));
    }
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
    let mut least = 1;
    loop {
        let rows = (taker.budget.pairs - taker.pairs.len()).min(taker.budget.looks);
        let rows = rows.saturating_add(1).max(least).min(PAGE);
        // Behind removed keys are mostly more of them.
        least = 2 * rows;
        let page = read.scan(Table::Key, &Scan::range(from, until.clone()).rows(rows))?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = successor(last);
        for (key, row) in &page {
            if !taker.look(key) {
                return Ok(());
            }
            let Some(head) = Head::decode(row)? else {
                if !taker.may_read(key) {
                    return Ok(());
                }
                taker.budget.charge(key.len());
                continue;
            };
            // The last row only tells that there is more: its value need not be read.
            if taker.pairs.len() >= taker.budget.pairs {
                taker.more = true;
                return Ok(());
            }
            if !taker.may_read(key) {
                return Ok(());
            }
            let pair = taker.budget.pair(read, key, head)?;
            if !taker.take(pair) {
                return Ok(());
            }
        }
    }
}

/// Versions of a key lie together, newest first: the first one not above `revision` counts. When
/// newer ones fill a page the next begins right at `revision`, and when the key is done the next
/// begins behind all of its versions, so no key costs more than two pages; and pages are small where
/// most of their rows are of no use.
fn back_then(
    read: &dyn Read,
    span: &Span,
    revision: u64,
    taker: &mut Taker<'_>,
) -> Result<(), StoreError> {
    let mut from = Bytes::from(history_prefix(&span.key));
    let until = span.until().map(|key| Bytes::from(history_prefix(&key)));
    let most = taker.budget.pairs.min(taker.budget.looks);
    let mut rows = LEAST.max(PAGE.min(most.saturating_add(1)));
    // The last key that was looked at, and whether what counts of it was found.
    let mut at: Option<Vec<u8>> = None;
    let mut done = false;
    let mut keys = 0;
    loop {
        let scan = Scan::range(from, until.clone()).rows(rows);
        let page = read.scan(Table::History, &scan.bytes(PAGE_BYTES))?;
        let mut skipped = 0;
        for (row, value) in &page {
            taker.budget.charge(row.len() + value.len());
        }
        for (row, value) in &page {
            let (key, written) = history_parts(row)?;
            let again = at.as_ref() == Some(&key);
            if !again {
                if span.end != End::Only && !taker.look(&key) {
                    return Ok(());
                }
                (at, done) = (Some(key), false);
                keys += 1;
            }
            if done || written > revision {
                // The first row of each key is a look, of which there is a budget.
                skipped += usize::from(again);
                continue;
            }
            done = true;
            if let (Some(key), Some(pair)) = (&at, put_at(value, written)?)
                && !taker.take(pair(Bytes::copy_from_slice(key)))
            {
                return Ok(());
            }
        }
        let Some(key) = at.as_ref().filter(|_| !page.is_empty()) else {
            return Ok(());
        };
        let useless = 2 * skipped > page.len();
        rows = if useless {
            LEAST.max(rows / 4)
        } else {
            PAGE.min(2 * rows)
        };
        // The first key is finished, so that whoever goes on with the last one gets on.
        if !taker.budget.may_read() && (done || keys > 1) {
            let next = match done {
                true => successor(key),
                false => Bytes::copy_from_slice(key),
            };
            taker.cut(next);
            return Ok(());
        }
        from = match done {
            true => history_end(key),
            false => history_key(key, revision),
        };
    }
}

/// The pair that a version makes of its key, unless the key was removed there.
fn put_at(row: &Bytes, modified: u64) -> Result<Option<impl FnOnce(Bytes) -> Pair>, StoreError> {
    let version = Version::decode(row)?;
    Ok(match version {
        Version::Deleted => None,
        Version::Put {
            created,
            version,
            value,
        } => Some(move |key| Pair {
            key,
            value,
            created,
            modified,
            version,
        }),
    })
}

/// Behind all versions of a key.
fn history_end(key: &[u8]) -> Bytes {
    let mut end = history_prefix(key);
    end.extend_from_slice(&[0xFF; 9]);
    end.into()
}
