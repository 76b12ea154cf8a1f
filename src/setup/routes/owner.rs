//! Claiming the node: who has the PIN makes the owner, once. Afterwards this page and the PIN are gone.

use super::{Claiming, admitted, foreign};
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::session::{Id, Once, Who};
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The form of the owner's account.
#[derive(Deserialize)]
pub struct Owner {
    csrf: String,
    name: String,
    pass: String,
    again: String,
}

/// The pass phrase was typed twice, differently.
pub(super) fn differ() -> Problem {
    Problem::new("USR-115", "The two pass phrases differ", "one of them is mistyped", "Type it in both fields again.")
}

/// The form.
pub async fn form(State(desk): State<Arc<Desk>>, Claiming(id): Claiming) -> Response {
    shown(&desk, &id, "", None)
}

fn shown(desk: &Desk, id: &Id, name: &str, problem: Option<&Problem>) -> Response {
    let Some(csrf) = desk.with(id, true, |s| s.csrf.clone()) else { return foreign(desk) };
    desk.pages.page("owner.html", context! { csrf, name, problem })
}

/// Claims the node; the session with the PIN ends, the owner's begins.
pub async fn claim(State(desk): State<Arc<Desk>>, Claiming(id): Claiming, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Owner>) -> Response {
    let (pass, again) = (Zeroizing::new(form.pass), Zeroizing::new(form.again));
    if !desk.sent(&id, &form.csrf) {
        return foreign(&desk);
    }
    let name = form.name.trim();
    // Begun before the node is claimed: a power cut between the two must not lose the setup.
    let begun = if desk.provider.has_setup() { desk.wizard.begin() } else { Ok(()) };
    let made = match begun {
        Err(problem) => Err(problem),
        Ok(()) if *pass != *again => Err(differ()),
        Ok(()) => desk.door.claim(name, pass).await,
    };
    let codes = match made {
        Ok(codes) => codes,
        Err(problem) => return (StatusCode::FORBIDDEN, shown(&desk, &id, name, Some(&problem))).into_response(),
    };
    desk.close_session(&id);
    desk.tell_or_warn();
    let (cookie, id) = desk.open_session(Who::User(name.to_owned()));
    desk.with(&id, true, |s| s.codes = Some(Once { name: name.to_owned(), secrets: codes }));
    desk.note_or_warn(&id, peer.ip(), Action::Claim, Some(name));
    tracing::info!(user = name, from = %peer.ip(), "the node was claimed");
    admitted(&cookie, "/codes")
}
