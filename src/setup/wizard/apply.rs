//! From answers to `settings.toml`, which the running node follows (`host::wish`). What the setup does not ask for stays as it was.

use super::answers::{Answers, Sources};
use super::refusal::Refusal;
use crate::config::{Feed, Instance, Settings, Valid, load, save_text};
use crate::files;
use crate::status::Problem;
use std::path::Path;
use url::Url;

/// The settings with the answers in them, checked.
pub fn settings(answers: &Answers, now: Settings) -> Result<Valid, Refusal> {
    let Some(wish) = &answers.sources else { return Valid::check(now).map_err(Refusal::Given) };
    Valid::check(with(wish, now)?).map_err(Refusal::Given)
}

fn with(wish: &Sources, mut now: Settings) -> Result<Settings, Refusal> {
    let bare = wish.hashtags.is_empty() && !wish.public;
    if bare && wish.servers.iter().any(|s| !has_own_hashtags(&now, s)) {
        return Err(Refusal::own("SET-105"));
    }
    let (feeds, servers) = (addresses(&wish.feeds)?, addresses(&wish.servers)?);
    let old = std::mem::take(&mut now.sources);
    now.sources.rss = feeds.into_iter().map(|url| kept(&old.rss, |f| f.url == url).unwrap_or(Feed { url, language: None })).collect();
    now.sources.mastodon = servers
        .into_iter()
        .map(|server| {
            let hashtags = kept(&old.mastodon, |i| i.server == server).map(|i| i.hashtags).unwrap_or_default();
            Instance { server, hashtags, public: wish.public }
        })
        .collect();
    now.sources.hashtags.clone_from(&wish.hashtags);
    now.sources.import.enabled = wish.import;
    now.sources.poll_seconds = wish.poll_seconds;
    now.sample = wish.sample;
    now.languages.clone_from(&wish.languages);
    now.retention_days = wish.retention_days;
    Ok(now)
}

/// What is known of a source beyond what the setup asks for.
fn kept<T: Clone>(old: &[T], same: impl Fn(&T) -> bool) -> Option<T> {
    old.iter().find(|o| same(o)).cloned()
}

fn has_own_hashtags(settings: &Settings, server: &str) -> bool {
    let server = Url::parse(server).ok();
    settings.sources.mastodon.iter().any(|i| Some(&i.server) == server.as_ref() && !i.hashtags.is_empty())
}

/// People write `example.org` where `https://example.org` is meant.
fn addresses(lines: &[String]) -> Result<Vec<Url>, Refusal> {
    let read = |line: &String| {
        let whole = if line.contains("://") { line.clone() } else { format!("https://{line}") };
        Url::parse(&whole).map_err(|_| Refusal::about("SET-109", line))
    };
    lines.iter().map(read).collect()
}

/// Writes the answers into the settings of the data root; returns whether that changed anything. Done twice, it is done once.
pub fn write(data: &Path, answers: &Answers) -> Result<bool, Problem> {
    let path = data.join("settings.toml");
    let before = load(&path)?;
    let wanted = settings(answers, before.clone().into_inner()).map_err(|r| r.english())?;
    if wanted == before {
        return Ok(false); // a file that a person wrote, comments and all, stays as it is
    }
    let failed = |e: std::io::Error| Problem::new("SET-113", "The settings were not written", format!("{}: {e}", path.display()), "Make room on the data disk and try again.");
    files::replace_if_changed(&path, save_text(&wanted.into_inner()).as_bytes(), 0o600).map_err(failed)
}
