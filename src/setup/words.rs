//! Numbers and times in words, alike wherever the page shows them.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A moment: for machines, in full, and in relation to now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct When {
    /// RFC 3339.
    pub machine: String,
    /// `2026-11-23 23:31 UTC`.
    pub full: String,
    /// `2 min ago`, `in 90 days`.
    pub relative: String,
}

/// Puts a moment into words as seen from `now`.
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> When {
    let seconds = (now - at).num_seconds();
    let relative = match seconds {
        -4..=4 => "just now".to_owned(),
        5.. => format!("{} ago", span(seconds.unsigned_abs())),
        _ => format!("in {}", span(seconds.unsigned_abs())),
    };
    When { machine: at.to_rfc3339(), full: at.format("%Y-%m-%d %H:%M UTC").to_string(), relative }
}

/// A span in its largest unit: `40 s`, `12 min`, `3 h`, `1 day`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `20,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A delay in seconds, short: `0.4 s`, `12 s`, `3 min`; a dash when unknown.
pub fn delay(seconds: Option<f64>) -> String {
    match seconds {
        Some(s) if s.is_finite() && s < 10.0 => format!("{s:.1} s"),
        Some(s) if s.is_finite() => span(s as u64),
        _ => "\u{2013}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;

    #[test]
    fn moments_are_told_absolutely_and_relatively() {
        let now = DateTime::UNIX_EPOCH + Duration::days(1);
        let told = when(now - Duration::seconds(130), now);
        assert_eq!((told.full.as_str(), told.relative.as_str()), ("1970-01-01 23:57 UTC", "2 min ago"));
        assert_eq!(when(now + Duration::days(90), now).relative, "in 90 days");
        assert_eq!(when(now, now).relative, "just now");
    }

    #[test]
    fn numbers_are_grouped_and_delays_are_short() {
        assert_eq!((count(0), count(999), count(20_000), count(1_234_567)), ("0".into(), "999".into(), "20,000".into(), "1,234,567".into()));
        assert_eq!((delay(None), delay(Some(0.42)), delay(Some(12.3)), delay(Some(400.0))), ("\u{2013}".into(), "0.4 s".into(), "12 s".into(), "6 min".into()));
        assert_eq!(delay(Some(f64::NAN)), "\u{2013}");
    }
}
