//! The hub's paths: decode, let the hub decide on a thread that may wait for the disk, answer.

use super::{Hub, Peer};
use crate::enroll::protocol::{MAX_BODY, Time, path};
use crate::enroll::refusal::Refusal;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

pub(super) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route(path::TIME, get(async || Json(Time { server_time: chrono::Utc::now() })))
        .route(path::CHALLENGE, act(|hub, request, _| Ok((StatusCode::OK, hub.challenge(&request)))))
        .route(
            path::ENROLL,
            act(|hub, request, peer| hub.enroll(request, peer).map(|(new, m)| (if new { StatusCode::CREATED } else { StatusCode::OK }, m))),
        )
        .route(path::CONFIRM, act(|hub, request, peer| hub.confirm(&request, peer).map(ok)))
        .route(path::RENEW, act(|hub, request, peer| hub.renew(&request, peer).map(ok)))
        .route(path::HEARTBEAT, act(|hub, request, peer| hub.heartbeat(&request, peer).map(ok)))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(hub)
}

fn ok<T>(answer: T) -> (StatusCode, T) {
    (StatusCode::OK, answer)
}

/// A POST route around a decision of the hub.
fn act<Q, A, F>(decide: F) -> axum::routing::MethodRouter<Arc<Hub>>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    F: Fn(&Hub, Q, &Peer) -> Result<(StatusCode, A), Refusal> + Clone + Send + Sync + 'static,
{
    post(async move |State(hub): State<Arc<Hub>>, Extension(peer): Extension<Peer>, Json(request): Json<Q>| {
        let decided = tokio::task::spawn_blocking(move || decide(&hub, request, &peer)).await;
        match decided.unwrap_or_else(|_| Err(Refusal::Busy { detail: "It failed inside.".into() })) {
            Ok((status, answer)) => (status, Json(answer)).into_response(),
            Err(refusal) => refuse(&refusal),
        }
    })
}

fn refuse(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let wait = match refusal {
        Refusal::SlowDown { retry_after_s } => Some(*retry_after_s),
        Refusal::Waiting { .. } => Some(5),
        Refusal::Busy { .. } => Some(1),
        _ => None,
    };
    let body = Json(refusal);
    match wait {
        Some(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())], body).into_response(),
        None => (status, body).into_response(),
    }
}
