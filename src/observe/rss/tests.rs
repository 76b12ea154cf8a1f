//! Tests of the feed reader.

use super::*;

const RSS: &str = include_str!("../../../tests/fixtures/feeds/plain.rss");
const ATOM: &str = include_str!("../../../tests/fixtures/feeds/plain.atom");

fn feed() -> url::Url {
    "https://news.example/feed".parse().unwrap()
}

fn at(s: &str) -> DateTime<Utc> {
    s.parse().unwrap()
}

fn read(body: &str, old: &Value, now: &str) -> Page {
    let state = State::deserialize(old).unwrap_or_default();
    page(body.as_bytes(), &feed(), state.clone(), state, at(now)).unwrap()
}

#[test]
fn an_rss_feed_becomes_plain_posts_oldest_first() {
    let page = read(RSS, &Value::Null, "2026-03-01T12:00:00Z");
    let ids: Vec<&str> = page.posts.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["https://news.example/1", "https://news.example/feed#2", "https://news.example/3"]);
    assert_eq!(page.posts[0].lang.as_deref(), Some("en"));
    assert!(page.posts.iter().all(|p| !p.text.contains('<') && p.platform == "rss"));
}

#[test]
fn an_atom_feed_becomes_posts_with_author_and_address() {
    let page = read(ATOM, &Value::Null, "2026-03-01T12:00:00Z");
    assert_eq!(page.posts.len(), 1);
    assert_eq!(page.posts[0].author.as_deref(), Some("Ada"));
    assert_eq!(page.posts[0].url.as_deref(), Some("https://blog.example/a"));
}

#[test]
fn what_was_acknowledged_is_not_handed_on_again() {
    let first = read(RSS, &Value::Null, "2026-03-01T12:00:00Z");
    let again = read(RSS, &first.cursor, "2026-03-02T12:00:00Z");
    assert_eq!((again.posts.len(), again.before), (0, None));
}

#[test]
fn an_entry_without_a_date_keeps_the_first_one_that_it_was_given_through_a_kill() {
    let first = read(RSS, &Value::Null, "2026-03-01T23:59:59Z");
    let before = first.before.expect("the fixture has an undated entry");
    let after_kill = read(RSS, &before, "2026-03-02T00:00:10Z");
    let date = |page: &[Post]| page.iter().find(|p| p.id == "https://news.example/3").unwrap().published_at;
    assert_eq!(date(&after_kill.posts), date(&first.posts));
    assert_eq!(after_kill.posts.len(), first.posts.len());
}

#[test]
fn a_date_in_the_future_counts_as_none() {
    let body = RSS.replace("Sun, 01 Mar 2026 08:00:00 GMT", "Sun, 01 Mar 2126 08:00:00 GMT");
    let page = read(&body, &Value::Null, "2026-03-01T12:00:00Z");
    assert!(page.posts.iter().all(|p| p.published_at <= at("2026-03-01T12:00:00Z")));
}

#[test]
fn what_is_no_feed_is_refused_without_its_content() {
    let refused = page(b"<html>hello</html>", &feed(), State::default(), State::default(), at("2026-03-01T12:00:00Z"));
    assert_eq!(refused.unwrap_err().to_string(), "OBS-201: feed news.example cannot be read: neither RSS nor Atom");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5000))]
    #[test]
    fn no_document_makes_the_reader_panic(cut in 0usize..1200, noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), atom: bool) {
        let mut body = if atom { ATOM.as_bytes().to_vec() } else { RSS.as_bytes().to_vec() };
        let cut = cut.min(body.len());
        body.splice(cut..(cut + noise.len()).min(body.len()).max(cut), noise);
        let _ = page(&body, &feed(), State::default(), State::default(), Utc::now());
    }
}
