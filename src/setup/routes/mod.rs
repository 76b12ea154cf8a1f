//! The addresses of the page.

mod account;
mod check;
mod enroll;
mod home;
mod live;
mod login;
mod owner;
mod posts;
mod support;
mod unlock;
mod users;
mod wizard;

use super::desk::{Desk, Me};
use super::render::asset;
use super::session::{COOKIE, Id, Who};
use crate::status::Problem;
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use crate::domain::Right;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use serde::Deserialize;
use std::sync::Arc;

/// All routes, without guard.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/unlock", get(unlock::form).post(unlock::unlock))
        .route("/preparing", get(unlock::preparing))
        .route("/owner", get(owner::form).post(owner::claim))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/recover", get(login::recovery).post(login::recover))
        .route("/account", get(account::form))
        .route("/account/pass", post(account::choose))
        .route("/account/kubeconfig", post(account::kubeconfig))
        .route("/codes", get(account::codes))
        .route("/codes/kept", post(account::kept))
        .route("/users", get(users::list))
        .route("/users/add", post(users::add))
        .route("/users/role", post(users::role))
        .route("/users/renew", post(users::renew))
        .route("/users/remove", post(users::remove))
        .route("/users/told", post(users::told))
        .route("/events", get(live::events))
        .route("/posts/reveal", post(posts::reveal))
        .route("/posts/mask", post(posts::mask))
        .route("/logs", get(home::log))
        .route("/support", get(support::form).post(support::make))
        .route("/support/file", get(support::file))
        .route("/support/kept", post(support::kept))
        .route("/check", get(check::checks))
        .route("/setup", get(wizard::begin))
        .route("/setup/{screen}", get(wizard::screen).post(wizard::answer))
        .route("/setup/language", post(wizard::language))
        .route("/setup/send", post(wizard::send))
        .route("/setup/other", post(wizard::other))
        .route("/setup/answers.toml", get(wizard::download))
        .route("/enroll", get(enroll::form))
        .route("/enroll/decode", post(enroll::decode))
        .route("/enroll/send", post(enroll::send))
        .route("/enroll/cancel", post(enroll::cancel))
        .route("/authority.pem", get(authority))
        .route("/assets/{hash}/{name}", get(linked))
        .fallback(nowhere)
        .with_state(desk)
}

async fn linked(Path((_, name)): Path<(String, String)>) -> Response {
    asset(&name)
}

async fn authority(State(desk): State<Arc<Desk>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/x-pem-file"), (header::CONTENT_DISPOSITION, "attachment; filename=\"antihate-node-authority.pem\"")];
    (headers, desk.told().authority).into_response()
}

async fn nowhere(State(desk): State<Arc<Desk>>) -> Response {
    let problem = Problem::new("PAG-404", "There is no such page", "the address is mistyped or old", "go back to the start page");
    refused(&desk, StatusCode::NOT_FOUND, &problem)
}

/// What every form of a user carries.
#[derive(Deserialize)]
struct Bare {
    csrf: String,
}

/// A page that says what is wrong.
fn refused(desk: &Desk, status: StatusCode, problem: &Problem) -> Response {
    (status, desk.pages.page("problem.html", context! { problem })).into_response()
}

/// A form from another page, another session or an old one.
fn foreign(desk: &Desk) -> Response {
    let cause = "it belongs to another session, or the session has ended";
    refused(desk, StatusCode::FORBIDDEN, &Problem::new("PAG-203", "The form was refused", cause, "open the page again and repeat the step there"))
}

/// Whether a script asks for a part of a page instead of a whole one.
fn wants_part(headers: &HeaderMap) -> bool {
    headers.contains_key("x-part")
}

/// What the user's role does not allow.
fn not_for(desk: &Desk, me: &Me, right: Right) -> Option<Response> {
    if me.role.may(right) {
        return None;
    }
    let cause = format!("{} is {} here", me.name, me.role.name());
    Some(refused(desk, StatusCode::FORBIDDEN, &Problem::new("PAG-209", "This is not for your role", cause, "ask an owner to do it, or to give you another role")))
}

/// Lets a session begin: its cookie, and where to go.
fn admitted(cookie: &str, to: &str) -> Response {
    let cookie = format!("{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// Where somebody without a session comes in.
fn entrance(desk: &Desk) -> Redirect {
    Redirect::to(if desk.door.is_claimed() { "/login" } else { "/unlock" })
}

/// A request of a user who has come in; others are sent to where they come in.
struct Opened(Id, Me);

/// The same for the pages on which a user without a pass phrase of its own chooses one.
struct Known(Id, Me);

/// A request of somebody with the PIN who may claim the node.
struct Claiming(Id);

fn known(parts: &Parts, desk: &Desk) -> Result<(Id, Me), Response> {
    let away = |to: Redirect| if wants_part(&parts.headers) { StatusCode::UNAUTHORIZED.into_response() } else { to.into_response() };
    let Some(id) = desk.session_of(&parts.headers) else { return Err(away(entrance(desk))) };
    match desk.me(&id) {
        Some(me) => Ok((id, me)),
        None if desk.door.is_claimed() => Err(away(Redirect::to("/login"))),
        None => Err(away(Redirect::to("/owner"))),
    }
}

impl FromRequestParts<Arc<Desk>> for Opened {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let (id, me) = known(parts, desk)?;
        if me.one_time { Err(Redirect::to("/account").into_response()) } else { Ok(Opened(id, me)) }
    }
}

impl FromRequestParts<Arc<Desk>> for Known {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        known(parts, desk).map(|(id, me)| Known(id, me))
    }
}

impl FromRequestParts<Arc<Desk>> for Claiming {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        if desk.door.is_claimed() {
            return Err(nowhere(State(desk.clone())).await);
        }
        let id = desk.session_of(&parts.headers).filter(|id| desk.with(id, true, |s| s.who == Who::Claiming) == Some(true));
        id.map(Claiming).ok_or_else(|| Redirect::to("/unlock").into_response())
    }
}
