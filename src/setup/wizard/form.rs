//! From the fields of a form to an answer. Pure: what is wrong is refused with a code, and the reader keeps what was typed.

use super::answers::{Checked, Enroll, Network, Sources, Welcome, When};
use super::refusal::Refusal;
use super::state::{Answer, Screen, State};
use crate::config::Settings;
use crate::setup::tongue::Tongue;
use chrono::Utc;
use std::collections::BTreeMap;

/// Longest name of a site, in characters.
const NAME: usize = 60;

/// The fields of a form by name; a field that comes twice counts once.
pub type Fields = BTreeMap<String, String>;

/// What the form of a screen says.
pub fn answer(screen: Screen, fields: &Fields) -> Result<Answer, Refusal> {
    let text = |name: &str| fields.get(name).map_or("", |v| v.trim());
    Ok(match screen {
        Screen::Welcome => Answer::Welcome(welcome(text("language"), text("site"))?),
        Screen::Check => Answer::Check(Checked { accept_warnings: fields.contains_key("accept") }),
        Screen::Network => Answer::Network(Network { internet: one_of(text("internet"), &[("yes", true), ("no", false)])? }),
        Screen::Enroll => Answer::Enroll(Enroll { when: one_of(text("when"), &[("now", When::Now), ("later", When::Later)])? }),
        Screen::Sources => Answer::Sources(sources(fields)?),
        Screen::Review => Answer::Review(Utc::now()),
        Screen::Install => Answer::Install,
        Screen::Done if fields.contains_key("kept") => Answer::Done(Utc::now()),
        Screen::Done => return Err(Refusal::own("SET-110")),
    })
}

/// Checks the first answer; the same for the page and for a file.
pub fn welcome(language: &str, site: &str) -> Result<Welcome, Refusal> {
    let language = Tongue::parse(language).ok_or_else(|| Refusal::about("SET-106", language))?;
    let bad = site.chars().count() > NAME || site.chars().any(char::is_control);
    if bad { Err(Refusal::own("SET-107")) } else { Ok(Welcome { language, site: site.to_owned() }) }
}

fn one_of<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, Refusal> {
    choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| Refusal::about("SET-106", word))
}

fn sources(fields: &Fields) -> Result<Sources, Refusal> {
    let text = |name: &str| fields.get(name).map_or("", |v| v.as_str());
    let list = |name: &str| text(name).split([' ', ',', '\n', '\r', '\t']).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let number = |name: &str| text(name).trim().parse::<u32>().map_err(|_| Refusal::about("SET-108", text(name).trim()));
    Ok(Sources {
        feeds: list("feeds"),
        servers: list("servers"),
        public: fields.contains_key("public"),
        hashtags: list("hashtags"),
        import: fields.contains_key("import"),
        sample: fields.contains_key("sample"),
        languages: list("languages"),
        poll_seconds: number("poll_seconds")?,
        retention_days: number("retention_days")?,
    })
}

/// What the fields of all screens hold: what was typed, else what was answered, else what the settings say.
pub fn values(state: &State, settings: &Settings, typed: Option<&Fields>) -> Fields {
    let a = &state.answers;
    let sources = a.sources.clone().unwrap_or_else(|| Sources::of(settings));
    let yes = |on: bool| if on { "yes" } else { "" };
    let internet = a.network.as_ref().map_or("", |n| if n.internet { "yes" } else { "no" });
    let when = a.enroll.as_ref().map_or("", |e| if e.when == When::Now { "now" } else { "later" });
    let answered = [
        ("site", a.welcome.as_ref().map_or(String::new(), |w| w.site.clone())),
        ("accept", yes(a.check.as_ref().is_some_and(|c| c.accept_warnings)).into()),
        ("internet", internet.into()),
        ("when", when.into()),
        ("feeds", sources.feeds.join("\n")),
        ("servers", sources.servers.join("\n")),
        ("public", yes(sources.public).into()),
        ("hashtags", sources.hashtags.join(" ")),
        ("import", yes(sources.import).into()),
        ("sample", yes(sources.sample).into()),
        ("languages", sources.languages.join(" ")),
        ("poll_seconds", sources.poll_seconds.to_string()),
        ("retention_days", sources.retention_days.to_string()),
        ("kept", String::new()),
    ];
    let said = |name: &str, own: String| typed.map_or(own, |t| t.get(name).cloned().unwrap_or_default());
    answered.into_iter().map(|(name, own)| (name.to_owned(), said(name, own))).collect()
}
