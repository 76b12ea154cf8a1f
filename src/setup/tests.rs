//! The page's routes behind their guard, asked as a browser would ask.

use super::desk::{Desk, Told};
use super::page::guarded;
use super::render::Pages;
use super::sample::{self, SampleNode};
use crate::status::{PageAt, Problem};
use crate::web::guard::Names;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tower::ServiceExt;

pub(super) const HOST: &str = "sample.local:8443";
pub(super) const SECRET: &str = "a wholly ordinary sentence";
pub(super) const PASS: &str = "four-tall-birds-whistle";
/// A form's body.
pub(super) fn form_of(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub(super) struct Browser {
    pub(super) desk: Arc<Desk>,
    pub(super) node: Arc<SampleNode>,
    router: Router,
    cookie: String,
    pub(super) dir: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn new(text: &str) -> Browser {
        crate::telemetry::init(false);
        Browser::at(Arc::new(SampleNode::new(vec![sample::post("1", text)])), tempfile::tempdir().expect("dir"))
    }

    /// At a page that begins with what lies in the folder.
    pub(super) fn at(node: Arc<SampleNode>, dir: tempfile::TempDir) -> Browser {
        let told = Told { at: PageAt { addresses: vec![format!("https://{HOST}")], fingerprint: "9C:41".into(), name: None }, authority: "PEM".into() };
        let pages = Pages::new("sample", "9C:41").expect("templates");
        let desk = Arc::new(Desk::new(node.clone(), pages, dir.path(), dir.path().join("setup-pin"), told));
        let router = guarded(&desk, Names::new(["sample.local".into()])).layer(MockConnectInfo(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 4242))));
        Browser { desk, node, router, cookie: String::new(), dir }
    }

    /// With the PIN typed.
    pub(super) async fn with_pin(text: &str) -> Browser {
        let mut browser = Browser::new(text);
        let answer = browser.post("/unlock", &format!("pin={}", browser.pin())).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        browser.keep_cookie(&answer);
        browser
    }

    /// Claimed by its owner, who is logged in.
    pub(super) async fn opened(text: &str) -> Browser {
        let mut browser = Browser::with_pin(text).await;
        let answer = browser.claim("ada", PASS, PASS).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser.keep_cookie(&answer);
        browser
    }

    pub(super) async fn claim(&self, name: &str, pass: &str, again: &str) -> Answer {
        let csrf = self.csrf_of("/owner").await;
        self.post("/owner", &format!("csrf={csrf}&name={name}&pass={pass}&again={again}")).await
    }

    /// Another browser at the same node, logged in as `name`.
    pub(super) async fn beside(&self, name: &str, pass: &str) -> Result<Browser, Answer> {
        let dir = tempfile::tempdir().expect("dir");
        let mut other = Browser { desk: self.desk.clone(), node: self.node.clone(), router: self.router.clone(), cookie: String::new(), dir };
        let answer = other.post("/login", &form_of(&[("name", name), ("pass", pass)])).await;
        if answer.status != StatusCode::SEE_OTHER {
            return Err(answer);
        }
        other.keep_cookie(&answer);
        Ok(other)
    }

    /// Adds a user, who has chosen a pass phrase and is logged in.
    pub(super) async fn with_user(&self, name: &str, role: &str) -> Browser {
        self.post("/users/add", &format!("csrf={}&name={name}&role={role}", self.csrf().await)).await;
        let phrase = self.phrase().await;
        let other = self.beside(name, &phrase).await.unwrap_or_else(|a| panic!("{}", a.text));
        let csrf = other.csrf_of("/account").await;
        other.post("/account/pass", &form_of(&[("csrf", &csrf), ("pass", PASS), ("again", PASS)])).await;
        other
    }

    /// The pass phrase that the list of users shows.
    pub(super) async fn phrase(&self) -> String {
        let page = self.get("/users").await.text;
        let (_, rest) = page.split_once("<code id=\"phrase\">").unwrap_or_else(|| panic!("no phrase: {page}"));
        rest.split('<').next().expect("phrase").to_owned()
    }

    pub(super) fn pin(&self) -> String {
        self.desk.pin().expect("unclaimed")
    }

    pub(super) fn keep_cookie(&mut self, answer: &Answer) {
        let set = answer.headers[header::SET_COOKIE].to_str().expect("text");
        self.cookie = set.split(';').next().expect("cookie").to_owned();
    }

    pub(super) async fn send(&self, request: axum::http::request::Builder, body: &str) -> Answer {
        let request = request.header(header::COOKIE, &self.cookie).body(Body::from(body.to_owned())).expect("request");
        let answer = self.router.clone().oneshot(request).await.expect("answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = to_bytes(answer.into_body(), 1 << 22).await.expect("body");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        assert!(!text.contains("PAG-500"), "a template is broken: run with ANTIHATE_LOG=error to see which");
        Answer { status, headers, text }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header(header::HOST, HOST), "").await
    }

    pub(super) async fn post(&self, path: &str, form: &str) -> Answer {
        self.send(self.form(path).header(header::ORIGIN, format!("https://{HOST}")), form).await
    }

    pub(super) fn form(&self, path: &str) -> axum::http::request::Builder {
        Request::builder().method(Method::POST).uri(path).header(header::HOST, HOST).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    pub(super) async fn csrf(&self) -> String {
        self.csrf_of("/account").await
    }

    pub(super) async fn csrf_of(&self, path: &str) -> String {
        let page = self.get(path).await.text;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split('"').next().expect("value").to_owned()
    }

    pub(super) fn audit(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("logs/audit.log")).unwrap_or_default()
    }

    pub(super) fn data(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(super) fn pin_file(&self) -> PathBuf {
        self.dir.path().join("setup-pin")
    }
}

