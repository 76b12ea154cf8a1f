//! Opening the page of an unclaimed node with the PIN, and what may be seen before anybody came in.

use super::{admitted, nowhere, wants_part};
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::pin::Verdict;
use crate::setup::session::Who;
use crate::setup::view;
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use minijinja::context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

/// The field of the unlock form.
#[derive(Deserialize)]
pub struct PinForm {
    pin: String,
}

/// The PIN form.
pub async fn form(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    if desk.door.is_claimed() {
        return nowhere(State(desk)).await;
    }
    if desk.session_of(&headers).is_some() {
        return Redirect::to("/owner").into_response();
    }
    shown(&desk, None)
}

fn shown(desk: &Desk, problem: Option<Problem>) -> Response {
    let steps = view::preparing(&desk.provider.status().borrow(), Utc::now());
    desk.pages.page("unlock.html", context! { steps, problem })
}

/// One try with a PIN.
pub async fn unlock(State(desk): State<Arc<Desk>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<PinForm>) -> Response {
    if desk.door.is_claimed() {
        return nowhere(State(desk)).await;
    }
    let verdict = desk.attempt(peer.ip(), &form.pin);
    if verdict != Verdict::Open {
        note_refusal(&desk, peer, verdict);
        return (StatusCode::FORBIDDEN, shown(&desk, Some(problem(verdict)))).into_response();
    }
    let (cookie, id) = desk.open_session(Who::Claiming);
    desk.note_or_warn(&id, peer.ip(), Action::Unlock, None);
    tracing::info!(from = %peer.ip(), "the page was opened with the PIN");
    admitted(&cookie, "/owner")
}

fn note_refusal(desk: &Desk, peer: SocketAddr, verdict: Verdict) {
    if matches!(verdict, Verdict::Wait { .. }) {
        return; // nothing was tried
    }
    desk.note_refused("", peer.ip(), Action::WrongPin);
}

fn problem(verdict: Verdict) -> Problem {
    let where_it_is = "read the PIN again: it is on the console, and `sudo antihate setup-pin` prints it";
    match verdict {
        Verdict::Wait { seconds } => Problem::new("PAG-202", "No PIN is taken just now", "there were too many wrong ones", format!("wait {seconds} s, then {where_it_is}")),
        Verdict::Wrong { left } => {
            let tries = if left == 1 { "1 try is".to_owned() } else { format!("{left} tries are") };
            Problem::new("PAG-201", "This is not the PIN", format!("it is mistyped, used up or older than 10 minutes; {tries} left before a new one"), where_it_is)
        }
        _ => Problem::new("PAG-201", "This is not the PIN", "five tries were wrong, so there is a new PIN now", where_it_is),
    }
}

/// The steps for who has no PIN at hand, refreshed by itself; a script gets only the list.
pub async fn preparing(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let steps = view::preparing(&desk.provider.status().borrow(), Utc::now());
    let name = if wants_part(&headers) { "steps.html" } else { "preparing.html" };
    desk.pages.page(name, context! { steps })
}
