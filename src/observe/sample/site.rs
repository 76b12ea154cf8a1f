//! The HTTP face of the sample site.

use super::posts::{Catalogue, SamplePost};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many posts there are, and when.
#[derive(Clone)]
pub struct Site {
    catalogue: Arc<Catalogue>,
    start: DateTime<Utc>,
    rate: f64,
    count: Option<u64>,
    window: u64,
}

impl Site {
    /// Posts appear at `rate` a second without end; the last 300 are there to be read. The same on every start.
    pub fn endless(rate: f64) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().unwrap_or_default();
        Site { catalogue: Arc::new(Catalogue::load()), start, rate: rate.clamp(0.001, 1000.0), count: None, window: 300 }
    }

    /// Exactly `count` posts, published a moment apart before `end`, all of them there from the beginning.
    pub fn bulk(count: u64, end: DateTime<Utc>) -> Self {
        let start = end - TimeDelta::milliseconds(count as i64 * 10 + 1000);
        Site { catalogue: Arc::new(Catalogue::load()), start, rate: 100.0, count: Some(count), window: u64::MAX }
    }

    /// The numbers that exist at `now`: first, and one after the last.
    fn range(&self, now: DateTime<Utc>) -> (u64, u64) {
        let age = (now - self.start).num_milliseconds().max(0) as f64 / 1000.0;
        let end = self.count.unwrap_or((age * self.rate) as u64);
        (end.saturating_sub(self.window), end)
    }

    /// Post number `n`.
    pub fn post(&self, n: u64) -> SamplePost {
        let at = self.start + TimeDelta::milliseconds((n as f64 / self.rate * 1000.0) as i64);
        self.catalogue.post(n, at)
    }

    /// The posts of a timeline page, newest first, and whether newer ones may follow.
    fn page(&self, q: &Paging, tag: Option<&str>, now: DateTime<Utc>) -> Vec<SamplePost> {
        let (first, end) = self.range(now);
        let limit = q.limit.unwrap_or(20).clamp(1, 40);
        let wanted = |n: &u64| tag.is_none_or(|t| self.post(*n).tag == t);
        let id = |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<u64>().ok());
        let low = id(&q.min_id).or(id(&q.since_id)).map_or(first, |i| i.max(first)); // identifier i is number i - 1
        let high = id(&q.max_id).map_or(end, |i| i.saturating_sub(1).min(end));
        let mut numbers: Vec<u64> = if q.min_id.is_some() {
            (low..high).filter(wanted).take(limit).collect()
        } else {
            (low..high).rev().filter(wanted).take(limit).collect()
        };
        numbers.sort_by(|a, b| b.cmp(a));
        numbers.into_iter().map(|n| self.post(n)).collect()
    }
}

#[derive(Deserialize, Default)]
struct Paging {
    limit: Option<usize>,
    min_id: Option<String>,
    since_id: Option<String>,
    max_id: Option<String>,
}

/// Serves on an already bound listener until `stop`.
pub async fn serve(listener: tokio::net::TcpListener, site: Site, stop: CancellationToken) -> Result<(), String> {
    let app = Router::new()
        .route("/", get(|| async { "The sample site of antihate: /feed.rss /feed.atom /api/v1/timelines/public\n" }))
        .route("/health", get(|| async { "ok\n" }))
        .route("/feed.rss", get(|State(s): State<Site>, h: HeaderMap| async move { feed(&s, &h, "application/rss+xml", rss) }))
        .route("/feed.atom", get(|State(s): State<Site>, h: HeaderMap| async move { feed(&s, &h, "application/atom+xml", atom) }))
        .route("/api/v1/timelines/public", get(|State(s): State<Site>, Query(q): Query<Paging>, h: HeaderMap| async move { timeline(&s, &q, None, &h) }))
        .route(
            "/api/v1/timelines/tag/{tag}",
            get(|State(s): State<Site>, Path(t): Path<String>, Query(q): Query<Paging>, h: HeaderMap| async move { timeline(&s, &q, Some(&t), &h) }),
        )
        .with_state(site);
    axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await.map_err(|e| e.to_string())
}

