//! The support bundle: made on request, handed out to the session that asked, forgotten when its reader has it.

use super::{Bare, Opened, foreign, not_for};
use crate::domain::Right;
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::provider::Packed;
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use std::net::SocketAddr;
use std::sync::Arc;

/// The page, with the bundle that waits.
pub async fn form(State(desk): State<Arc<Desk>>, Opened(id, me): Opened) -> Response {
    if let Some(response) = not_for(&desk, &me, Right::Support) {
        return response;
    }
    let Some((waiting, problem)) = desk.with(&id, true, |s| (s.bundle.clone(), s.refusal.take())) else { return foreign(&desk) };
    let left_out = desk.provider.never_in_support().to_vec();
    desk.pages.page("support.html", context! { csrf => me.csrf, me, bundle => waiting.as_deref().map(shown), problem, left_out })
}

fn shown(packed: &Packed) -> Value {
    let size = format!("{} KiB", packed.bytes.len().div_ceil(1024));
    context! { name => packed.name, phrase => packed.phrase.as_str(), size, parts => packed.parts, removed => packed.removed }
}

/// Makes one; what was made before in this session is forgotten.
pub async fn make(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Bare>) -> Response {
    if !desk.sent(&id, &form.csrf) {
        return foreign(&desk);
    }
    if let Some(response) = not_for(&desk, &me, Right::Support) {
        return response;
    }
    let unwritten = |e: std::io::Error| Problem::new("PAG-308", "The bundle is not made", format!("it cannot be noted in the audit log: {e}"), "make room on the data disk and try again");
    let made = match desk.note(&id, peer.ip(), Action::Support, None).map_err(unwritten) {
        Ok(()) => desk.provider.support().await,
        Err(problem) => Err(problem),
    };
    desk.with(&id, true, |s| match made {
        Ok(packed) => s.bundle = Some(Arc::new(packed)),
        Err(problem) => s.refusal = Some(problem),
    });
    Redirect::to("/support").into_response()
}

/// The file of the bundle that waits in this session.
pub async fn file(State(desk): State<Arc<Desk>>, Opened(id, me): Opened) -> Response {
    if let Some(response) = not_for(&desk, &me, Right::Support) {
        return response;
    }
    let Some(packed) = desk.with(&id, true, |s| s.bundle.clone()).flatten() else { return Redirect::to("/support").into_response() };
    let name = format!("attachment; filename=\"{}\"", packed.name);
    ([(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_DISPOSITION, name)], packed.bytes.clone()).into_response()
}

/// The reader has file and phrase: this page forgets both.
pub async fn kept(State(desk): State<Arc<Desk>>, Opened(id, _): Opened, Form(form): Form<Bare>) -> Response {
    match desk.with(&id, true, |s| s.sent(&form.csrf).then(|| s.bundle = None)) {
        Some(Some(())) => Redirect::to("/support").into_response(),
        _ => foreign(&desk),
    }
}
