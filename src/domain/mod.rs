//! The words of the product: post, label, scores, analysis.

mod role;

pub use role::{Right, Role, is_user_name};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One public post as an observer saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Platform name in lower case: `rss`, `mastodon`, `import`, …
    pub platform: String,
    /// Identifier given by the platform; unique within `platform`.
    pub id: String,
    /// Public address of the post, if it has one.
    pub url: Option<String>,
    /// Author's public handle, if known.
    pub author: Option<String>,
    /// BCP 47 language tag given by the platform, if any.
    pub lang: Option<String>,
    /// Plain text, at most [`Post::MAX_TEXT`] bytes.
    pub text: String,
    /// When the platform says that it was published.
    pub published_at: DateTime<Utc>,
    /// When the observer saw it.
    pub observed_at: DateTime<Utc>,
}

impl Post {
    /// Longest text that is carried, in bytes; observers cut at a character boundary.
    pub const MAX_TEXT: usize = 64 * 1024;

    /// The key that makes a post unique everywhere: `platform:id`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.platform, self.id)
    }

    /// Names this post among all stored ones.
    pub fn reference(&self) -> PostRef {
        PostRef { day: self.published_at.date_naive(), key: self.key() }
    }

    /// SHA-256 of the text, in lower-case hex: what loss and doubling tests compare.
    pub fn text_hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }
}

/// Names a stored post; the day tells the store where to look. Written `2026-11-25/platform:id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostRef {
    /// The day, in UTC, on which it was published.
    pub day: NaiveDate,
    /// Its key: [`Post::key`].
    pub key: String,
}

impl std::fmt::Display for PostRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.day, self.key)
    }
}

impl std::str::FromStr for PostRef {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (day, key) = s.split_once('/').ok_or("a post is named by its day and its key")?;
        Ok(PostRef { day: day.parse().map_err(|e| format!("{day:?} is no day: {e}"))?, key: key.into() })
    }
}

/// What the classifier says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Neither of the other two.
    None,
    /// Abuse, insult or profanity that attacks nobody for a protected characteristic.
    Offensive,
    /// An attack on people for a protected characteristic.
    Hate,
}

impl Label {
    /// All labels in the order of [`Scores`].
    pub const ALL: [Label; 3] = [Label::None, Label::Offensive, Label::Hate];

    /// The label's word, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Label::None => "none",
            Label::Offensive => "offensive",
            Label::Hate => "hate",
        }
    }
}

impl std::str::FromStr for Label {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Label::ALL.into_iter().find(|l| l.as_str() == s).ok_or_else(|| format!("unknown label {s:?}"))
    }
}

/// Probabilities of none, offensive and hate; they add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Probability of [`Label::None`].
    pub none: f32,
    /// Probability of [`Label::Offensive`].
    pub offensive: f32,
    /// Probability of [`Label::Hate`].
    pub hate: f32,
}

/// The result for one post.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The post that was analysed.
    pub post: Post,
    /// The decision.
    pub label: Label,
    /// The probabilities behind it.
    pub scores: Scores,
    /// `name@version` of the model.
    pub model: String,
    /// When it was analysed.
    pub analyzed_at: DateTime<Utc>,
}

/// A message that cannot be analysed, set aside with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Topic partition it came from.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// Why, without any of its text: `not-json`, `too-long`, …
    pub reason: String,
    /// The bytes as they came, cut at 64 KiB.
    pub raw: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_was_written_whatever_the_key_holds() {
        let one = PostRef { day: NaiveDate::from_ymd_opt(2026, 11, 25).unwrap(), key: "rss:https://a.example/x/y".into() };
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!(["", "x", "2026-11-25", "2026-13-01/a"].iter().all(|s| s.parse::<PostRef>().is_err()));
    }
}
