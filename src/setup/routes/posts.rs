//! Showing the text of one post, and hiding it again. What cannot be noted in the audit log is not shown.

use super::{Opened, foreign, not_for, refused, wants_part};
use crate::domain::{Analysis, Right};
use crate::setup::audit::Action;
use crate::setup::desk::{Desk, Me};
use crate::setup::session::{Id, Session};
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

/// Which post.
#[derive(Deserialize)]
pub struct Which {
    csrf: String,
    post: String,
}

/// Shows one text in this session.
pub async fn reveal(
    State(desk): State<Arc<Desk>>,
    Opened(id, me): Opened,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(which): Form<Which>,
) -> Response {
    if !desk.sent(&id, &which.csrf) {
        return foreign(&desk);
    }
    if let Some(response) = not_for(&desk, &me, Right::Reveal) {
        return response;
    }
    let analysis = match find(&desk, &which.post).await {
        Ok(analysis) => analysis,
        Err(problem) => return refused(&desk, StatusCode::NOT_FOUND, &problem),
    };
    if let Err(error) = desk.note(&id, peer.ip(), Action::Reveal, Some(&analysis.post.key())) {
        tracing::error!(%error, "the audit log cannot be written");
        let problem = Problem::new("PAG-301", "The text stays masked", "that it was shown cannot be noted in the audit log", "make room on the data disk and try again");
        return refused(&desk, StatusCode::SERVICE_UNAVAILABLE, &problem);
    }
    desk.with(&id, true, |s| s.reveal(analysis.post.reference()));
    answer(&desk, &id, &me, &headers, &analysis)
}

/// Masks one text again.
pub async fn mask(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, headers: HeaderMap, Form(which): Form<Which>) -> Response {
    let hide = |s: &mut Session| s.sent(&which.csrf).then(|| which.post.parse().map(|post| s.mask(&post)));
    let Some(Some(_)) = desk.with(&id, true, hide) else { return foreign(&desk) };
    match find(&desk, &which.post).await {
        Ok(analysis) => answer(&desk, &id, &me, &headers, &analysis),
        Err(_) => Redirect::to("/").into_response(), // it is masked, and its day may have been retired meanwhile
    }
}

async fn find(desk: &Desk, reference: &str) -> Result<Analysis, Problem> {
    let gone = || Problem::new("PAG-302", "This post is not stored any more", "its day was retired, or the form was changed", "go back to the start page and choose another");
    let named = [reference.parse().map_err(|_| gone())?];
    desk.named(&named).await?.pop().ok_or_else(gone)
}

/// The post alone for a script, otherwise back to its place in the list.
fn answer(desk: &Desk, id: &Id, me: &Me, headers: &HeaderMap, analysis: &Analysis) -> Response {
    let state = desk.with(id, true, |s| (s.revealed.contains(&analysis.post.reference()), s.csrf.clone()));
    let Some((revealed, csrf)) = state else { return foreign(desk) };
    let post = view::post(analysis, revealed, Utc::now());
    if wants_part(headers) {
        return desk.pages.page("post.html", context! { post, me, csrf });
    }
    Redirect::to(&format!("/?still#{}", post.anchor)).into_response()
}
