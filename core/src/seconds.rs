//! Durations in data: a number of seconds, with a fraction. For `#[serde(with = "...")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes `value` as a float of seconds.
///
/// # Errors
/// What the serializer reports.
pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(value.as_secs_f64())
}

/// Reads a number of seconds.
///
/// # Errors
/// It is not a number, negative, not finite, or more than a [`Duration`] holds.
pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(input)?).map_err(serde::de::Error::custom)
}
