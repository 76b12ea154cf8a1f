//! The setup screens asked as a browser would ask: once through, twice, from a second window, after going back, over a reboot.

use super::tests::{Answer, Browser, PASS, SECRET, form_of};
use axum::http::{StatusCode, header};
use rand::{Rng, SeedableRng, rngs::StdRng};

const SOURCES: &[(&str, &str)] = &[("feeds", "https://news.example/feed.xml"), ("servers", ""), ("hashtags", ""), ("languages", "en de"), ("poll_seconds", "60"), ("retention_days", "14"), ("sample", "yes")];
const WAY: &[(&str, &[(&str, &str)])] = &[
    ("welcome", &[("language", "en"), ("site", "Harbour <b>")]),
    ("check", &[("accept", "yes")]),
    ("network", &[("internet", "yes")]),
    ("enroll", &[("when", "later")]),
    ("sources", SOURCES),
    ("review", &[]),
    ("install", &[]),
    ("done", &[("kept", "yes")]),
];

impl Browser {
    /// After the host was switched off and on: another process over the same files, logged in anew.
    async fn rebooted(self, name: &str, pass: &str) -> Browser {
        let mut after = Browser::at(self.node, self.dir);
        let answer = after.post("/login", &form_of(&[("name", name), ("pass", pass)])).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        after.keep_cookie(&answer);
        after
    }

    /// Tokens that were sent to a hub.
    fn sent(&self) -> Vec<String> {
        self.node.sent.lock().expect("lock").clone()
    }
}

fn place(answer: &Answer) -> &str {
    answer.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default()
}

fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().expect("value").to_owned()
}

/// The fields of a form of the screen as it is shown now.
async fn opened_form(browser: &Browser, screen: &str, fields: &[(&str, &str)]) -> String {
    let page = browser.get(&format!("/setup/{screen}")).await;
    assert_eq!(page.status, StatusCode::OK, "{screen}: {}", place(&page));
    let page = page.text.split_once(&format!("action=\"/setup/{screen}\"")).unwrap_or_else(|| panic!("no form on {screen}")).1.to_owned();
    let (csrf, form) = (hidden(&page, "csrf"), hidden(&page, "form"));
    form_of(&[&[("csrf", csrf.as_str()), ("form", form.as_str())], fields].concat())
}

async fn give(browser: &Browser, screen: &str, fields: &[(&str, &str)]) -> Answer {
    let form = opened_form(browser, screen, fields).await;
    browser.post(&format!("/setup/{screen}"), &form).await
}

async fn go_to(browser: &Browser, screen: &str) {
    for (name, fields) in WAY.iter().take_while(|(name, _)| *name != screen) {
        assert_eq!(give(browser, name, fields).await.status, StatusCode::SEE_OTHER, "{name}");
    }
}

fn kept(browser: &Browser) -> String {
    std::fs::read_to_string(browser.data().join("setup.json")).expect("setup.json")
}

fn settings(browser: &Browser) -> String {
    std::fs::read_to_string(browser.data().join("settings.toml")).unwrap_or_default()
}

