//! Spans of time in files: `300ms`, `1m`, `1ms 500us`.

use crypto::Time;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serializer};
use std::time::Duration;

pub(crate) fn text(time: Time) -> String {
    humantime::format_duration(Duration::from_nanos(time.0)).to_string()
}

pub(crate) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*time))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refused = || {
        D::Error::custom(format!(
            "{text:?} is no span of time; write one such as \"300ms\" or \"10s\""
        ))
    };
    let span = humantime::parse_duration(&text).map_err(|_| refused())?;
    u64::try_from(span.as_nanos())
        .map(Time)
        .map_err(|_| refused())
}

/// One that may be left out.
pub(crate) mod option {
    use super::{Deserializer, Serializer, Time};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Time>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Time>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
