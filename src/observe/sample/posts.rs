//! The posts of the sample site: number `n` is always the same post.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Sentences by language, from `posts.toml`: openings, middles and endings that go together.
#[derive(Deserialize)]
struct Language {
    tags: Vec<String>,
    openings: Vec<String>,
    middles: Vec<String>,
    endings: Vec<String>,
}

/// All that the sample site can say.
pub struct Catalogue(Vec<(String, Language)>);

/// One post of the sample site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplePost {
    /// Its number.
    pub n: u64,
    /// Language tag.
    pub lang: String,
    /// Public handle.
    pub author: String,
    /// Hashtag without `#`.
    pub tag: String,
    /// Plain text.
    pub text: String,
    /// When it was published.
    pub at: DateTime<Utc>,
}

const AUTHORS: [&str; 12] = ["ada", "bruno", "chidi", "dalia", "emre", "fatima", "goran", "hana", "ines", "joão", "kwame", "lucía"];

impl Catalogue {
    /// Reads the catalogue that the binary carries.
    pub fn load() -> Catalogue {
        let all: BTreeMap<String, Language> = toml::from_str(include_str!("posts.toml")).expect("a test reads the catalogue");
        Catalogue(all.into_iter().collect())
    }

    /// Post number `n`, published at `at`. Neighbours differ in language; the words repeat only after some thousands.
    pub fn post(&self, n: u64, at: DateTime<Utc>) -> SamplePost {
        let (lang, words) = &self.0[n as usize % self.0.len()];
        let k = mix(n) as usize;
        let pick = |list: &[String], k: usize| list[k % list.len()].clone();
        let text = format!("{} {} {}", pick(&words.openings, k), pick(&words.middles, k >> 12), pick(&words.endings, k >> 24));
        let author = AUTHORS[(k >> 36) % AUTHORS.len()].to_string();
        SamplePost { n, lang: lang.clone(), author, tag: pick(&words.tags, k >> 42), text: format!("{text} ({n})"), at }
    }
}

/// SplitMix64: spreads neighbouring numbers.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_gives_the_same_post() {
        let at = "2026-03-01T08:00:00Z".parse().unwrap();
        assert_eq!(Catalogue::load().post(77, at), Catalogue::load().post(77, at));
    }

    #[test]
    fn the_first_posts_cover_every_language_and_differ() {
        let c = Catalogue::load();
        let posts: Vec<SamplePost> = (0..400).map(|n| c.post(n, Utc::now())).collect();
        let texts: std::collections::HashSet<&str> = posts.iter().map(|p| p.text.as_str()).collect();
        let langs: std::collections::BTreeSet<&str> = posts.iter().map(|p| p.lang.as_str()).collect();
        assert_eq!((texts.len(), langs.len()), (400, c.0.len()));
        assert!(langs.len() >= 6);
    }
}
