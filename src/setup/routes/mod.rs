//! The addresses of the page.

mod enroll;
mod home;
mod live;
mod posts;
mod unlock;

use super::desk::Desk;
use super::render::asset;
use super::session::Id;
use crate::status::Problem;
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use std::sync::Arc;

/// All routes, without guard.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/unlock", get(unlock::form).post(unlock::unlock))
        .route("/preparing", get(unlock::preparing))
        .route("/lock", post(unlock::lock))
        .route("/events", get(live::events))
        .route("/posts/reveal", post(posts::reveal))
        .route("/posts/mask", post(posts::mask))
        .route("/logs", get(home::log))
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

/// A page that says what is wrong.
fn refused(desk: &Desk, status: StatusCode, problem: &Problem) -> Response {
    (status, desk.pages.page("problem.html", context! { problem, unlocked => false })).into_response()
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

/// A request of someone who has opened the page; others are sent to the PIN.
struct Opened(Id);

impl FromRequestParts<Arc<Desk>> for Opened {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        match desk.session_of(&parts.headers) {
            Some(id) => Ok(Opened(id)),
            None if wants_part(&parts.headers) => Err(StatusCode::UNAUTHORIZED.into_response()),
            None => Err(Redirect::to("/unlock").into_response()),
        }
    }
}
