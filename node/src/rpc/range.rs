//! Reads of the executed state.

use super::convert::{invalid, key_value};
use super::proto::{RangeRequest, RangeResponse};
use super::{NodeInfo, refusal};
use crypto::Time;
use storage::kv::Limits;
use storage::reader::{ReadError, StateReader};
use storage::{End, Span};
use tonic::{Code, Status};

/// Runs a read where it may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Status::internal(format!("the read failed: {error}")))?
}

/// Answers one range request.
pub(super) fn read(
    state: &StateReader,
    request: &RangeRequest,
    info: &NodeInfo,
) -> Result<RangeResponse, Status> {
    let span = span(request, &info.limits)?;
    let limit = limit(request.limit, info.caps.range_entries);
    let found = match state.range(&span, limit, request.revision) {
        Ok(found) => found,
        Err(error @ ReadError::FutureRevision { .. }) => {
            return Err(Status::out_of_range(format!(
                "{error}: read it there later"
            )));
        }
        Err(error) => return Err(failed(error)),
    };
    let revision = match request.revision {
        0 => found.applied.revision,
        asked => asked,
    };
    Ok(RangeResponse {
        kvs: found.pairs.iter().map(key_value).collect(),
        more: found.more,
        next_key: found.next.unwrap_or_default(),
        revision,
        height: found.applied.height.0,
    })
}

/// The most bytes that the answer can have.
pub(super) fn longest(request: &RangeRequest, info: &NodeInfo) -> usize {
    let pairs = match request.range_end.is_empty() {
        true => 1,
        false => limit(request.limit, info.caps.range_entries),
    };
    info.range_bytes(pairs as usize)
}

/// That other reads are under way.
pub(super) fn busy() -> Status {
    refusal::later(
        Code::ResourceExhausted,
        "other ranges are being read: try again in 100 ms".into(),
        Time::millis(100),
    )
}

/// The store takes 0 for no limit; the node's own cap is one.
fn limit(asked: u64, cap: usize) -> u32 {
    let cap = u32::try_from(cap).unwrap_or(u32::MAX);
    match u32::try_from(asked) {
        Ok(0) | Err(_) => cap,
        Ok(asked) => asked.min(cap),
    }
}

fn span(request: &RangeRequest, limits: &Limits) -> Result<Span, Status> {
    let key = request.key.clone();
    let longest = request.key.len().max(request.range_end.len());
    // One key alone has to be one that may be written; a range goes on behind the longest.
    let most = match request.range_end.is_empty() {
        true => limits.key_bytes,
        false => limits.bound_bytes(),
    };
    if longest > most {
        return Err(invalid(format!(
            "key or range_end has {longest} bytes: at most {most} are allowed"
        )));
    }
    let end = match &request.range_end[..] {
        [] if key.is_empty() => {
            return Err(invalid("key is empty: name one, or give range_end"));
        }
        [] => End::Only,
        [0] => End::Unbounded,
        end if *end <= key[..] => {
            return Err(invalid(
                "range_end is not behind key: the range holds nothing",
            ));
        }
        _ => End::Before(request.range_end.clone()),
    };
    Ok(Span { key, end })
}

/// The store failed: the node stops of itself, and says why in its log.
pub(super) fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!(
        "the state cannot be read: {error}; ask another node"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use bytes::Bytes;

    fn of(key: &'static str, end: &'static [u8]) -> Result<Span, Status> {
        let request = RangeRequest {
            key: Bytes::from_static(key.as_bytes()),
            range_end: Bytes::from_static(end),
            ..RangeRequest::default()
        };
        span(&request, &Limits::default())
    }

    #[test]
    fn the_end_says_which_keys() {
        assert_eq!(of("a", b"").unwrap(), Span::only("a"));
        assert_eq!(of("a", b"\0").unwrap().end, End::Unbounded);
        assert_eq!(of("", b"\0").unwrap().end, End::Unbounded);
        assert_eq!(of("a", b"c").unwrap().end, End::Before("c".into()));
    }

    #[test]
    fn the_nodes_cap_holds_whatever_is_asked() {
        assert_eq!(limit(0, 10), 10);
        assert_eq!(limit(3, 10), 3);
        assert_eq!(limit(11, 10), 10);
        assert_eq!(limit(u64::MAX, 10), 10);
    }

    #[test]
    fn a_range_of_nothing_is_refused_by_name() {
        assert!(of("", b"").unwrap_err().message().contains("key is empty"));
        assert!(of("b", b"a").unwrap_err().message().contains("range_end"));
        assert!(of("b", b"b").unwrap_err().message().contains("range_end"));
    }

    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let request = RangeRequest {
            key: vec![1; 5000].into(),
            ..RangeRequest::default()
        };
        let refused = span(&request, &Limits::default()).unwrap_err();
        assert!(refused.message().contains("5000 bytes"));
    }
}