#[tokio::test]
async fn without_the_pin_every_page_leads_to_the_unlock_form_and_tells_nothing() {
    let browser = Browser::new(SECRET);
    for path in ["/", "/logs?name=kube-apiserver", "/enroll", "/events"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.headers[header::LOCATION], "/unlock", "{path}");
    }
    for path in ["/unlock", "/preparing"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.text.contains("ordinary") && !answer.text.contains("postgres") && answer.text.contains(env!("CARGO_PKG_VERSION")));
        assert!(!answer.text.contains(&browser.pin()));
    }
    for path in ["/posts/reveal", "/posts/mask", "/logout", "/enroll/decode", "/enroll/send", "/enroll/cancel", "/users/add", "/users/remove", "/account/pass", "/account/kubeconfig", "/owner"] {
        assert_eq!(browser.post(path, "csrf=x&post=2024-10-04%2Frss:1&token=good-token&name=eve&role=owner&pass=x&again=x&now=x").await.status, StatusCode::SEE_OTHER, "{path}");
    }
    assert!(browser.node.sent.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn the_pin_opens_once_and_the_cookie_is_bound_to_this_site() {
    let browser = Browser::new(SECRET);
    let pin = browser.pin();
    let first = browser.post("/unlock", &format!("pin={pin}")).await;
    let cookie = first.headers[header::SET_COOKIE].to_str().expect("text");
    for part in ["__Host-antihate=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{part}");
    }
    let second = browser.post("/unlock", &format!("pin={pin}")).await;
    assert_eq!(second.status, StatusCode::FORBIDDEN);
    assert!(second.text.contains("PAG-201") && !second.headers.contains_key(header::SET_COOKIE));
    let told = std::fs::read_to_string(browser.pin_file()).expect("PIN file");
    assert_eq!(told.lines().next(), Some(browser.pin().as_str()));
}

#[tokio::test]
async fn five_wrong_pins_make_a_new_one_and_then_even_the_right_one_waits() {
    let browser = Browser::new(SECRET);
    let old = browser.pin();
    for _ in 0..5 {
        assert_eq!(browser.post("/unlock", "pin=0000-0000").await.status, StatusCode::FORBIDDEN);
    }
    assert_ne!(browser.pin(), old);
    let held = browser.post("/unlock", &format!("pin={}", browser.pin())).await;
    assert_eq!(held.status, StatusCode::FORBIDDEN);
    assert!(held.text.contains("PAG-202"));
    assert_eq!(browser.audit().matches("wrong-pin").count(), 5);
}

