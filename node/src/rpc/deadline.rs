//! How long a request may wait: what the client says, within the node's bounds.

use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// Without a word from the client.
const DEFAULT: Duration = Duration::from_secs(10);
/// Whatever the client says.
const LONGEST: Duration = Duration::from_secs(60);
/// Our answer must leave before the client's own timer cuts it off.
const MARGIN: Duration = Duration::from_millis(10);

/// When to give up on a request with this metadata.
pub(super) fn deadline(metadata: &MetadataMap) -> Instant {
    let asked = metadata
        .get("grpc-timeout")
        .and_then(|value| parse(value.to_str().ok()?));
    Instant::now() + bounded(asked)
}

fn bounded(asked: Option<Duration>) -> Duration {
    let Some(asked) = asked else { return DEFAULT };
    let asked = asked.min(LONGEST);
    asked - MARGIN.min(asked / 10)
}

/// A `grpc-timeout`: at most 8 digits and a unit.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_is_read_and_nothing_else() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        for bad in ["", "S", "5", "-5S", "+5S", "123456789S", "5s", "5µ", "µ"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_answer_leaves_before_the_client_gives_up() {
        assert_eq!(
            bounded(Some(Duration::from_secs(1))),
            Duration::from_millis(990)
        );
        assert_eq!(
            bounded(Some(Duration::from_millis(10))),
            Duration::from_millis(9)
        );
        assert_eq!(bounded(Some(Duration::from_secs(3600))), LONGEST - MARGIN);
        assert_eq!(bounded(None), DEFAULT);
    }
}
