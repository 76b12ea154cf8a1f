//! Versioned JSON on Kafka and HTTP; unknown fields are ignored on reading.

use crate::domain::Post;
use chrono::Datelike;
use serde::{Deserialize, Serialize};

/// Name of the topic between observers and analyzers.
pub const ANALYSIS_QUEUE: &str = "analysis-queue";

/// A post on the topic; the Kafka key is [`Post::key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMessage {
    /// Format version; readers refuse what they do not know.
    pub v: u32,
    /// The geography of the observer.
    pub geography: String,
    /// The post.
    pub post: Post,
}

impl QueueMessage {
    /// The version that this build writes.
    pub const VERSION: u32 = 1;

    /// Reads a message; the error is a stable reason without any of the content.
    pub fn decode(raw: &[u8]) -> Result<QueueMessage, &'static str> {
        if raw.len() > 4 * Post::MAX_TEXT {
            return Err("too-long");
        }
        let message: QueueMessage = serde_json::from_slice(raw).map_err(|e| {
            if e.is_data() { "wrong-shape" } else { "not-json" }
        })?;
        match message {
            m if m.v != QueueMessage::VERSION => Err("unknown-version"),
            m if m.post.id.is_empty() || m.post.platform.is_empty() => Err("no-identity"),
            m if m.words().any(|w| w.contains('\0')) => Err("nul-byte"),
            m if m.post.text.len() > Post::MAX_TEXT || m.post.id.len() > 1024 || m.post.platform.len() > 64 => Err("too-long"),
            m if !m.has_sane_dates() => Err("wrong-date"),
            m => Ok(m),
        }
    }

    /// Every text in the message; a database takes none with a NUL in it.
    fn words(&self) -> impl Iterator<Item = &String> {
        let p = &self.post;
        [&p.platform, &p.id, &p.text, &self.geography].into_iter().chain(&p.url).chain(&p.author).chain(&p.lang)
    }

    /// The publication date names the partition in which a post is unique: it must be one that a calendar has.
    fn has_sane_dates(&self) -> bool {
        let sane = |at: chrono::DateTime<chrono::Utc>| (1..=9999).contains(&at.year());
        let (published, observed) = (self.post.published_at, self.post.observed_at);
        sane(published) && sane(observed) && published <= observed + chrono::Duration::days(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> QueueMessage {
        let at = "2026-03-01T08:00:00Z".parse().expect("a date");
        let post = Post { platform: "rss".into(), id: "1".into(), url: None, author: None, lang: None, text: "Hello".into(), published_at: at, observed_at: at };
        QueueMessage { v: 1, geography: "here".into(), post }
    }

    fn decode(m: &QueueMessage) -> Result<QueueMessage, &'static str> {
        QueueMessage::decode(&serde_json::to_vec(m).expect("it is JSON"))
    }

    #[test]
    fn what_was_written_is_read_and_unknown_fields_are_ignored() {
        assert_eq!(decode(&message()), Ok(message()));
        let with_more = serde_json::to_string(&message()).unwrap_or_default().replacen('{', "{\"later\":1,", 1);
        assert_eq!(QueueMessage::decode(with_more.as_bytes()), Ok(message()));
    }

    #[test]
    fn each_poison_has_its_reason() {
        let with = |change: fn(&mut QueueMessage)| {
            let mut m = message();
            change(&mut m);
            decode(&m).map(|_| ())
        };
        assert_eq!(QueueMessage::decode(b"{"), Err("not-json"));
        assert_eq!(QueueMessage::decode(b"{}"), Err("wrong-shape"));
        assert_eq!(with(|m| m.v = 2), Err("unknown-version"));
        assert_eq!(with(|m| m.post.id.clear()), Err("no-identity"));
        assert_eq!(with(|m| m.post.author = Some("a\0".into())), Err("nul-byte"));
        assert_eq!(with(|m| m.post.text = "x".repeat(Post::MAX_TEXT + 1)), Err("too-long"));
        assert_eq!(with(|m| m.post.published_at += chrono::Duration::days(2)), Err("wrong-date"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_bytes_make_the_reader_panic(cut in 0usize..400, noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24)) {
            let mut raw = serde_json::to_vec(&message()).expect("it is JSON");
            let cut = cut.min(raw.len());
            raw.splice(cut..(cut + noise.len()).min(raw.len()).max(cut), noise);
            let _ = QueueMessage::decode(&raw);
        }
    }
}