#[tokio::test]
async fn of_fifty_claimers_with_one_pin_one_wins() {
    let browser = Browser::new(SECRET);
    let form = format!("pin={}", browser.pin());
    let all = futures::future::join_all((0..50).map(|_| browser.post("/unlock", &form))).await;
    assert_eq!(all.iter().filter(|a| a.status == StatusCode::SEE_OTHER).count(), 1);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let browser = Browser::opened(SECRET).await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'";
    for path in ["/", "/login", "/nowhere", "/assets/x/page.css", "/enroll"] {
        let headers = browser.get(path).await.headers;
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], policy, "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "not with a certificate of our own");
    }
    assert_eq!(browser.get("/").await.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_foreign_name_or_origin_is_refused() {
    let browser = Browser::opened(SECRET).await;
    let rebound = browser.send(Request::get("/").header(header::HOST, "rebind.example"), "").await;
    assert_eq!(rebound.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(rebound.text.contains("PAG-205"));
    let form = format!("csrf={}&post=2024-10-04%2Frss:1", browser.csrf().await);
    for origin in ["https://other.example", "null", "http://sample.local:8443", "https://sample.local:1"] {
        let answer = browser.send(browser.form("/posts/reveal").header(header::ORIGIN, origin), &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(browser.send(browser.form("/posts/reveal"), &form).await.status, StatusCode::FORBIDDEN, "no origin at all");
    assert!(!browser.audit().contains("reveal"));
}

#[tokio::test]
async fn a_form_without_its_sessions_token_changes_nothing() {
    let browser = Browser::opened(SECRET).await;
    let other = Browser::opened(SECRET).await.csrf().await;
    for csrf in ["", "x", other.as_str()] {
        for (path, rest) in [("/posts/reveal", "post=2024-10-04%2Frss:1"), ("/posts/mask", "post=2024-10-04%2Frss:1"), ("/logout", ""), ("/users/add", "name=eve&role=owner"), ("/users/remove", "name=ada"), ("/account/pass", "now=x&pass=y&again=y"), ("/account/kubeconfig", "now=x"), ("/codes/kept", ""), ("/users/told", ""), ("/enroll/decode", "token=good-token"), ("/enroll/send", ""), ("/enroll/cancel", "")] {
            assert_eq!(browser.post(path, &format!("csrf={csrf}&{rest}")).await.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    assert_eq!(browser.get("/").await.status, StatusCode::OK, "still open");
    assert!(!browser.get("/").await.text.contains("ordinary"));
}

#[tokio::test]
async fn a_text_is_in_no_page_before_it_is_revealed_and_each_reveal_is_noted_without_it() {
    let browser = Browser::opened(SECRET).await;
    assert!(!browser.get("/").await.text.contains("ordinary"));
    let form = format!("csrf={}&post=2024-10-04%2Frss%3A1", browser.csrf().await);
    let answer = browser.post("/posts/reveal", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/").await.text.contains(SECRET));
    let audit = browser.audit();
    assert!(audit.contains("\"action\":\"reveal\"") && audit.contains("rss:1") && !audit.contains("ordinary"));
    browser.post("/posts/mask", &form).await;
    assert!(!browser.get("/").await.text.contains("ordinary"));
}

#[tokio::test]
async fn a_revealed_post_stays_on_the_page_after_newer_ones_have_taken_its_place() {
    let browser = Browser::opened(SECRET).await;
    let form = format!("csrf={}&post=2024-10-04%2Frss%3A1", browser.csrf().await);
    browser.post("/posts/reveal", &form).await;
    let newer = (0..super::desk::POSTS).map(|n| sample::post(&format!("newer-{n}"), "mild"));
    let all = newer.chain([sample::post("1", SECRET)]).collect();
    *browser.node.posts.lock().expect("lock") = Ok(all);
    let page = browser.get("/").await.text;
    assert!(page.contains("ordinary") && page.contains("Kept open"));
    browser.post("/posts/mask", &form).await;
    let page = browser.get("/").await.text;
    assert!(!page.contains("ordinary") && !page.contains("Kept open"));
}

#[tokio::test]
async fn one_session_does_not_see_what_another_has_revealed() {
    let browser = Browser::opened(SECRET).await;
    let form = format!("csrf={}&post=2024-10-04%2Frss%3A1", browser.csrf().await);
    browser.post("/posts/reveal", &form).await;
    let second = browser.beside("ada", PASS).await.unwrap_or_else(|a| panic!("{}", a.text));
    assert!(!second.get("/").await.text.contains("ordinary") && browser.get("/").await.text.contains("ordinary"));
}

#[tokio::test]
async fn what_cannot_be_noted_is_not_revealed() {
    let browser = Browser::opened(SECRET).await;
    let logs = browser.dir.path().join("logs");
    std::fs::remove_dir_all(&logs).expect("remove");
    std::fs::write(&logs, b"in the way").expect("write");
    let answer = browser.post("/posts/reveal", &format!("csrf={}&post=2024-10-04%2Frss%3A1", browser.csrf().await)).await;
    assert!(answer.text.contains("PAG-301") && !answer.text.contains("ordinary"));
    assert!(!browser.get("/").await.text.contains("ordinary"));
}

#[tokio::test]
async fn hostile_text_stays_text() {
    for payload in [
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</p><svg onload=alert(1)>", "'\"--></style></script><b>",
        "{{ 7*7 }}{% raw %}", "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    ] {
        let browser = Browser::opened(payload).await;
        browser.node.posts.lock().expect("lock").as_mut().expect("posts")[0].post.author = Some(payload.into());
        let form = format!("csrf={}&post=2024-10-04%2Frss%3A1", browser.csrf().await);
        browser.post("/posts/reveal", &form).await;
        let page = browser.get("/").await.text;
        for raw in ["<script>alert", "<img", "<svg onload", "<b>", "<p title"] {
            assert!(!page.contains(raw), "{payload:?} left {raw}");
        }
        assert!(!payload.contains("7*7") || page.contains("{{ 7*7 }}"), "a template in a text is text");
    }
}

#[tokio::test]
async fn log_lines_are_escaped_and_only_known_parts_have_a_log() {
    let browser = Browser::opened(SECRET).await;
    let page = browser.get("/logs?name=kube-apiserver").await;
    assert!(page.text.contains("line 2") && !page.text.contains("<b>&"));
    let unknown = browser.get("/logs?name=../../etc/passwd").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text.contains("PAG-305"));
}

#[tokio::test]
async fn a_silent_store_leaves_the_rest_of_the_page_useful() {
    let browser = Browser::opened(SECRET).await;
    *browser.node.posts.lock().expect("lock") = Err(Problem::new("STO-101", "The store does not answer", "it is starting", "wait"));
    let page = browser.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("STO-101") && page.text.contains("Posts a minute") && page.text.contains("kube-apiserver"));
}

#[tokio::test]
async fn a_token_is_shown_in_words_before_it_is_sent_and_never_comes_back() {
    let browser = Browser::opened(SECRET).await;
    let csrf = browser.csrf().await;
    browser.post("/enroll/decode", &format!("csrf={csrf}&token=good-%0Atoken")).await;
    let page = browser.get("/enroll").await.text;
    assert!(page.contains("sample-land") && page.contains("amber birch cedar dune") && !page.contains("good-token"));
    assert!(browser.node.sent.lock().expect("lock").is_empty(), "nothing was sent yet");
    browser.post("/enroll/send", &format!("csrf={csrf}")).await;
    assert_eq!(*browser.node.sent.lock().expect("lock"), ["good-token"]);
    browser.post("/enroll/send", &format!("csrf={csrf}")).await;
    assert_eq!(browser.node.sent.lock().expect("lock").len(), 1, "the second press sends nothing");
    assert!(browser.audit().contains("\"action\":\"enroll\"") && !browser.audit().contains("good-token"));
}

#[tokio::test]
async fn a_wrong_token_is_answered_with_code_cause_and_next_step() {
    let browser = Browser::opened(SECRET).await;
    browser.post("/enroll/decode", &format!("csrf={}&token=bad-token", browser.csrf().await)).await;
    let page = browser.get("/enroll").await.text;
    assert!(page.contains("ENR-101") && page.contains("check digits") && page.contains("copy the whole token") && !page.contains("bad-token"));
}

#[tokio::test]
async fn who_has_gone_out_is_out() {
    let browser = Browser::opened(SECRET).await;
    let csrf = browser.csrf().await;
    browser.post("/logout", &format!("csrf={csrf}")).await;
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn bodies_are_capped() {
    let browser = Browser::opened(SECRET).await;
    let long = format!("csrf=x&token={}", "x".repeat(65 * 1024));
    let answer = browser.post("/enroll/decode", &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_page_refreshes_itself_only_without_a_script_and_the_refresh_can_be_paused() {
    let browser = Browser::opened(SECRET).await;
    assert!(browser.get("/").await.text.contains("<noscript><meta http-equiv=\"refresh\" content=\"5;url=/?auto\"></noscript>"));
    assert!(!browser.get("/?still").await.text.contains("http-equiv=\"refresh\""));
}

#[tokio::test]
async fn a_live_page_gets_its_live_part_as_an_event() {
    use futures::StreamExt;
    let browser = Browser::opened(SECRET).await;
    let request = Request::get("/events").header(header::HOST, HOST).header(header::COOKIE, &browser.cookie).body(Body::empty()).expect("request");
    let mut body = browser.router.clone().oneshot(request).await.expect("answer").into_body().into_data_stream();
    let first = String::from_utf8(body.next().await.expect("event").expect("bytes").to_vec()).expect("UTF-8");
    assert!(first.contains("event: live") && first.contains("Is it working?") && !first.contains("ordinary"));
}
