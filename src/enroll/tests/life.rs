//! Life after joining: renewal, a broken link, revocation, copies, power cuts, long absence.

use super::*;
use crate::enroll::edge::exchange as step;
use crate::enroll::edge::link::{Link, Target};
use crate::enroll::edge::{Identity, join};
use crate::enroll::protocol::{Membership, RenewRequest, path};
use crate::enroll::tests::proxy::Cable;
use base64::Engine;
use std::sync::atomic::Ordering;

/// Makes the renewal of a node due.
fn age(folder: &Folder) -> Identity {
    let mut identity = folder.identity().unwrap().unwrap();
    identity.renew_at = 0;
    folder.save(&identity).unwrap();
    identity
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_given_to_the_running_node_enrolls_it_and_heartbeats_carry_its_report() {
    let hub = TestHub::start(WEEK).await;
    let (data, folder) = node();
    let (handle, _stop) = edge(data.path());
    assert_eq!(handle.enroll("AHN1.nonsense").unwrap_err().code, "ENR-101");
    handle.enroll(&hub.token().reveal()).unwrap();
    until(&handle, "connected", connected).await;
    assert!(!data.path().join("identity/pending-token").exists(), "the token is forgotten as soon as it was used");
    let id = folder.identity().unwrap().unwrap().node;
    for _ in 0..600 {
        if hub.admin.node(&id).unwrap().unwrap().report["summary"] == "working" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no report arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_written_by_another_process_is_taken_up() {
    let hub = TestHub::start(WEEK).await;
    let (data, folder) = node();
    let (handle, _stop) = edge(data.path());
    join(&folder, &hub.token(), &Options::default(), false).await.unwrap();
    until(&handle, "connected", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_again_and_again_under_the_same_identity() {
    let hub = TestHub::start(6).await;
    let (data, folder) = node();
    let first = join(&folder, &hub.token(), &Options::default(), false).await.unwrap();
    let (_handle, _stop) = edge(data.path());
    for _ in 0..600 {
        let now = folder.identity().unwrap().unwrap();
        if now.generation >= 3 && now.confirmed {
            assert_eq!(now.node, first.node);
            assert_ne!(now.chain, first.chain);
            assert_eq!(hub.admin.node(&first.node).unwrap().unwrap().state, "active");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no third generation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_is_shown_and_survived() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let cable = Cable::to(token.port, usize::MAX).await;
    let (data, _) = node();
    let (handle, _stop) = edge(data.path());
    handle.enroll(&Token { port: cable.port, ..token }.reveal()).unwrap();
    until(&handle, "connected", connected).await;
    cable.up.store(false, Ordering::SeqCst);
    until(&handle, "disconnected", |s| matches!(s, Upstream::Enrolled { connected: false, last_seen: Some(_), .. })).await;
    cable.up.store(true, Ordering::SeqCst);
    until(&handle, "connected again", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_given_while_the_link_is_down_is_used_when_it_comes_up_even_after_a_restart() {
    let hub = TestHub::start(WEEK).await;
    let token = hub.token();
    let cable = Cable::to(token.port, usize::MAX).await;
    cable.up.store(false, Ordering::SeqCst);
    let (data, _) = node();
    let (handle, stop) = edge(data.path());
    handle.enroll(&Token { port: cable.port, ..token }.reveal()).unwrap();
    until(&handle, "trying", |s| matches!(s, Upstream::Enrolling { detail } if detail.contains("trying again"))).await;
    stop.cancel();
    cable.up.store(true, Ordering::SeqCst);
    let (handle, _stop) = edge(data.path());
    until(&handle, "connected", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_node_is_refused_at_once_says_so_and_stays_quiet_after_a_restart() {
    let hub = TestHub::start(WEEK).await;
    let (data, folder) = node();
    let id = join(&folder, &hub.token(), &Options::default(), false).await.unwrap().node;
    let (handle, stop) = edge(data.path());
    until(&handle, "connected", connected).await;
    assert!(hub.admin.revoke_node(&id, "stolen", now()).unwrap());
    let held = folder.identity().unwrap().unwrap();
    let refused = step::heartbeat(&folder, &held, &Options::default(), Report::default()).await;
    assert_eq!(refused.unwrap_err().problem().code, "ENR-106");
    until(&handle, "revoked", |s| failed_with(s, "ENR-106")).await;
    stop.cancel();
    let seen = hub.admin.node(&id).unwrap().unwrap().last_seen;
    let (handle, _stop) = edge(data.path());
    until(&handle, "revoked after a restart", |s| failed_with(s, "ENR-106")).await;
    assert_eq!(hub.admin.node(&id).unwrap().unwrap().last_seen, seen);
    handle.enroll(&hub.token().reveal()).unwrap();
    until(&handle, "connected by a new token", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_disk_locks_both_machines() {
    let hub = TestHub::start(WEEK).await;
    let (data, folder) = node();
    let id = join(&folder, &hub.token(), &Options::default(), false).await.unwrap().node;
    let (copy, copied) = node();
    std::fs::create_dir(copy.path().join("identity")).unwrap();
    for entry in std::fs::read_dir(data.path().join("identity")).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.path().join("identity").join(entry.file_name())).unwrap();
    }
    age(&folder);
    let (original, _stop) = edge(data.path());
    for _ in 0..600 {
        if folder.identity().unwrap().unwrap().generation == 2 && folder.identity().unwrap().unwrap().confirmed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(copied.identity().unwrap().unwrap().generation, 1);
    let (clone, _stop) = edge(copy.path());
    until(&clone, "the clone is locked", |s| failed_with(s, "ENR-113")).await;
    until(&original, "the original is locked", |s| failed_with(s, "ENR-113")).await;
    assert_eq!(hub.admin.node(&id).unwrap().unwrap().state, "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_point_of_a_renewal_locks_nobody_and_loses_nothing() {
    let hub = TestHub::start(WEEK).await;
    let (data, folder) = node();
    let options = Options::default();
    let id = join(&folder, &hub.token(), &options, false).await.unwrap().node;
    for round in 0..5 {
        // The hub has renewed, twice even; no reply was written.
        let held = age(&folder);
        for _ in 0..2 {
            let key = folder.key(&held.token).unwrap();
            let pin = hex::decode(&held.pin).unwrap().try_into().unwrap();
            let target = Target { host: &held.host, port: held.port, pin };
            let mut link = Link::open(target, Some((&key, &held.chain)), &options).await.unwrap();
            let csr = base64::engine::general_purpose::STANDARD.encode(key.request().unwrap());
            let request = RenewRequest { generation: held.generation, csr };
            let (_, lost): (u16, Membership) = link.post(path::RENEW, &request).await.unwrap();
            assert_eq!(lost.join_state.generation, held.generation + 1);
        }
        // After the next start it renews once more, and the power goes before the confirmation.
        let renewed = step::renew(&folder, &held, &options).await.unwrap();
        assert_eq!((renewed.generation, renewed.confirmed), (held.generation + 1, false));
        // After the start after that, everything is well.
        let (handle, stop) = edge(data.path());
        until(&handle, "connected", connected).await;
        stop.cancel();
        let node = hub.admin.node(&id).unwrap().unwrap();
        assert_eq!((node.state.as_str(), node.generation), ("active", i64::from(round) + 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_until_its_certificate_ended_comes_back_by_itself() {
    let hub = TestHub::start(3).await;
    let (data, folder) = node();
    let options = Options::default();
    let held = join(&folder, &hub.token(), &options, false).await.unwrap();
    while now() <= held.not_after {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let refused = step::heartbeat(&folder, &held, &options, Report::default()).await.unwrap_err();
    assert_eq!(refused.problem().code, "ENR-115");
    let (handle, _stop) = edge(data.path());
    until(&handle, "connected", connected).await;
    assert!(folder.identity().unwrap().unwrap().generation >= 2);
}
