//! Joining: once, exactly one, after interruptions, with a person's consent, with a wrong clock, and all the refusals.

use super::*;
use crate::enroll::edge::{Error, join};
use crate::enroll::refusal::Refusal;
use crate::enroll::tests::proxy::Cable;
use std::sync::atomic::Ordering;

fn refusal(result: Result<crate::enroll::edge::Identity, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_confirms_and_is_listed_and_joining_again_changes_nothing() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let (_data, folder) = node();
    let first = join(&folder, &token, &Options::default(), false).await.unwrap();
    assert!(first.confirmed && first.generation == 1 && first.geography == "DE");
    let listed = hub.admin.nodes().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.as_str(), listed[0].state.as_str(), listed[0].confirmed), (first.node.as_str(), "active", true));
    assert_eq!(join(&folder, &token, &Options::default(), false).await.unwrap(), first);
    assert_eq!(hub.admin.nodes().unwrap().len(), 1);
    assert_eq!(hub.admin.tokens(now()).unwrap()[0].state, "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_devices_with_one_token_exactly_one_gets_in() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let nodes: Vec<_> = (0..20).map(|_| node()).collect();
    let options = Options::default();
    let all = futures::future::join_all(nodes.iter().map(|(_, folder)| join(folder, &token, &options, false))).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 19));
    let winner = won.into_iter().next().unwrap().unwrap().node;
    for one in lost {
        assert!(matches!(refusal(one), Refusal::AlreadyUsed { node, .. } if node == winner));
    }
    assert_eq!(hub.admin.nodes().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_cut_off_at_any_byte_burns_no_token_and_makes_no_second_node() {
    let hub = TestHub::start(WEEK).await;
    let whole = {
        let token = hub.token();
        let cable = Cable::to(token.port, usize::MAX).await;
        join(&node().1, &Token { port: cable.port, ..token }, &Options::default(), false).await.unwrap();
        cable.passed.load(Ordering::SeqCst)
    };
    for round in 0..50 {
        let token = hub.token();
        let cable = Cable::to(token.port, whole * round / 50).await;
        let (_data, folder) = node();
        let cut = join(&folder, &Token { port: cable.port, ..token.clone() }, &Options::default(), false).await;
        assert!(cut.is_err(), "round {round}");
        // The repeated attempt may find the identity on disk, with the cable's port, unconfirmed: the cable is mended.
        cable.budget.store(usize::MAX, Ordering::SeqCst);
        let joined = join(&folder, &token, &Options::default(), false).await.unwrap();
        assert!(joined.confirmed);
        let of_token = |t: &crate::enroll::hub::admin::TokenView| t.id == token.id && t.node.as_deref() == Some(&joined.node);
        assert!(hub.admin.tokens(now()).unwrap().iter().any(of_token), "round {round}");
    }
    assert_eq!(hub.admin.nodes().unwrap().len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_expired_revoked_and_foreign_tokens_are_refused_each_by_its_code() {
    let hub = TestHub::start(WEEK).await;
    let (_data, folder) = node();
    let options = Options::default();
    let good = hub.token();
    let wrong = Token { secret: hub.token().secret, ..good.clone() };
    let unknown = Token { id: "0000000000".into(), ..good.clone() };
    let (wrong, unknown) = (refusal(join(&folder, &wrong, &options, false).await), refusal(join(&folder, &unknown, &options, false).await));
    assert_eq!(wrong.code(), "ENR-101");
    assert_eq!(wrong, unknown, "a wrong secret and an unknown identifier must look the same");
    let old = hub.token_with(NewToken { ttl_s: 60, ..NewToken::default() }, 3_600);
    assert_eq!(refusal(join(&folder, &old, &options, false).await).code(), "ENR-104");
    let revoked = hub.token();
    assert!(hub.admin.revoke_token(&revoked.id, now()).unwrap());
    assert_eq!(refusal(join(&folder, &revoked, &options, false).await).code(), "ENR-106");
    let french = Options { geography: Some("FR".into()), ..Options::default() };
    assert_eq!(refusal(join(&folder, &good, &french, false).await).code(), "ENR-103");
    assert_eq!(hub.admin.nodes().unwrap().len(), 0);
    assert!(join(&folder, &good, &options, false).await.is_ok(), "a refused attempt must not use the token up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_site_refuses_another_and_stays_good() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token_with(NewToken { ttl_s: 60, site: Some("north".into()), ..NewToken::default() }, 0);
    let (_data, folder) = node();
    let at = |site: &str| Options { site: Some(site.into()), ..Options::default() };
    assert_eq!(refusal(join(&folder, &token, &at("south"), false).await).code(), "ENR-115");
    assert_eq!(join(&folder, &token, &at("north"), false).await.unwrap().site.as_deref(), Some("north"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_enrolls_or_is_told_exactly() {
    let hub = TestHub::start(WEEK).await;
    let (day, year) = (86_400, 365 * 86_400);
    for offset in [1, -1, 60, -60, 3_600, -3_600, 40 * day, -2 * day, 91 * day, -40 * day, 10 * year, -10 * year] {
        let (_data, folder) = node();
        let options = Options { clock_offset_s: offset, ..Options::default() };
        match join(&folder, &hub.token(), &options, false).await {
            Ok(identity) => assert!((-86_400..90 * day).contains(&offset) && (identity.skew_s - offset).abs() <= 2, "{offset}"),
            Err(Error::Refused(Refusal::Clock { skew_s, .. })) => assert!((skew_s - offset).abs() <= 2 && !(-day..89 * day).contains(&offset), "{offset}: {skew_s}"),
            Err(e) => panic!("{offset}: {e}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_approval_nothing_is_given_before_a_person_has_accepted_the_four_words() {
    let hub = TestHub::start(WEEK).await;
    let asks = || NewToken { ttl_s: 3_600, approve: true, ..NewToken::default() };
    let (token, other) = (hub.token_with(asks(), 0), hub.token_with(asks(), 0));
    let (_data, folder) = node();
    for _ in 0..2 {
        let waiting = refusal(join(&folder, &token, &Options::default(), false).await);
        let listed = &hub.admin.nodes().unwrap()[0];
        assert_eq!(listed.state, "pending");
        assert_eq!(waiting, Refusal::Waiting { words: listed.words.clone(), node: listed.id.clone() });
        assert!(folder.identity().unwrap().is_none());
    }
    let id = hub.admin.nodes().unwrap()[0].id.clone();
    assert!(hub.admin.accept_node(&id, "operator", now()).unwrap());
    assert_eq!(join(&folder, &token, &Options::default(), false).await.unwrap().node, id);
    let (_data, folder) = node();
    refusal(join(&folder, &other, &Options::default(), false).await);
    let second = hub.admin.nodes().unwrap().into_iter().find(|n| n.state == "pending").unwrap().id;
    assert!(hub.admin.reject_node(&second, "operator", now()).unwrap());
    assert_eq!(refusal(join(&folder, &other, &Options::default(), false).await), Refusal::Rejected { by: "operator".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_hub_is_told_with_the_stage() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (_data, folder) = node();
    let token = |host: &str| Token::generate("DE", [1; 32], host, free).unwrap();
    let tcp = refusal(join(&folder, &token("127.0.0.1"), &Options::default(), false).await);
    assert!(tcp.code() == "ENR-108" && tcp.to_string().contains("connection"), "{tcp}");
    let dns = refusal(join(&folder, &token("no-such-host.invalid"), &Options::default(), false).await);
    assert!(dns.code() == "ENR-108" && dns.to_string().contains("name look-up"), "{dns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_node_keeps_its_identity_unless_it_is_to_be_replaced() {
    let hub = TestHub::start(WEEK).await;
    let (_data, folder) = node();
    let first = join(&folder, &hub.token(), &Options::default(), false).await.unwrap();
    let second = hub.token();
    assert!(matches!(join(&folder, &second, &Options::default(), false).await, Err(Error::Already { .. })));
    let replaced = join(&folder, &second, &Options::default(), true).await.unwrap();
    assert_ne!(replaced.node, first.node);
}
