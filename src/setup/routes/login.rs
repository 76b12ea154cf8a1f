//! Coming in with name and pass phrase or with a recovery code, and going out.

use super::owner::differ;
use super::{Bare, Known, admitted, entrance, foreign};
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::session::{COOKIE, Who};
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The login form.
#[derive(Deserialize)]
pub struct Login {
    name: String,
    pass: String,
}

/// The form of a lost pass phrase.
#[derive(Deserialize)]
pub struct Recovery {
    name: String,
    code: String,
    pass: String,
    again: String,
}

/// The login form, or the way to it.
pub async fn form(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    if !desk.door.is_claimed() {
        return entrance(&desk).into_response();
    }
    match desk.session_of(&headers).and_then(|id| desk.me(&id)) {
        Some(_) => Redirect::to("/").into_response(),
        None => desk.pages.page("login.html", context! { name => "", problem => () }),
    }
}

/// One try.
pub async fn log_in(State(desk): State<Arc<Desk>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Login>) -> Response {
    let (name, pass) = (form.name.trim(), Zeroizing::new(form.pass));
    match desk.door.log_in(peer.ip(), name, pass).await {
        Ok(user) => {
            let (cookie, id) = desk.open_session(Who::User(user.name));
            desk.note_or_warn(&id, peer.ip(), Action::Login, None);
            let setup = desk.me(&id).is_some_and(|me| me.setup);
            admitted(&cookie, if user.one_time { "/account" } else if setup { "/setup" } else { "/" })
        }
        Err(problem) => {
            note_refusal(&desk, peer, name, &problem);
            (StatusCode::FORBIDDEN, desk.pages.page("login.html", context! { name, problem })).into_response()
        }
    }
}

/// Wrong tries are noted. A name that nobody has is not: it may be a pass phrase in the wrong field.
fn note_refusal(desk: &Desk, peer: SocketAddr, name: &str, problem: &Problem) {
    if !["USR-111", "USR-113"].contains(&problem.code.as_str()) {
        return;
    }
    let users = desk.door.users().ok();
    let who = users.as_ref().and_then(|u| u.find(name)).map_or("", |u| u.name.as_str());
    desk.note_refused(who, peer.ip(), Action::WrongLogin);
}

/// The form of a lost pass phrase.
pub async fn recovery(State(desk): State<Arc<Desk>>) -> Response {
    if !desk.door.is_claimed() {
        return entrance(&desk).into_response();
    }
    desk.pages.page("recover.html", context! { name => "", problem => () })
}

/// One try with a recovery code; it leads to a session like a login.
pub async fn recover(State(desk): State<Arc<Desk>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Recovery>) -> Response {
    let [code, pass, again] = [form.code, form.pass, form.again].map(Zeroizing::new);
    let name = form.name.trim();
    let done = if *pass == *again { desk.door.recover(peer.ip(), name, code, pass).await } else { Err(differ()) };
    if let Err(problem) = done {
        note_refusal(&desk, peer, name, &problem);
        return (StatusCode::FORBIDDEN, desk.pages.page("recover.html", context! { name, problem })).into_response();
    }
    let name = desk.door.users().ok().and_then(|u| u.find(name).map(|u| u.name.clone())).unwrap_or_else(|| name.to_owned());
    let (cookie, id) = desk.open_session(Who::User(name.clone()));
    desk.close_others(&name, &id);
    desk.note_or_warn(&id, peer.ip(), Action::Recover, None);
    admitted(&cookie, "/")
}

/// Ends the session.
pub async fn log_out(State(desk): State<Arc<Desk>>, Known(id, _): Known, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Bare>) -> Response {
    if !desk.sent(&id, &form.csrf) {
        return foreign(&desk);
    }
    desk.note_or_warn(&id, peer.ip(), Action::Logout, None);
    desk.close_session(&id);
    let gone = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}
