//! How many requests may still be made: our own limit, and the site's.

use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At most `limit` requests in any `window`.
pub struct Budget {
    limit: usize,
    window: Duration,
    taken: VecDeque<Instant>,
}

impl Budget {
    /// A budget that is still whole.
    pub fn new(limit: usize, window: Duration) -> Self {
        Budget { limit, window, taken: VecDeque::new() }
    }

    /// Takes one request at `now`, or says how long to wait before asking again.
    pub fn take(&mut self, now: Instant) -> Option<Duration> {
        while self.taken.front().is_some_and(|t| now.duration_since(*t) >= self.window) {
            self.taken.pop_front();
        }
        if self.taken.len() < self.limit {
            self.taken.push_back(now);
            return None;
        }
        self.taken.front().map(|first| self.window - now.duration_since(*first))
    }
}

/// How long the site's headers ask us to wait: `Retry-After` in seconds, or `X-RateLimit-Reset` once
/// `X-RateLimit-Remaining` is 0. At most 15 minutes, so that a wrong clock cannot silence an observer.
pub fn site_pause(headers: &http::HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let after = text("retry-after").and_then(|v| v.trim().parse::<u64>().ok()).map(Duration::from_secs);
    let spent = text("x-ratelimit-remaining").is_some_and(|v| v.trim() == "0");
    let reset = text("x-ratelimit-reset").filter(|_| spent).and_then(|v| until(v.trim(), now));
    after.or(reset).map(|d| d.min(Duration::from_secs(900)))
}

/// The reset moment is ISO 8601 (Mastodon) or seconds since 1970 (others).
fn until(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let at = match value.parse::<i64>() {
        Ok(unix) => DateTime::from_timestamp(unix, 0)?,
        Err(_) => DateTime::parse_from_rfc3339(value).ok()?.with_timezone(&Utc),
    };
    Some((at - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> http::HeaderMap {
        list.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_301st_request_of_a_minute_waits_for_the_first_to_age() {
        let mut b = Budget::new(300, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..300 {
            assert_eq!(b.take(start), None);
        }
        assert_eq!(b.take(start + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(b.take(start + Duration::from_secs(60)), None);
    }

    #[test]
    fn a_spent_site_limit_waits_until_its_reset_in_either_notation() {
        let now: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        let iso = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2026-01-02T03:05:05.000Z")]);
        assert_eq!(site_pause(&iso, now), Some(Duration::from_secs(60)));
        let unix = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &(now.timestamp() + 30).to_string())]);
        assert_eq!(site_pause(&unix, now), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_limit_that_is_not_spent_asks_for_no_pause_and_no_pause_exceeds_15_minutes() {
        let now = Utc::now();
        assert_eq!(site_pause(&headers(&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "2099-01-01T00:00:00Z")]), now), None);
        assert_eq!(site_pause(&headers(&[("retry-after", "86400")]), now), Some(Duration::from_secs(900)));
    }
}
