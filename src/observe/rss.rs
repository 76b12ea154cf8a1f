//! RSS and Atom: conditional requests, entries known by their identity.
//!
//! The cursor holds the validators of the last answer and when each entry was first seen; it is the date of an entry
//! that has none, so it is saved before the entry is handed on.

use super::{Page, Source, SourceError, sane_date, text};
use crate::domain::Post;
use crate::fetch::Client;
use chrono::{DateTime, Utc};
use feed_rs::model::{Entry, Feed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Entries that are remembered although the feed no longer shows them.
const REMEMBERED: usize = 2000;

/// One feed.
pub struct Rss {
    client: Client,
    feed: url::Url,
}

impl Rss {
    /// A source for the feed at `feed`.
    pub fn new(client: Client, feed: url::Url) -> Self {
        Rss { client, feed }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    etag: Option<String>,
    modified: Option<String>,
    /// Post identity to the moment when it was first seen.
    seen: BTreeMap<String, DateTime<Utc>>,
    /// Dates given to entries that have none and are not yet acknowledged.
    undated: BTreeMap<String, DateTime<Utc>>,
}

#[async_trait::async_trait]
impl Source for Rss {
    fn name(&self) -> String {
        format!("rss:{}", self.feed)
    }

    async fn next(&mut self, cursor: &Value, now: DateTime<Utc>) -> Result<Page, SourceError> {
        let state = State::deserialize(cursor).unwrap_or_default();
        let validators = [("if-none-match", &state.etag), ("if-modified-since", &state.modified)];
        let headers: Vec<(&str, &str)> = validators.iter().filter_map(|(n, v)| Some((*n, v.as_deref()?))).collect();
        let answer = self.client.get(&self.feed, &headers).await?;
        if answer.status == 304 {
            return Ok(Page { cursor: cursor.clone(), ..Page::default() });
        }
        let mut next = state.clone();
        next.etag = answer.header("etag").map(str::to_string);
        next.modified = answer.header("last-modified").map(str::to_string);
        let pause = crate::fetch::site_pause(&answer.headers, now);
        let page = page(&answer.body, &self.feed, state, next, now)?;
        Ok(Page { pause, ..page })
    }
}

/// Decides what is new in a feed's document. Pure: parsing and bookkeeping only.
fn page(body: &[u8], feed: &url::Url, old: State, mut next: State, now: DateTime<Utc>) -> Result<Page, SourceError> {
    let parsed = feed_rs::parser::Builder::new().base_uri(Some(feed.as_str())).build().parse(body);
    let parsed = parsed.map_err(|e| SourceError::Unreadable { what: format!("feed {}", feed.host_str().unwrap_or("?")), why: kind_of(&e).into() })?;
    let mut posts = Vec::new();
    let mut shown = Vec::new();
    let mut undated = BTreeMap::new();
    for entry in &parsed.entries {
        let id = identity(feed, &entry.id);
        shown.push(id.clone());
        if next.seen.insert(id.clone(), *old.seen.get(&id).unwrap_or(&now)).is_some() {
            continue;
        }
        let said = sane_date(entry.published.or(entry.updated), now);
        let published = said.unwrap_or_else(|| *undated.entry(id.clone()).or_insert(*old.undated.get(&id).unwrap_or(&now)));
        posts.extend(post(&parsed, entry, id, published, now));
    }
    forget(&mut next.seen, &shown);
    next.undated.clear();
    posts.sort_by(|a, b| (a.published_at, &a.id).cmp(&(b.published_at, &b.id)));
    let before = (undated != old.undated).then(|| serde_json::to_value(State { undated, ..old }).unwrap_or_default());
    let cursor = serde_json::to_value(&next).unwrap_or_default();
    Ok(Page { posts, before, cursor, ..Page::default() })
}

fn kind_of(e: &feed_rs::parser::ParseFeedError) -> &'static str {
    use feed_rs::parser::ParseFeedError as E;
    match e {
        E::ParseError(_) => "neither RSS nor Atom",
        E::IoError(_) => "cut short",
        E::JsonSerde(_) | E::JsonUnsupportedVersion(_) => "JSON feed of an unknown form",
        E::XmlReader(_) => "malformed XML",
    }
}

/// Identities of entries repeat between feeds unless they are addresses; long ones become a hash.
fn identity(feed: &url::Url, id: &str) -> String {
    let full = if id.contains("://") { id.to_string() } else { format!("{feed}#{id}") };
    if full.len() <= 512 && !full.contains(|c: char| c.is_control()) { full } else { format!("sha256:{}", hex::encode(Sha256::digest(full.as_bytes()))) }
}

fn post(feed: &Feed, entry: &Entry, id: String, published_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Post> {
    let title = entry.title.as_ref().map(|t| text::plain(&t.content)).unwrap_or_default();
    let body = entry.content.as_ref().and_then(|c| c.body.as_deref()).or(entry.summary.as_ref().map(|s| s.content.as_str()));
    let body = body.map(text::plain).unwrap_or_default();
    let whole = if body.starts_with(&title) || title.is_empty() { body } else { format!("{title}\n{body}") };
    let whole = text::bounded(whole.trim().to_string());
    (!whole.is_empty()).then(|| Post {
        platform: "rss".into(),
        id,
        url: entry.links.first().map(|l| l.href.clone()),
        author: entry.authors.first().or(feed.authors.first()).map(|a| a.name.clone()),
        lang: entry.language.clone().or(feed.language.clone()),
        text: whole,
        published_at,
        observed_at: now,
    })
}

/// Keeps what the feed shows, and of the rest the newest [`REMEMBERED`].
fn forget(seen: &mut BTreeMap<String, DateTime<Utc>>, shown: &[String]) {
    let shown: std::collections::HashSet<&String> = shown.iter().collect();
    let mut gone: Vec<(DateTime<Utc>, String)> = seen.iter().filter(|(id, _)| !shown.contains(id)).map(|(id, at)| (*at, id.clone())).collect();
    gone.sort();
    let surplus = gone.len().saturating_sub(REMEMBERED);
    for (_, id) in gone.into_iter().take(surplus) {
        seen.remove(&id);
    }
}

#[cfg(test)]
mod tests;
