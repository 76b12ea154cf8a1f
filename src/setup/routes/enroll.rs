//! The enrollment field: a token is decoded here and shown in words before anything is sent.
//!
//! The token stays in the session on this side; no page ever holds it.

use super::{Bare, Opened, foreign, not_for};
use crate::domain::Right;
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::session::Id;
use crate::setup::view;
use crate::setup::words::when;
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use minijinja::context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The page waits so long for the hub; the enrollment may be repeated afterwards.
const HUB: Duration = Duration::from_secs(30);

/// A pasted token.
#[derive(Deserialize)]
pub struct Pasted {
    csrf: String,
    token: String,
}

/// The form in its present state: empty, or with what the token says.
pub async fn form(State(desk): State<Arc<Desk>>, Opened(id, me): Opened) -> Response {
    let node = view::node(&desk.provider.status().borrow(), Utc::now());
    let Some((csrf, token, problem)) = desk.with(&id, true, |s| (s.csrf.clone(), s.token.clone(), s.problem.clone())) else { return foreign(&desk) };
    let decoded = token.as_ref().map(|t| desk.provider.decode_token(t));
    let facts = decoded.as_ref().and_then(|d| d.as_ref().ok()).map(|f| {
        let expires = f.expires.map(|at| when(at, Utc::now()));
        context! { geography => f.geography, hub => f.hub, expires, words => f.words }
    });
    desk.pages.page("enroll.html", context! { node, csrf, facts, problem, me })
}

/// Decodes a pasted token; nothing is sent.
pub async fn decode(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, Form(form): Form<Pasted>) -> Response {
    if let Some(response) = not_for(&desk, &me, Right::Enroll) {
        return response;
    }
    let whole = Zeroizing::new(form.token);
    let pasted: Zeroizing<String> = Zeroizing::new(whole.split_whitespace().collect());
    let decoded = desk.provider.decode_token(&pasted);
    let kept = desk.with(&id, true, |s| {
        let own = s.sent(&form.csrf);
        if own {
            s.problem = decoded.as_ref().err().cloned();
            s.token = decoded.is_ok().then_some(pasted);
        }
        own
    });
    if kept == Some(true) { back() } else { foreign(&desk) }
}

/// Forgets a pasted token.
pub async fn cancel(State(desk): State<Arc<Desk>>, Opened(id, _): Opened, Form(form): Form<Bare>) -> Response {
    let kept = desk.with(&id, true, |s| s.sent(&form.csrf).then(|| (s.token, s.problem) = (None, None)));
    if kept == Some(Some(())) { back() } else { foreign(&desk) }
}

/// Sends the confirmed token to its hub.
pub async fn send(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Bare>) -> Response {
    let Some(Some(token)) = desk.with(&id, true, |s| s.sent(&form.csrf).then(|| s.token.clone())) else { return foreign(&desk) };
    if let Some(response) = not_for(&desk, &me, Right::Enroll) {
        return response;
    }
    let Some(token) = token else { return back() };
    desk.note_or_warn(&id, peer.ip(), Action::Enroll, None);
    let outcome = ask_hub(&desk, &token).await;
    settle(&desk, &id, outcome)
}

/// Asks the hub, and waits no longer than a person would.
pub(super) async fn ask_hub(desk: &Desk, token: &str) -> Result<(), Problem> {
    let late = || Problem::new("PAG-306", "The hub has not answered yet", "no answer came within 30 s", "press the button again: asking twice does no harm");
    tokio::time::timeout(HUB, desk.provider.enroll(token)).await.unwrap_or_else(|_| Err(late()))
}

/// Keeps the token for another try when the hub did not take it.
fn settle(desk: &Desk, id: &Id, outcome: Result<(), Problem>) -> Response {
    let done = outcome.is_ok();
    desk.with(id, true, |s| {
        s.problem = outcome.err();
        if done {
            s.token = None;
        }
    });
    if done { Redirect::to("/#upstream").into_response() } else { back() }
}

fn back() -> Response {
    Redirect::to("/enroll").into_response()
}
