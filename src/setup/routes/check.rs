//! The page with the checks of the host; each look at it looks at the host anew.

use super::Opened;
use crate::setup::desk::Desk;
use crate::setup::view;
use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use std::sync::Arc;

/// The checks, for everybody who has come in.
pub async fn checks(State(desk): State<Arc<Desk>>, Opened(_, me): Opened) -> Response {
    let checks = desk.checks().await;
    desk.pages.page("check.html", context! { checks => view::checks(&checks), any => !checks.is_empty(), me })
}