#[tokio::test]
async fn an_owner_is_led_through_all_screens_once_and_then_they_are_gone() {
    let browser = Browser::opened(SECRET).await;
    assert!(browser.get("/").await.text.contains("The setup is not finished"));
    for (at, (screen, fields)) in WAY.iter().enumerate() {
        assert_eq!(place(&browser.get("/setup").await), format!("/setup/{screen}"));
        if let Some((later, _)) = WAY.get(at + 1) {
            assert_eq!(place(&browser.get(&format!("/setup/{later}")).await), format!("/setup/{screen}"), "nobody skips a screen");
        }
        assert_eq!(settings(&browser).is_empty(), at <= 5, "nothing is in force before the review");
        let next = WAY.get(at + 1).map_or("/".to_owned(), |(next, _)| format!("/setup/{next}"));
        assert_eq!(place(&give(&browser, screen, fields).await), next, "{screen}");
    }
    let written = settings(&browser);
    assert!(written.contains("retention_days = 14") && written.contains("sample = true") && written.contains("https://news.example/feed.xml"), "{written}");
    for path in ["/setup", "/setup/welcome", "/setup/review", "/setup/done", "/setup/answers.toml"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let csrf = browser.csrf().await;
    for path in ["/setup/welcome", "/setup/language", "/setup/send", "/setup/other", "/setup/review"] {
        assert_eq!(browser.post(path, &form_of(&[("csrf", &csrf), ("form", "0"), ("language", "de"), ("site", "x")])).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let home = browser.get("/").await.text;
    assert!(home.contains("Harbour &lt;b&gt;") && !home.contains("The setup is not finished"));
    assert_eq!(browser.audit().matches("\"action\":\"setup\"").count(), WAY.len());
}

#[tokio::test]
async fn a_form_that_is_sent_twice_counts_once_and_an_older_one_shows_the_newer_answer_and_asks() {
    let browser = Browser::opened(SECRET).await;
    let form = opened_form(&browser, "welcome", &[("language", "en"), ("site", "Harbour")]).await;
    let other = form.replace("Harbour", "Castle");
    assert_eq!(place(&browser.post("/setup/welcome", &form).await), "/setup/check");
    let before = kept(&browser);
    assert_eq!(place(&browser.post("/setup/welcome", &form).await), "/setup/check", "the second press leads on");
    let asked = browser.post("/setup/welcome", &other).await;
    assert_eq!(asked.status, StatusCode::CONFLICT);
    assert!(asked.text.contains("SET-103") && asked.text.contains("value=\"Harbour\"") && !asked.text.contains("Castle"));
    assert_eq!(kept(&browser), before);
    assert_eq!(place(&give(&browser, "welcome", &[("language", "en"), ("site", "Castle")]).await), "/setup/check");
    assert!(kept(&browser).contains("Castle"));
    assert_eq!(browser.post("/setup/welcome", "csrf=x&form=0&language=en").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_last_form_may_be_sent_twice_like_any_other() {
    let browser = Browser::opened(SECRET).await;
    go_to(&browser, "done").await;
    let refused = give(&browser, "done", &[]).await;
    assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("SET-110"));
    let form = opened_form(&browser, "done", &[("kept", "yes")]).await;
    assert_eq!(place(&browser.post("/setup/done", &form).await), "/");
    assert_eq!(place(&browser.post("/setup/done", &form).await), "/");
    assert_eq!(browser.audit().matches("\"action\":\"setup\"").count(), WAY.len());
}

#[tokio::test]
async fn what_is_typed_wrongly_stays_and_is_explained_in_the_readers_language() {
    let browser = Browser::opened(SECRET).await;
    go_to(&browser, "check").await;
    let refused = give(&browser, "check", &[]).await;
    assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("SET-104"));
    give(&browser, "check", &[("accept", "yes")]).await;
    give(&browser, "network", &[("internet", "no")]).await;
    for (field, value, code) in [("retention_days", "0", "CFG-106"), ("retention_days", "ten", "SET-108"), ("feeds", "[nowhere", "SET-109"), ("servers", "a.example", "SET-105")] {
        let fields: Vec<(&str, &str)> = SOURCES.iter().map(|(n, v)| (*n, if *n == field { value } else { *v })).collect();
        let refused = give(&browser, "sources", &fields).await;
        assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains(code) && refused.text.contains(value), "{code}: {}", refused.text);
    }
    let form = opened_form(&browser, "sources", &[("poll_seconds", "x"), ("retention_days", "1")]).await;
    let german = browser.form("/setup/sources").header(header::ORIGIN, format!("https://{}", super::tests::HOST)).header(header::ACCEPT_LANGUAGE, "de");
    assert!(browser.send(german, &form).await.text.contains("is not a whole number"), "the owner's answer counts before the browser");
}

#[tokio::test]
async fn a_token_is_read_before_it_is_sent_kept_over_a_reboot_and_never_comes_back() {
    let browser = Browser::opened(SECRET).await;
    go_to(&browser, "enroll").await;
    for (token, code) in [("", "SET-111"), ("bad-token", "ENR-101")] {
        let refused = give(&browser, "enroll", &[("when", "now"), ("token", token)]).await;
        assert!(refused.text.contains(code) && (token.is_empty() || !refused.text.contains(token)));
    }
    give(&browser, "enroll", &[("when", "now"), ("token", "good-\ntoken")]).await;
    let browser = browser.rebooted("ada", PASS).await;
    let page = browser.get("/setup/enroll").await.text;
    assert!(page.contains("sample-land") && page.contains("amber birch cedar dune") && !page.contains("good-token"));
    assert!(browser.sent().is_empty() && !kept(&browser).contains("good-token"), "nothing was sent, and the answers hold no secret");
    let csrf = hidden(&page, "csrf");
    for _ in 0..2 {
        assert_eq!(place(&browser.post("/setup/send", &form_of(&[("csrf", &csrf)])).await).split('/').nth(1), Some("setup"));
    }
    assert_eq!(browser.sent(), ["good-token"]);
    assert!(!browser.data().join("secrets/setup-token").exists());
    give(&browser, "sources", SOURCES).await;
    let file = browser.get("/setup/answers.toml").await;
    assert!(file.text.contains("when = \"now\"") && file.text.contains("name = \"ada\"") && !file.text.contains("good-token") && !file.text.contains(PASS));
}

#[tokio::test]
async fn the_screens_speak_the_language_of_the_browser_and_a_choice_counts_more() {
    let browser = Browser::opened(SECRET).await;
    let ask = |language: &'static str| browser.send(axum::http::Request::get("/setup/welcome").header(header::HOST, super::tests::HOST).header(header::ACCEPT_LANGUAGE, language), "");
    for (wish, mark) in [("ar", "<html lang=\"ar\" dir=\"rtl\">"), ("es-MX", "<html lang=\"es\" dir=\"ltr\">"), ("de", "Willkommen"), ("fr", "Welcome")] {
        assert!(ask(wish).await.text.contains(mark), "{wish}");
    }
    let page = ask("es").await.text;
    let chosen = browser.post("/setup/language", &form_of(&[("csrf", &hidden(&page, "csrf")), ("language", "ar")])).await;
    assert!(chosen.headers[header::SET_COOKIE].to_str().expect("text").starts_with("__Host-antihate-language=ar; Path=/; Secure"));
}

#[tokio::test]
async fn a_viewer_and_a_stranger_find_no_setup() {
    let browser = Browser::opened(SECRET).await;
    let viewer = browser.with_user("vi", "viewer").await;
    assert_eq!(viewer.get("/setup").await.status, StatusCode::NOT_FOUND);
    assert!(!viewer.get("/").await.text.contains("The setup is not finished"));
    assert_eq!(place(&Browser::new(SECRET).get("/setup/welcome").await), "/unlock");
}

#[tokio::test]
async fn a_damaged_file_is_told_and_opens_nothing() {
    let browser = Browser::opened(SECRET).await;
    std::fs::write(browser.data().join("setup.json"), "{").expect("written");
    let told = browser.get("/setup").await;
    assert!(told.status == StatusCode::INTERNAL_SERVER_ERROR && told.text.contains("SET-101"));
}

/// Promise X8: fifty random walks of windows that stay open, repeated forms, going back and reboots.
#[tokio::test]
async fn over_fifty_random_walks_no_answer_is_lost_and_no_form_counts_twice() {
    let mut dice = StdRng::seed_from_u64(8);
    let mut browser = Browser::opened(SECRET).await;
    for walk in 0..50 {
        std::fs::remove_file(browser.data().join("setup.json")).expect("begun anew");
        browser.desk.wizard.begin().expect("begun");
        browser = browser.rebooted("ada", PASS).await; // also a fresh count of requests
        let mut open: Vec<(&str, String)> = Vec::new();
        for _ in 0..12 {
            let at = place(&browser.get("/setup").await).trim_start_matches("/setup/").to_owned();
            let Some(now) = WAY.iter().position(|(name, _)| *name == at) else { break };
            let (screen, fields) = WAY[dice.gen_range(now.saturating_sub(2)..=now)];
            if open.is_empty() || dice.gen_bool(0.9) {
                open.push((screen, opened_form(&browser, screen, fields).await));
            }
            let (screen, form) = open[dice.gen_range(0..open.len())].clone();
            let path = format!("/setup/{screen}");
            let first = browser.post(&path, &form).await;
            let (after, deeds) = (kept(&browser), browser.audit().lines().count());
            let second = browser.post(&path, &form).await;
            assert_eq!((kept(&browser), browser.audit().lines().count()), (after.clone(), deeds), "walk {walk}: {screen} counted twice");
            let fine = |a: &Answer| [StatusCode::SEE_OTHER, StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&a.status);
            assert!(fine(&first) && fine(&second), "walk {walk}: {screen} {} {}", first.status, second.status);
            if dice.gen_bool(0.2) {
                browser = browser.rebooted("ada", PASS).await;
                open.clear(); // the forms of another process belong to sessions that are gone
                assert_eq!(kept(&browser), after, "walk {walk}: a reboot lost something");
            }
        }
    }
}
