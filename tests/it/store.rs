//! The store on both databases: the same promises, the same tests.

use crate::support::servers::{PostgreSql, alone};
use antihate::domain::{Analysis, Label, Post, Quarantined, Scores};
use antihate::store::{Filter, Flush, Flushed, Span, Sqlite, Store, Stored};
use chrono::{DateTime, TimeDelta, Utc};

fn post(n: i64, platform: &str) -> (String, Analysis) {
    let at: DateTime<Utc> = Utc::now() - TimeDelta::seconds(60);
    let post = Post {
        platform: platform.into(),
        id: n.to_string(),
        url: None,
        author: Some("ada".into()),
        lang: None,
        text: format!("text {n}"),
        published_at: DateTime::from_timestamp(at.timestamp(), 0).expect("a date"),
        observed_at: at,
    };
    let label = Label::ALL[n as usize % 3];
    ("here".into(), Analysis { post, label, scores: Scores { none: 0.5, offensive: 0.25, hate: 0.25 }, model: "m@1".into(), analyzed_at: at })
}

fn flush(partition: i32, from: i64, to: i64) -> Flush {
    let analyses = (from..to).map(|n| post(n, "rss")).collect();
    Flush { topic: "q".into(), analyses, spans: vec![Span { partition, from, to, seen: to - from }], ..Flush::default() }
}

async fn promises(store: &dyn Store) {
    store.migrate().await.expect("migrated");
    store.migrate().await.expect("a second time changes nothing");
    store.keep(Utc::now().date_naive()).await.expect("kept");
    store.keep(Utc::now().date_naive()).await.expect("a second time changes nothing");

    assert_eq!(store.flush(&flush(0, 0, 6)).await.expect("stored"), Flushed::Stored(Stored { posts: 6, known: 0, set_aside: 0 }));
    assert_eq!(store.flush(&flush(0, 0, 6)).await.expect("asked"), Flushed::Already, "a lost answer is recognised");
    assert_eq!(store.flush(&flush(0, 3, 9)).await.expect("asked"), Flushed::Elsewhere, "a late twin changes nothing");
    assert_eq!(store.positions("q").await.expect("read"), [(0, 6)].into());

    let mut two = flush(0, 6, 8);
    two.spans.push(Span { partition: 1, from: 5, to: 6, seen: 1 });
    assert_eq!(store.flush(&two).await.expect("asked"), Flushed::Elsewhere, "one wrong position spoils the whole flush");
    assert_eq!(store.pipeline().await.expect("read").stored, 6);

    let mut again = flush(1, 0, 7); // the same identities from another partition
    again.analyses.push(post(1, "rss"));
    again.analyses.push(post(1, "probe"));
    again.set_aside = vec![Quarantined { partition: 1, offset: 8, reason: "not-json".into(), raw: vec![0, 255] }];
    again.spans = vec![Span { partition: 1, from: 0, to: 12, seen: 10 }];
    assert_eq!(store.flush(&again).await.expect("stored"), Flushed::Stored(Stored { posts: 1, known: 6, set_aside: 1 }));

    store.note_ends("q", &[(0, 10), (1, 12), (2, 5)].into()).await.expect("noted");
    let p = store.pipeline().await.expect("read");
    assert_eq!((p.stored, p.by_label, p.quarantined, p.lost, p.backlog, p.per_minute), (7, [3, 2, 2], 1, 2, 9, 7));
    assert!(p.delay_p95_s.is_some_and(|d| d > 50.0));

    assert!(store.last_probe().await.expect("read").is_some());
    let hate = store.latest(10, &Filter { labels: vec![Label::Hate], platform: Some("rss".into()) }).await.expect("read");
    assert_eq!((hate.len(), hate[0].label), (2, Label::Hate));
    let newest = store.latest(3, &Filter::default()).await.expect("read");
    assert_eq!(newest.len(), 3);
    assert_eq!(newest[0], Analysis { analyzed_at: newest[0].analyzed_at, post: Post { observed_at: newest[0].post.observed_at, ..post(6, "rss").1.post }, ..post(6, "rss").1 }
        .with_published(newest[0].post.published_at));

    let named = [post(2, "rss").1.post.reference(), post(7, "nowhere").1.post.reference()];
    let found = store.find(&named).await.expect("read");
    assert_eq!(found.iter().map(|a| a.post.id.as_str()).collect::<Vec<_>>(), ["2"], "what is not stored is left out");
    assert!(store.find(&[]).await.expect("read").is_empty());

    store.reset_position("q", 0, 99, 0).await.expect("asked");
    assert_eq!(store.positions("q").await.expect("read")[&0], 6, "a reset from a wrong position changes nothing");
    store.reset_position("q", 0, 6, 0).await.expect("asked");
    assert_eq!(store.positions("q").await.expect("read")[&0], 0);

    let cursor = serde_json::json!({"min_id": "7"});
    assert_eq!(store.cursor("s").await.expect("read"), None);
    store.save_cursor("s", &cursor).await.expect("saved");
    store.save_cursor("s", &cursor).await.expect("saved");
    assert_eq!(store.cursor("s").await.expect("read"), Some(cursor));
}

