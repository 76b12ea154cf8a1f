//! The page with the checks of the host, asked as a browser would ask.

use super::tests::{Browser, SECRET};
use axum::http::{StatusCode, header};

#[tokio::test]
async fn the_checks_are_shown_by_group_with_why_and_next_to_those_who_came_in() {
    let page = Browser::opened(SECRET).await.get("/check").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text;
    for part in ["This host can carry a node, with the losses that are told: 3 checks, 1 warning, 1 ok, 1 skipped.", "CHK-116", "Run <code>swapoff -a</code>.", "there is no GPU here", "it matters"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let at = |title: &str| text.find(&format!(">{title}</h2>")).unwrap_or_else(|| panic!("no {title}"));
    assert!(at("Memory") < at("Disk") && at("Disk") < at("GPU"));
    assert!(text.contains("seen &lt;b&gt;") && !text.contains("<b>"), "what was seen is escaped");
}

#[tokio::test]
async fn the_start_page_leads_to_them_and_a_stranger_does_not_see_them() {
    let browser = Browser::opened(SECRET).await;
    assert!(browser.get("/").await.text.contains("href=\"/check\""));
    let stranger = Browser::new(SECRET).get("/check").await;
    assert_eq!((stranger.status, stranger.headers[header::LOCATION].to_str().ok()), (StatusCode::SEE_OTHER, Some("/unlock")));
}
