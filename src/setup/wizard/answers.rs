//! The answers, one a screen, as the page keeps them and `answers.toml` says them. No secret has a field here.

use crate::config::Settings;
use crate::setup::tongue::Tongue;
use serde::{Deserialize, Serialize};

/// The version of the answers that this program writes and reads.
pub const VERSION: u32 = 1;

/// All answers; what is not answered yet is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Always [`VERSION`].
    pub version: u32,
    /// Language and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub welcome: Option<Welcome>,
    /// The checks of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Checked>,
    /// What the site reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enroll: Option<Enroll>,
    /// What is observed and how long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
}

impl Default for Answers {
    fn default() -> Self {
        Answers { version: VERSION, welcome: None, check: None, network: None, enroll: None, sources: None }
    }
}

/// Language of the setup screens, and the name that the page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Language of the setup screens.
    pub language: Tongue,
    /// Name of the site, shown on top of every page; empty shows the node's name.
    #[serde(default)]
    pub site: String,
}

/// The checks of the host were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Whether the owner goes on although there are warnings.
    pub accept_warnings: bool,
}

/// What the site reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Whether there is an internet; without it no hub is asked for.
    pub internet: bool,
}

/// The hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// When.
    pub when: When,
}

/// When the node is enrolled at a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// It was done in the setup, with a token.
    Now,
    /// Later, on the page or with `antihate enroll`.
    Later,
}

/// What is observed and how long it is kept: the fields of `settings.toml` that the setup asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sources {
    /// Addresses of RSS and Atom feeds.
    pub feeds: Vec<String>,
    /// Addresses of servers that speak the Mastodon API.
    pub servers: Vec<String>,
    /// Whether the public timelines of these servers are read.
    pub public: bool,
    /// Hashtags that are read on these servers.
    pub hashtags: Vec<String>,
    /// Whether the import folder is read.
    pub import: bool,
    /// Whether the sample site runs and is observed.
    pub sample: bool,
    /// Languages that are kept, as BCP 47 tags; empty keeps all.
    pub languages: Vec<String>,
    /// Seconds between two looks at a source.
    pub poll_seconds: u32,
    /// Days after which stored posts are dropped.
    pub retention_days: u32,
}

impl Default for Sources {
    fn default() -> Self {
        Sources::of(&Settings::default())
    }
}

impl Sources {
    /// What the settings say at present.
    pub fn of(settings: &Settings) -> Sources {
        let s = &settings.sources;
        Sources {
            feeds: s.rss.iter().map(|f| f.url.to_string()).collect(),
            servers: s.mastodon.iter().map(|i| i.server.to_string()).collect(),
            public: s.mastodon.iter().any(|i| i.public),
            hashtags: s.hashtags.clone(),
            import: s.import.enabled,
            sample: settings.sample,
            languages: settings.languages.clone(),
            poll_seconds: s.poll_seconds,
            retention_days: settings.retention_days,
        }
    }
}
