//! Claiming the node, coming in, and what each role may do on the page, asked as a browser would ask.

use super::tests::{Browser, PASS, SECRET, form_of};
use axum::http::{StatusCode, header};

const OTHER: &str = "three-old-boats-creak";
const POST: &str = "2024-10-04/rss:1";

#[tokio::test]
async fn the_pin_leads_only_to_the_claim_and_after_it_the_setup_pages_and_the_pin_are_gone() {
    let mut browser = Browser::with_pin(SECRET).await;
    for path in ["/", "/enroll", "/users", "/account", "/codes", "/logs?name=kine"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.headers[header::LOCATION].to_str().ok()), (StatusCode::SEE_OTHER, Some("/owner")), "{path}");
    }
    let claimed = browser.claim("ada", PASS, PASS).await;
    assert_eq!(claimed.headers[header::LOCATION], "/codes");
    let old = browser.get("/owner").await;
    browser.keep_cookie(&claimed);
    assert_eq!(old.status, StatusCode::NOT_FOUND, "the session with the PIN has ended");
    for path in ["/unlock", "/owner"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(browser.post(path, "pin=0000-0000&csrf=x&name=eve&pass=x&again=x").await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(!browser.pin_file().exists() && browser.desk.pin().is_none());
    browser.desk.tick();
    assert!(!browser.pin_file().exists());
    let audit = browser.audit();
    assert!(audit.contains("\"action\":\"claim\"") && audit.contains("\"who\":\"ada\"") && !audit.contains(PASS));
}

#[tokio::test]
async fn of_two_with_a_pin_one_claims_and_the_other_hears_who_did() {
    let first = Browser::with_pin(SECRET).await;
    let second_pin = first.post("/unlock", &format!("pin={}", first.pin())).await;
    assert_eq!(second_pin.status, StatusCode::SEE_OTHER);
    assert_eq!(first.claim("ada", PASS, PASS).await.status, StatusCode::SEE_OTHER);
    assert_eq!(first.desk.door.claim("eve", PASS.to_owned().into()).await.err().map(|p| p.code), Some("USR-101".into()));
}

#[tokio::test]
async fn a_bad_claim_says_why_keeps_the_name_and_never_shows_the_pass_phrase() {
    let browser = Browser::with_pin(SECRET).await;
    for (name, pass, again, code) in [("ada", PASS, OTHER, "USR-115"), ("ada", "short", "short", "USR-110"), ("system", PASS, PASS, "USR-102"), ("ada", "ada-ada-ada-ada", "ada-ada-ada-ada", "USR-110")] {
        let answer = browser.claim(name, pass, again).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.text.contains(code) && answer.text.contains(&format!("value=\"{name}\"")) && !answer.text.contains(pass), "{code}");
    }
    assert!(browser.desk.pin().is_some(), "unclaimed still");
}