fn timeline(site: &Site, q: &Paging, tag: Option<&str>, headers: &HeaderMap) -> Response {
    let now = Utc::now();
    let posts = site.page(q, tag, now);
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let path = tag.map_or("public".to_string(), |t| format!("tag/{t}"));
    let link = posts.first().zip(posts.last()).map(|(newest, oldest)| {
        let base = format!("http://{host}/api/v1/timelines/{path}");
        format!("<{base}?max_id={}>; rel=\"next\", <{base}?min_id={}>; rel=\"prev\"", oldest.n + 1, newest.n + 1)
    });
    let list: Vec<_> = posts.iter().map(status).collect();
    let mut answer = axum::Json(list).into_response();
    let reset = (now + TimeDelta::minutes(5)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let limits = [("x-ratelimit-limit", "300".to_string()), ("x-ratelimit-remaining", "299".to_string()), ("x-ratelimit-reset", reset)];
    for (name, value) in limits.into_iter().chain(link.map(|l| ("link", l))) {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn status(p: &SamplePost) -> serde_json::Value {
    let id = (p.n + 1).to_string();
    let uri = format!("https://sample.invalid/users/{}/statuses/{id}", AsciiName(&p.author));
    json!({
        "id": id, "uri": uri, "url": uri, "created_at": p.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), "language": p.lang,
        "visibility": "public", "sensitive": false, "spoiler_text": "", "account": {"acct": p.author, "username": p.author},
        "content": format!("<p>{} <a href=\"https://sample.invalid/tags/{t}\" rel=\"tag\">#<span>{t}</span></a></p>", html_escape::encode_text(&p.text), t = p.tag),
        "tags": [{"name": p.tag, "url": format!("https://sample.invalid/tags/{}", p.tag)}], "media_attachments": [], "reblog": null,
    })
}

/// A name as it may stand in an address.
struct AsciiName<'a>(&'a str);

impl std::fmt::Display for AsciiName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| if c.is_ascii_alphanumeric() { write!(f, "{c}") } else { write!(f, "x{:x}", c as u32) })
    }
}

/// A feed of the latest 50, with validators: an unchanged feed is answered by 304.
fn feed(site: &Site, headers: &HeaderMap, kind: &'static str, render: fn(&[SamplePost]) -> String) -> Response {
    let posts = site.page(&Paging { limit: Some(40), ..Paging::default() }, None, Utc::now());
    let newest = posts.first().map(|p| p.n).unwrap_or_default();
    let etag = format!("\"{newest}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == etag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let modified = posts.first().map(|p| p.at.to_rfc2822().replace("+0000", "GMT")).unwrap_or_default();
    ([(header::CONTENT_TYPE, kind.to_string()), (header::ETAG, etag), (header::LAST_MODIFIED, modified)], render(&posts)).into_response()
}

fn rss(posts: &[SamplePost]) -> String {
    let item = |p: &SamplePost| {
        format!(
            "<item><guid isPermaLink=\"false\">sample-{n}</guid><link>https://sample.invalid/posts/{n}</link><pubDate>{at}</pubDate><author>{author}</author><description>{text}</description></item>\n",
            n = p.n, at = p.at.to_rfc2822(), author = p.author, text = html_escape::encode_text(&format!("<p>{}</p>", html_escape::encode_text(&p.text))),
        )
    };
    let items: String = posts.iter().map(item).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel><title>Sample</title><link>https://sample.invalid/</link><description>Posts written for trying things out</description>\n{items}</channel></rss>\n")
}

fn atom(posts: &[SamplePost]) -> String {
    let entry = |p: &SamplePost| {
        format!(
            "<entry xml:lang=\"{lang}\"><title>Post {n}</title><id>https://sample.invalid/posts/{n}</id><link href=\"https://sample.invalid/posts/{n}\"/><updated>{at}</updated><author><name>{author}</name></author><content type=\"text\">{text}</content></entry>\n",
            n = p.n, lang = p.lang, at = p.at.to_rfc3339(), author = p.author, text = html_escape::encode_text(&p.text),
        )
    };
    let updated = posts.first().map(|p| p.at.to_rfc3339()).unwrap_or_default();
    let entries: String = posts.iter().map(entry).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Sample</title><id>https://sample.invalid/</id><updated>{updated}</updated>\n{entries}</feed>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(site: &Site, q: Paging, now: DateTime<Utc>) -> Vec<u64> {
        site.page(&q, None, now).iter().map(|p| p.n).collect()
    }

    #[test]
    fn paging_forward_from_the_beginning_reaches_every_post_once() {
        let now = Utc::now();
        let site = Site::bulk(95, now);
        let (mut all, mut at) = (Vec::new(), 0);
        loop {
            let mut page = numbers(&site, Paging { limit: Some(40), min_id: Some(at.to_string()), ..Paging::default() }, now);
            let Some(newest) = page.first() else { break };
            at = newest + 1;
            page.reverse();
            all.extend(page);
        }
        assert_eq!(all, (0..95).collect::<Vec<u64>>());
    }

    #[test]
    fn since_id_and_max_id_mean_what_mastodon_means() {
        let now = Utc::now();
        let site = Site::bulk(10, now);
        assert_eq!(numbers(&site, Paging { since_id: Some("8".into()), ..Paging::default() }, now), [9, 8]);
        assert_eq!(numbers(&site, Paging { max_id: Some("3".into()), ..Paging::default() }, now), [1, 0]);
    }

    #[test]
    fn an_endless_site_grows_with_the_clock_and_keeps_its_posts() {
        let now: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
        let (site, later) = (Site::endless(2.0), Site::endless(2.0));
        let (_, end) = site.range(now);
        assert_eq!(later.range(now + TimeDelta::seconds(5)).1, end + 10);
        assert_eq!(site.post(end - 1), later.post(end - 1));
        assert!(site.post(end - 1).at <= now);
    }
}
