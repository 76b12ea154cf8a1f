//! Mastodon: the public timeline and hashtag timelines, paged forward by `min_id`.
//!
//! The cursor is the newest status that was acknowledged. `min_id` returns what follows it immediately, so
//! nothing between two rounds is skipped however much was posted meanwhile.

use super::{Page, Source, SourceError, sane_date, text};
use crate::domain::Post;
use crate::fetch::Client;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

/// Statuses a request; the API's maximum.
const PAGE: usize = 40;

/// One timeline of one instance.
pub struct Mastodon {
    client: Client,
    base: url::Url,
    tag: Option<String>,
    token: Option<String>,
    backfill: bool,
}

impl Mastodon {
    /// The timeline of `tag`, or the public one. `backfill` reads from the beginning instead of from the newest page.
    pub fn new(client: Client, base: url::Url, tag: Option<&str>, token: Option<String>, backfill: bool) -> Self {
        let tag = tag.map(|t| t.trim().trim_start_matches('#').to_string());
        Mastodon { client, base, tag, token, backfill }
    }

    fn address(&self, min_id: Option<&str>) -> url::Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "timelines"]);
            match &self.tag {
                Some(tag) => path.extend(["tag", tag]),
                None => path.push("public"),
            };
        }
        url.query_pairs_mut().append_pair("limit", &PAGE.to_string());
        if let Some(id) = min_id {
            url.query_pairs_mut().append_pair("min_id", id);
        }
        url
    }
}

#[derive(Deserialize)]
struct Status {
    id: String,
    uri: Option<String>,
    url: Option<String>,
    created_at: DateTime<Utc>,
    #[serde(default)]
    content: String,
    #[serde(default)]
    spoiler_text: String,
    language: Option<String>,
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    acct: String,
}

#[async_trait::async_trait]
impl Source for Mastodon {
    fn name(&self) -> String {
        format!("mastodon:{}{}", self.base, self.tag.as_ref().map(|t| format!("#{t}")).unwrap_or_default())
    }

