//! What the observers' pods read: `/etc/antihate/observer.toml`, one type on both sides.

use super::resolved::Resolved;
use super::settings::{Feed, Instance};
use crate::status::Problem;
use serde::{Deserialize, Serialize};

/// The file mounted into every observer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The geography that is observed.
    pub geography: String,
    /// Languages that are kept, as lower-case BCP 47 tags; empty keeps all.
    pub languages: Vec<String>,
    /// Hashtags without `#`, for servers that name none of their own.
    pub hashtags: Vec<String>,
    /// Seconds between two looks at a source.
    pub poll_seconds: u32,
    /// RSS and Atom feeds.
    #[serde(default)]
    pub rss: Vec<Feed>,
    /// Servers that speak the Mastodon API.
    #[serde(default)]
    pub mastodon: Vec<Instance>,
}

impl Observation {
    /// What the observers of this node observe: the settings, and the sample site where it runs.
    pub fn of(resolved: &Resolved) -> Observation {
        let sources = &resolved.settings.sources;
        let mut observation = Observation {
            geography: resolved.geography().to_string(),
            languages: resolved.settings.languages.clone(),
            hashtags: sources.hashtags.clone(),
            poll_seconds: sources.poll_seconds,
            rss: sources.rss.clone(),
            mastodon: sources.mastodon.clone(),
        };
        if resolved.settings.sample {
            let site = url::Url::parse(SAMPLE_SITE).expect("a constant address");
            observation.rss.push(Feed { url: site.join("feed.rss").expect("a constant path"), language: None });
            observation.mastodon.push(Instance { server: site, hashtags: Vec::new(), public: true });
            // The sample is for looking at: it should be seen soon.
            observation.poll_seconds = observation.poll_seconds.min(5);
        }
        observation
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Observation, Problem> {
        toml::from_str(text).map_err(|e| {
            Problem::new("CFG-110", "observer.toml is not understood", e.message(), "Let the node render it again: it comes from the config map observer-config.")
        })
    }

    /// The file's text.
    pub fn render(&self) -> String {
        toml::to_string(self).expect("an observation holds only what TOML can say")
    }
}

/// Address of the sample site inside the cluster.
const SAMPLE_SITE: &str = "http://sample.antihate-coordination.svc.cluster.local:8080/";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostFacts, Valid};

    #[test]
    fn the_sample_site_is_observed_only_where_it_runs_and_the_file_reads_back() {
        for (text, feeds) in [("", 0), ("sample = true", 1)] {
            let resolved = Resolved::new(Valid::parse(text).unwrap(), HostFacts::example());
            let observation = Observation::of(&resolved);
            assert_eq!((observation.rss.len(), observation.mastodon.len()), (feeds, feeds));
            assert_eq!(Observation::parse(&observation.render()).unwrap(), observation);
        }
    }
}