#[tokio::test]
async fn recovery_codes_are_shown_until_they_are_kept_and_each_serves_once() {
    let browser = Browser::opened(SECRET).await;
    assert!(browser.get("/").await.text.contains("not written down yet"));
    let page = browser.get("/codes").await.text;
    let codes: Vec<String> = page.split("<li><code>").skip(1).filter_map(|part| part.split('<').next().map(str::to_owned)).collect();
    assert_eq!(codes.len(), 8);
    browser.post("/codes/kept", &format!("csrf={}", browser.csrf().await)).await;
    assert_eq!(browser.get("/codes").await.headers[header::LOCATION], "/account");
    let recover = |code: String, pass: &'static str| form_of(&[("name", "ADA"), ("code", &code.to_lowercase()), ("pass", pass), ("again", pass)]);
    assert_eq!(browser.post("/recover", &recover(codes[0].clone(), OTHER)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/").await.headers[header::LOCATION], "/login", "the other sessions have ended");
    let again = browser.post("/recover", &recover(codes[0].clone(), PASS)).await;
    assert!(again.status == StatusCode::FORBIDDEN && again.text.contains("USR-113"));
    assert!(browser.beside("ada", PASS).await.is_err() && browser.beside("ada", OTHER).await.is_ok());
}

#[tokio::test]
async fn wrong_logins_are_answered_alike_counted_and_held() {
    let browser = Browser::opened(SECRET).await;
    let wrong = |name: &str| form_of(&[("name", name), ("pass", "not-the-pass-phrase")]);
    let known = browser.post("/login", &wrong("ada")).await;
    let unknown = browser.post("/login", &wrong("nobody")).await;
    assert_eq!((known.status, unknown.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(known.text.replace("ada", "nobody"), unknown.text);
    let many = futures::future::join_all((0..20).map(|_| browser.beside("ada", "not-the-pass-phrase"))).await;
    let held = many.into_iter().filter_map(Result::err).filter(|a| a.text.contains("USR-112")).count();
    assert_eq!(held, 16, "four more are taken, side by side or not");
    assert!(browser.beside("ada", PASS).await.is_err(), "even the right one waits");
    let audit = browser.audit();
    assert_eq!(audit.matches("wrong-login").count(), 6);
    assert!(!audit.contains("nobody"), "a name that nobody has may be a pass phrase");
}

#[tokio::test]
async fn each_role_may_what_it_may_and_no_more() {
    let owner = Browser::opened(SECRET).await;
    for (name, role, reveals) in [("vi", "viewer", false), ("op", "operator", true)] {
        let user = owner.with_user(name, role).await;
        let csrf = user.csrf().await;
        let revealed = user.post("/posts/reveal", &form_of(&[("csrf", &csrf), ("post", POST)])).await;
        assert_eq!(revealed.status, if reveals { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN }, "{role}");
        let home = user.get("/").await;
        assert_eq!((home.status, home.text.contains("ordinary")), (StatusCode::OK, reveals), "{role}");
        assert!(!home.text.contains("href=\"/users\"") && !home.text.contains("name=\"token\""));
        assert_eq!(home.text.contains("data-part"), reveals, "{role}");
        for (path, rest) in [("/enroll/decode", "token=good-token"), ("/enroll/send", ""), ("/users/add", "name=eve&role=owner"), ("/users/role", "name=vi&role=owner"), ("/users/renew", "name=ada"), ("/users/remove", "name=ada")] {
            let answer = user.post(path, &format!("csrf={csrf}&{rest}")).await;
            assert!(answer.status == StatusCode::FORBIDDEN && answer.text.contains("PAG-209"), "{role} at {path}");
        }
        assert_eq!(user.get("/users").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(owner.desk.door.users().expect("users").all().len(), 3);
}

#[tokio::test]
async fn a_change_of_a_user_holds_at_once_in_every_open_session() {
    let owner = Browser::opened(SECRET).await;
    let user = owner.with_user("bo", "operator").await;
    let csrf = owner.csrf().await;
    let change = async |path: &str, rest: &str| owner.post(path, &format!("csrf={csrf}&name=bo&{rest}")).await;
    change("/users/role", "role=viewer").await;
    let answer = user.post("/posts/reveal", &form_of(&[("csrf", &user.csrf().await), ("post", POST)])).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    change("/users/renew", "").await;
    assert_eq!(user.get("/").await.headers[header::LOCATION], "/account", "another pass phrase has to be chosen");
    change("/users/remove", "").await;
    assert_eq!(user.get("/").await.headers[header::LOCATION], "/login");
    change("/users/remove", "").await;
    assert!(owner.get("/users").await.text.contains("USR-105"), "what was refused is told");
    let gone = owner.post("/users/remove", &format!("csrf={csrf}&name=ada")).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(owner.get("/users").await.text.contains("USR-106"), "the last owner stays");
}

#[tokio::test]
async fn who_was_added_chooses_a_pass_phrase_before_anything_else() {
    let owner = Browser::opened(SECRET).await;
    owner.post("/users/add", &format!("csrf={}&name=bo&role=viewer", owner.csrf().await)).await;
    let phrase = owner.phrase().await;
    let user = owner.beside("bo", &phrase).await.unwrap_or_else(|a| panic!("{}", a.text));
    for path in ["/", "/enroll", "/codes"] {
        assert_eq!(user.get(path).await.headers[header::LOCATION], "/account", "{path}");
    }
    let csrf = user.csrf_of("/account").await;
    let chosen = user.post("/account/pass", &form_of(&[("csrf", &csrf), ("pass", OTHER), ("again", OTHER)])).await;
    assert_eq!(chosen.headers[header::LOCATION], "/codes");
    assert!(owner.beside("bo", &phrase).await.is_err() && owner.beside("bo", OTHER).await.is_ok());
    owner.post("/users/told", &format!("csrf={}", owner.csrf().await)).await;
    assert!(!owner.get("/users").await.text.contains(&phrase));
}

#[tokio::test]
async fn credentials_for_the_cluster_need_the_pass_phrase_and_are_noted() {
    let owner = Browser::opened(SECRET).await;
    let user = owner.with_user("vi", "viewer").await;
    let csrf = user.csrf().await;
    let refused = user.post("/account/kubeconfig", &form_of(&[("csrf", &csrf), ("now", OTHER)])).await;
    assert!(refused.status == StatusCode::FORBIDDEN && refused.text.contains("USR-111") && !refused.text.contains("sample kubeconfig"));
    let made = user.post("/account/kubeconfig", &form_of(&[("csrf", &csrf), ("now", PASS)])).await;
    assert_eq!(made.text, "sample kubeconfig of vi, viewer");
    assert_eq!(made.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"vi.kubeconfig\"");
    assert!(owner.audit().contains("\"action\":\"kubeconfig\",\"about\":\"viewer for 7 days\""));
}

#[tokio::test]
async fn a_damaged_file_of_users_opens_nothing() {
    let browser = Browser::opened(SECRET).await;
    std::fs::write(browser.data().join("users.json"), "{").expect("written");
    assert_eq!(browser.get("/").await.headers[header::LOCATION], "/login");
    assert_eq!(browser.get("/unlock").await.status, StatusCode::NOT_FOUND);
    let answer = browser.post("/login", &form_of(&[("name", "ada"), ("pass", PASS)])).await;
    assert!(answer.status == StatusCode::FORBIDDEN && answer.text.contains("USR-107"));
}

#[tokio::test]
async fn a_support_bundle_is_handed_to_the_session_that_made_it_until_it_is_kept_and_to_no_viewer() {
    let owner = Browser::opened(SECRET).await;
    let (viewer, user) = (owner.with_user("vi", "viewer").await, owner.with_user("op", "operator").await);
    let refused = viewer.post("/support", &format!("csrf={}", viewer.csrf().await)).await;
    assert!(refused.status == StatusCode::FORBIDDEN && viewer.get("/support/file").await.status == StatusCode::FORBIDDEN);
    assert_eq!(user.get("/support/file").await.headers[header::LOCATION], "/support", "there is none yet");
    assert_eq!(user.post("/support", "csrf=x").await.status, StatusCode::FORBIDDEN);
    let csrf = user.csrf_of("/support").await;
    assert_eq!(user.post("/support", &format!("csrf={csrf}")).await.headers[header::LOCATION], "/support");
    let page = user.get("/support").await.text;
    assert!(page.contains("ABCD-EFGH-JKMN-PQRS-TVWX-YZ01") && page.contains("kubelet.log") && page.contains("they hold posts"));
    let file = user.get("/support/file").await;
    assert_eq!((file.text.as_str(), &file.headers[header::CONTENT_DISPOSITION]), ("sample bundle", &"attachment; filename=\"antihate-support-sample.tar.zst.age\"".parse().expect("a value")));
    assert!(!owner.get("/support").await.text.contains("ABCD-EFGH"), "another session");
    user.post("/support/kept", &format!("csrf={csrf}")).await;
    assert!(!user.get("/support").await.text.contains("ABCD-EFGH"));
    assert_eq!(user.get("/support/file").await.headers[header::LOCATION], "/support");
    assert!(owner.audit().contains("\"action\":\"support\""));
}