/// For comparing what is read with what was written, whose clock ran on.
trait WithPublished {
    fn with_published(self, at: DateTime<Utc>) -> Self;
}

impl WithPublished for Analysis {
    fn with_published(mut self, at: DateTime<Utc>) -> Self {
        self.post.published_at = at;
        self
    }
}

fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Runtime::new().expect("runtime").block_on(work)
}

#[test]
fn sqlite_keeps_the_promises_of_the_store() {
    let dir = tempfile::tempdir().expect("temp");
    run(promises(&Sqlite::open(&dir.path().join("node.db")).expect("opened")));
}

#[test]
fn postgresql_keeps_the_promises_of_the_store() {
    let _one = alone();
    let Some(server) = PostgreSql::new() else { return };
    run(promises(&server.store()));
    let days = server.rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'post'::regclass");
    assert_eq!(days, ["12"], "eleven days and the rest");
    assert_eq!(server.rows("SELECT count(*) FROM post_default"), ["0"]);
}

#[test]
fn an_old_post_and_one_of_a_day_whose_partition_came_later_are_unique_too() {
    let _one = alone();
    let Some(server) = PostgreSql::new() else { return };
    run(async {
        let store = server.store();
        store.migrate().await.expect("migrated");
        assert!(matches!(store.flush(&flush(0, 0, 3)).await.expect("stored"), Flushed::Stored(s) if s.posts == 3));
        store.keep(Utc::now().date_naive()).await.expect("a day with rows in the default partition is left there");
        let mut again = flush(0, 0, 3);
        again.spans[0] = Span { partition: 0, from: 3, to: 6, seen: 3 };
        assert!(matches!(store.flush(&again).await.expect("stored"), Flushed::Stored(s) if (s.posts, s.known) == (0, 3)));
    });
}

#[test]
fn two_analyzers_that_migrate_at_once_do_not_collide_and_a_newer_schema_is_refused() {
    let _one = alone();
    let Some(server) = PostgreSql::new() else { return };
    run(async {
        let stores: Vec<_> = (0..4).map(|_| server.store()).collect();
        let today = Utc::now().date_naive();
        let all = stores.iter().map(|s| async { s.migrate().await.and(s.keep(today).await) });
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        server.rows("INSERT INTO schema_step (step) VALUES (99)");
        let refused = stores[0].migrate().await.expect_err("it is newer");
        assert!(refused.to_string().starts_with("STO-103"), "{refused}");
    });
}

#[test]
fn a_killed_server_is_an_error_and_afterwards_the_store_goes_on() {
    let _one = alone();
    let Some(mut server) = PostgreSql::new() else { return };
    run(async {
        let store = server.store();
        store.migrate().await.expect("migrated");
        server.kill9();
        assert!(store.flush(&flush(0, 0, 3)).await.is_err());
        server.start();
        assert!(matches!(store.flush(&flush(0, 0, 3)).await, Ok(Flushed::Stored(s)) if s.posts == 3));
    });
}
