//! Versioned JSON on Kafka and HTTP; unknown fields are ignored on reading.

use crate::domain::Post;
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
            m if m.post.text.contains('\0') || m.post.id.contains('\0') => Err("nul-byte"),
            m if m.post.text.len() > Post::MAX_TEXT || m.post.id.len() > 1024 => Err("too-long"),
            m => Ok(m),
        }
    }
}
