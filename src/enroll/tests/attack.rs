//! What an attacker may try: replay, another CA, another name, a leaked database, requests without an identity.

use super::*;
use crate::enroll::edge::exchange::request;
use crate::enroll::edge::link::{Link, Target};
use crate::enroll::edge::{Error, join};
use crate::enroll::protocol::{Accepted, Challenge, ChallengeRequest, EXPORTER_LABEL, EnrollRequest, Heartbeat, Membership, path};
use crate::enroll::refusal::Refusal;
use crate::pki::enroll::authority::Authority;
use crate::pki::enroll::seed;
use crate::pki::enroll::tls_server::Acceptor;

async fn link(token: &Token) -> Link {
    let target = Target { host: &token.host, port: token.port, pin: token.pin };
    Link::open(target, None, &Options::default()).await.unwrap()
}

async fn challenge(link: &mut Link, id: &str) -> Challenge {
    link.post(path::CHALLENGE, &ChallengeRequest { id: id.into() }).await.unwrap().1
}

async fn enroll(link: &mut Link, request: &EnrollRequest) -> Result<(u16, Membership), Refusal> {
    link.post(path::ENROLL, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_request_is_worth_nothing_in_another_session_and_only_once_in_its_own() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let (_data, folder) = node();
    let key = folder.key(&token.id).unwrap();
    let mut own = link(&token).await;
    let nonce = challenge(&mut own, &token.id).await;
    let recorded = request(&token, &key, &nonce, &own.exporter, &Options::default()).unwrap();
    let mut thief = link(&token).await;
    assert_eq!(enroll(&mut thief, &recorded).await.unwrap_err().code(), "ENR-101");
    let fresh = challenge(&mut thief, &token.id).await;
    let renewed = EnrollRequest { nonce: fresh.nonce, ..recorded.clone() };
    assert_eq!(enroll(&mut thief, &renewed).await.unwrap_err().code(), "ENR-101");
    assert_eq!(hub.admin.nodes().unwrap().len(), 0);
    assert_eq!(enroll(&mut own, &recorded).await.unwrap().0, 201);
    assert_eq!(enroll(&mut own, &recorded).await.unwrap_err().code(), "ENR-114");
    assert_eq!(enroll(&mut thief, &recorded).await.unwrap_err().code(), "ENR-101");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_that_was_lost_is_given_again_to_the_same_key_with_200() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let (_data, folder) = node();
    let key = folder.key(&token.id).unwrap();
    let mut ids = Vec::new();
    for status in [201, 200, 200] {
        let mut link = link(&token).await;
        let nonce = challenge(&mut link, &token.id).await;
        let request = request(&token, &key, &nonce, &link.exporter, &Options::default()).unwrap();
        let (got, membership) = enroll(&mut link, &request).await.unwrap();
        assert_eq!((got, membership.join_state.generation), (status, 1));
        ids.push(membership.node);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_request_is_refused_whatever_part_was_changed() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let (_data, folder) = node();
    let (key, other) = (folder.key(&token.id).unwrap(), folder.key("OTHER").unwrap());
    let mut link = link(&token).await;
    let nonce = challenge(&mut link, &token.id).await;
    let good = request(&token, &key, &nonce, &link.exporter, &Options::default()).unwrap();
    let foreign = request(&token, &other, &nonce, &link.exporter, &Options::default()).unwrap();
    let changed = [
        EnrollRequest { csr: foreign.csr.clone(), ..good.clone() },
        EnrollRequest { facts: good.facts.replace("hostname", "Hostname"), ..good.clone() },
        EnrollRequest { sig: foreign.sig.clone(), ..good.clone() },
        EnrollRequest { id: hub.token().id, ..good.clone() },
        EnrollRequest { nonce: "00".repeat(32), ..good.clone() },
    ];
    for request in &changed {
        assert!(enroll(&mut link, request).await.is_err(), "{request:?}");
    }
    assert_eq!(hub.admin.nodes().unwrap().len(), 0);
    assert_eq!(enroll(&mut link, &good).await.unwrap().0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_any_other_ca_or_name_gets_no_byte_of_the_exchange() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let dir = tempfile::tempdir().unwrap();
    let foreign = Authority::load_or_create(&dir.path().join("foreign"), "DE").unwrap();
    let own = Authority::load_or_create(&hub.dir.path().join("pki"), "DE").unwrap();
    assert_eq!(own.pin(), token.pin);
    for acceptor in [Acceptor::new(&foreign, "127.0.0.1").unwrap(), Acceptor::new(&own, "hub.example").unwrap()] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::task::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0, EXPORTER_LABEL).await.map(drop) });
        let result = join(&node().1, &Token { port, ..token.clone() }, &Options::default(), false).await;
        assert!(matches!(&result, Err(Error::Refused(Refusal::NotTheHub { .. }))), "{result:?}");
        assert!(server.await.unwrap().is_err(), "the handshake must end before anything is sent");
    }
    assert!(join(&node().1, &token, &Options::default(), false).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaked_database_holds_no_secret_and_admits_nobody() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let mut leaked = Vec::new();
    for entry in std::fs::read_dir(hub.dir.path()).unwrap().flatten().filter(|e| e.file_type().unwrap().is_file()) {
        leaked.extend(std::fs::read(entry.path()).unwrap());
    }
    let has = |what: &[u8]| leaked.windows(what.len()).any(|w| w == what);
    assert!(has(token.id.as_bytes()) && has(&seed::public(token.secret.expose())), "the test must read the right file");
    for part in token.secret.expose().windows(10) {
        assert!(!has(part));
    }
    // The best that a thief has: what is stored, in place of the secret.
    let (_data, folder) = node();
    let key = folder.key(&token.id).unwrap();
    let mut link = link(&token).await;
    let nonce = challenge(&mut link, &token.id).await;
    let good = request(&token, &key, &nonce, &link.exporter, &Options::default()).unwrap();
    let input = crate::enroll::protocol::signing_input(&hex::decode(&nonce.nonce).unwrap(), b"", good.facts.as_bytes(), &link.exporter);
    let forged = EnrollRequest { sig: hex::encode(seed::sign(&seed::public(token.secret.expose()), &input)), ..good };
    assert_eq!(enroll(&mut link, &forged).await.unwrap_err().code(), "ENR-101");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_tokens_get_the_same_kind_of_challenge() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let mut link = link(&token).await;
    let (known, unknown) = (challenge(&mut link, &token.id).await, challenge(&mut link, "0000000000").await);
    assert_eq!((known.nonce.len(), known.ttl_s), (unknown.nonce.len(), unknown.ttl_s));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_certificate_of_a_node_nothing_but_joining_is_possible() {
    let hub = TestHub::start(WEEK).await;
    let mut link = link(&hub.token()).await;
    let beat = Heartbeat { generation: 1, report: Report::default() };
    for path in [path::HEARTBEAT, path::CONFIRM, path::RENEW] {
        let body = serde_json::json!({ "generation": 1, "csr": "", "report": beat.report });
        let answer: Result<(u16, Accepted), _> = link.post(path, &body).await;
        assert_eq!(answer.unwrap_err().code(), "ENR-115", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let (_data, folder) = node();
    let wrong = Token { secret: hub.token().secret, ..token.clone() };
    let mut codes = Vec::new();
    for _ in 0..22 {
        match join(&folder, &wrong, &Options::default(), false).await {
            Err(Error::Refused(refusal)) => codes.push(refusal.code()),
            other => panic!("{other:?}"),
        }
    }
    assert!(codes[..20].iter().all(|c| *c == "ENR-101"), "{codes:?}");
    assert!(codes[20..].contains(&"ENR-112"), "{codes:?}");
}