    async fn next(&mut self, cursor: &Value, now: DateTime<Utc>) -> Result<Page, SourceError> {
        let known = cursor["min_id"].as_str().map(str::to_string);
        let min_id = known.or(self.backfill.then(|| "0".to_string()));
        let bearer = self.token.as_ref().map(|t| format!("Bearer {t}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
        let answer = self.client.get(&self.address(min_id.as_deref()), &headers).await?;
        let mut page = page(&answer.body, &self.base, cursor, now)?;
        page.more = min_id.is_some() && answer.header("link").is_some_and(has_newer) && page.cursor != *cursor;
        page.pause = crate::fetch::site_pause(&answer.headers, now);
        Ok(page)
    }
}

/// Whether a `Link` header names a newer page.
fn has_newer(link: &str) -> bool {
    link.split(',').any(|part| part.contains("rel=\"prev\"") || part.contains("rel=prev"))
}

/// Reads a timeline's answer; a status that cannot be read is counted and passed, and the cursor moves over it.
fn page(body: &[u8], base: &url::Url, cursor: &Value, now: DateTime<Utc>) -> Result<Page, SourceError> {
    let unreadable = |why: &str| SourceError::Unreadable { what: format!("timeline of {}", base.host_str().unwrap_or("?")), why: why.into() };
    let list: Vec<Value> = serde_json::from_slice(body).map_err(|_| unreadable("no list of statuses"))?;
    let mut newest = cursor["min_id"].as_str().unwrap_or("").to_string();
    let mut page = Page::default();
    for raw in list {
        let id = raw["id"].as_str().unwrap_or("").to_string();
        if later(&id, &newest) {
            newest = id;
        }
        match Status::deserialize(&raw) {
            Ok(status) => page.posts.extend(post(status, base, now)),
            Err(_) => page.bad.push("status"),
        }
    }
    page.posts.reverse();
    page.cursor = if newest.is_empty() { cursor.clone() } else { json!({ "min_id": newest }) };
    Ok(page)
}

/// Identifiers are numbers of growing length: the longer one is later, then the greater one.
fn later(a: &str, b: &str) -> bool {
    (a.len(), a) > (b.len(), b)
}

fn post(status: Status, base: &url::Url, now: DateTime<Utc>) -> Option<Post> {
    let body = [status.spoiler_text.trim().to_string(), text::plain(&status.content)];
    let whole = body.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n");
    let local = format!("{}/{}", base.host_str().unwrap_or("?"), status.id);
    let uri = status.uri.filter(|u| !u.is_empty() && u.len() <= 512 && !u.contains(|c: char| c.is_control()));
    let published = sane_date(Some(status.created_at), now).unwrap_or(DateTime::UNIX_EPOCH);
    (!whole.is_empty()).then(|| Post {
        platform: "mastodon".into(),
        id: uri.unwrap_or(local),
        url: status.url,
        author: status.account.map(|a| a.acct),
        lang: status.language,
        text: text::bounded(whole),
        published_at: published,
        observed_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> url::Url {
        "https://social.example".parse().unwrap()
    }

    fn status(id: u32) -> Value {
        json!({"id": id.to_string(), "uri": format!("https://social.example/s/{id}"), "url": null, "created_at": "2026-03-01T08:00:00.000Z",
               "content": "<p>Good <br>morning</p>", "spoiler_text": "", "language": "en", "account": {"acct": "ada"}, "extra": [1]})
    }

    fn read(list: Value, cursor: &Value) -> Page {
        page(list.to_string().as_bytes(), &base(), cursor, "2026-03-02T00:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_timeline_becomes_posts_oldest_first_and_the_cursor_is_the_newest() {
        let got = read(json!([status(1000), status(999)]), &Value::Null);
        assert_eq!(got.posts.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["https://social.example/s/999", "https://social.example/s/1000"]);
        assert_eq!(got.cursor, json!({"min_id": "1000"}));
        assert_eq!(got.posts[0].text, "Good\nmorning");
    }

    #[test]
    fn a_status_of_a_wrong_shape_is_counted_and_passed() {
        let got = read(json!([{"id": "7", "created_at": 5}, status(6)]), &Value::Null);
        assert_eq!((got.posts.len(), got.bad, got.cursor), (1, vec!["status"], json!({"min_id": "7"})));
    }

    #[test]
    fn an_empty_answer_keeps_the_cursor() {
        let cursor = json!({"min_id": "44"});
        assert_eq!(read(json!([]), &cursor).cursor, cursor);
    }

    #[test]
    fn a_newer_page_is_seen_in_the_link_header() {
        assert!(has_newer("<https://s.example/x?max_id=1>; rel=\"next\", <https://s.example/x?min_id=9>; rel=\"prev\""));
        assert!(!has_newer("<https://s.example/x?max_id=1>; rel=\"next\""));
    }

    #[test]
    fn addresses_name_the_timeline_the_page_size_and_the_cursor() {
        let client = Client::new(crate::fetch::Limits::default()).unwrap();
        let tagged = Mastodon::new(client.clone(), base(), Some("#grüße"), None, true);
        assert_eq!(tagged.address(Some("5")).as_str(), "https://social.example/api/v1/timelines/tag/gr%C3%BC%C3%9Fe?limit=40&min_id=5");
        let public = Mastodon::new(client, base(), None, None, false);
        assert_eq!(public.address(None).as_str(), "https://social.example/api/v1/timelines/public?limit=40");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5000))]
        #[test]
        fn no_answer_makes_the_reader_panic(cut in 0usize..900, noise in "[\\PC\\[\\]{}\",:0-9]{0,30}") {
            let mut body = json!([status(3), status(2)]).to_string().into_bytes();
            let cut = cut.min(body.len());
            body.splice(cut..(cut + noise.len()).min(body.len()).max(cut), noise.bytes());
            let _ = page(&body, &base(), &Value::Null, Utc::now());
        }
    }
}
