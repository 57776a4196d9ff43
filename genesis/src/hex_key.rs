//! Public keys in files: 64 hex digits.

use crypto::PublicKey;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serializer};

pub(crate) fn parse(text: &str) -> Result<PublicKey, String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| "not a public key, which is 64 hex digits".to_owned())?;
    PublicKey::checked(bytes)
        .map_err(|_| "not a public key: no point of the curve, or a weak one".to_owned())
}

pub(crate) fn serialize<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PublicKey, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A list of them.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, PublicKey, Serializer, parse};
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(
        keys: &[PublicKey],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PublicKey>, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        list.iter()
            .map(|text| parse(text))
            .collect::<Result<_, _>>()
            .map_err(D::Error::custom)
    }
}
