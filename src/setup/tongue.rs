//! Languages of the setup screens: catalogues of words, one file a language, complete by test, and which of them a reader gets.

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The cookie that remembers a choice in one browser.
pub const COOKIE: &str = "__Host-antihate-language";

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tongue {
    /// English.
    En,
    /// Spanish.
    Es,
    /// German.
    De,
    /// Arabic, from right to left.
    Ar,
}

/// The words of a language by key.
pub type Words = BTreeMap<String, String>;

static CATALOGUES: LazyLock<BTreeMap<Tongue, Words>> =
    LazyLock::new(|| Tongue::ALL.into_iter().map(|t| (t, toml::from_str(t.source()).expect("a test reads every catalogue"))).collect());

impl Tongue {
    /// All languages, in the order in which they are offered.
    pub const ALL: [Tongue; 4] = [Tongue::En, Tongue::Es, Tongue::De, Tongue::Ar];

    /// Its BCP 47 tag.
    pub fn tag(self) -> &'static str {
        ["en", "es", "de", "ar"][self as usize]
    }

    /// Its name in itself.
    pub fn own_name(self) -> &'static str {
        ["English", "Español", "Deutsch", "العربية"][self as usize]
    }

    /// Where a line begins: `ltr` or `rtl`.
    pub fn direction(self) -> &'static str {
        if self == Tongue::Ar { "rtl" } else { "ltr" }
    }

    fn source(self) -> &'static str {
        match self {
            Tongue::En => include_str!("../../web/words/en.toml"),
            Tongue::Es => include_str!("../../web/words/es.toml"),
            Tongue::De => include_str!("../../web/words/de.toml"),
            Tongue::Ar => include_str!("../../web/words/ar.toml"),
        }
    }

    /// Reads a tag; regions do not matter.
    pub fn parse(tag: &str) -> Option<Tongue> {
        let first = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Tongue::ALL.into_iter().find(|t| t.tag().eq_ignore_ascii_case(first))
    }

    /// All its words.
    pub fn words(self) -> &'static Words {
        &CATALOGUES[&self]
    }

    /// One of them; a key that is missing shows itself, and a test finds it before.
    pub fn word(self, key: &str) -> String {
        self.words().get(key).cloned().unwrap_or_else(|| key.to_owned())
    }

    /// The language of a request: what this browser chose, else what the owner answered, else what the browser prefers.
    pub fn of(headers: &HeaderMap, answered: Option<Tongue>) -> Tongue {
        let chosen = headers.get_all(header::COOKIE).iter().filter_map(|c| c.to_str().ok()).flat_map(|c| c.split(';'));
        let chosen = chosen.filter_map(|c| c.trim().split_once('=')).find(|(name, _)| *name == COOKIE).and_then(|(_, tag)| Tongue::parse(tag));
        let wished = || headers.get(header::ACCEPT_LANGUAGE).and_then(|h| h.to_str().ok()).and_then(preferred);
        chosen.or(answered).or_else(wished).unwrap_or(Tongue::En)
    }
}

/// The best of an `Accept-Language` header that we have.
fn preferred(header: &str) -> Option<Tongue> {
    let read = |part: &str| {
        let (tag, quality) = part.split_once(";q=").unwrap_or((part, "1"));
        let quality: f32 = quality.trim().parse().ok()?;
        Tongue::parse(tag).filter(|_| quality > 0.0).map(|t| (quality, t))
    };
    let all: Vec<(f32, Tongue)> = header.split(',').filter_map(read).collect();
    let best = all.iter().map(|(q, _)| *q).fold(0.0, f32::max);
    all.into_iter().find(|(q, _)| *q == best).map(|(_, t)| t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;
    use std::collections::BTreeSet;

    fn places(text: &str) -> BTreeSet<String> {
        Regex::new(r"\{[a-z]+\}").expect("pattern").find_iter(text).map(|m| m.as_str().to_owned()).collect()
    }

    #[test]
    fn every_language_has_every_key_with_the_same_places_to_fill() {
        let english = Tongue::En.words();
        for tongue in Tongue::ALL {
            let own = tongue.words();
            assert_eq!(english.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>(), "{}", tongue.tag());
            for (key, text) in own {
                assert!(!text.trim().is_empty() && places(text) == places(&english[key]), "{} {key}", tongue.tag());
                let untranslated = tongue != Tongue::En && *text == english[key] && text.split(' ').count() > 2;
                assert!(!untranslated, "{} {key} is English", tongue.tag());
            }
        }
    }

    #[test]
    fn every_key_that_is_used_exists_and_every_key_is_used() {
        let sources = crate::setup::render::setup_templates().map(|(_, text)| text).collect::<String>();
        let used: BTreeSet<String> = Regex::new(r"\bt\.([a-z0-9_]+)").expect("pattern").captures_iter(&sources).map(|c| c[1].to_owned()).collect();
        let missing: Vec<_> = used.iter().filter(|k| !Tongue::En.words().contains_key(*k)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let code = ["set_", "step_", "state_", "group_", "title_", "time_"];
        let idle: Vec<_> = Tongue::En.words().keys().filter(|k| !used.contains(*k) && !code.iter().any(|c| k.starts_with(c))).collect();
        assert!(idle.is_empty(), "nobody shows {idle:?}");
    }

    #[test]
    fn every_step_of_the_host_and_every_group_of_checks_has_a_word() {
        let steps = crate::host::board::STEPS.map(|(id, _)| format!("step_{id}"));
        let groups = crate::status::check::Group::ALL.map(|g| format!("group_{}", g.name().replace('-', "_")));
        for key in steps.into_iter().chain(groups) {
            assert!(Tongue::En.words().contains_key(&key), "{key}");
        }
    }

    #[test]
    fn a_choice_counts_before_the_answer_and_the_answer_before_the_browser() {
        let headers = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.parse().expect("name"), v.parse().expect("value"))).collect::<HeaderMap>();
        let wish = ("accept-language", "fr, de;q=0.7, es-MX;q=0.9");
        assert_eq!(Tongue::of(&headers(&[wish]), None), Tongue::Es);
        assert_eq!(Tongue::of(&headers(&[wish]), Some(Tongue::De)), Tongue::De);
        let chosen = ("cookie", "a=b; __Host-antihate-language=ar");
        assert_eq!(Tongue::of(&headers(&[wish, chosen]), Some(Tongue::De)), Tongue::Ar);
        assert_eq!(Tongue::of(&headers(&[("accept-language", "fr, en;q=0, *")]), None), Tongue::En);
    }
}
