//! The home page as a whole, and the log page of one component.

use super::{Opened, foreign, refused, wants_part};
use crate::setup::desk::Desk;
use crate::status::Problem;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::future::join_all;
use minijinja::{Value, context};
use serde::Deserialize;
use std::sync::Arc;

/// Lines under a component on the home page, and on its own page.
const FEW: usize = 8;
const MANY: usize = 300;

/// How the page was asked for.
#[derive(Deserialize)]
pub struct How {
    /// It came by its own refresh: no action of a person.
    auto: Option<String>,
    /// The reader has paused the refresh.
    still: Option<String>,
}

/// The home page.
pub async fn home(State(desk): State<Arc<Desk>>, Opened(id, _): Opened, Query(how): Query<How>) -> Response {
    let names: Vec<String> = desk.provider.status().borrow().components.iter().map(|c| c.name.clone()).collect();
    let logs = logs(&desk, &names).await;
    match desk.home(&id, how.auto.is_none()).await {
        Some(home) => desk.pages.page("home.html", context! { logs, still => how.still.is_some(), ..home }),
        None => foreign(&desk),
    }
}

/// The last lines of every component at once; what does not come in time says so.
async fn logs(desk: &Desk, names: &[String]) -> Value {
    let read = names.iter().map(|name| async move {
        let lines = desk.log(name, FEW).await.unwrap_or_else(|p| vec![format!("{}: {}", p.code, p.what)]);
        (name.clone(), lines)
    });
    join_all(read).await.into_iter().collect()
}

/// Which log.
#[derive(Deserialize)]
pub struct Which {
    name: String,
    few: Option<String>,
}

/// The log of one component: a page, or the bare lines for a script.
pub async fn log(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, headers: HeaderMap, Query(which): Query<Which>) -> Response {
    let known = desk.provider.status().borrow().components.iter().any(|c| c.name == which.name);
    if !known {
        let problem = Problem::new("PAG-305", "There is no such part", "the node has no part of that name now", "choose one from the start page");
        return refused(&desk, StatusCode::NOT_FOUND, &problem);
    }
    let part = wants_part(&headers);
    let read = desk.log(&which.name, if which.few.is_some() { FEW } else { MANY }).await;
    let (lines, problem) = match read {
        Ok(lines) => (lines, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let Some(csrf) = desk.with(&id, !part, |s| s.csrf.clone()) else { return foreign(&desk) };
    let page = if part { "log.html" } else { "log-page.html" };
    desk.pages.page(page, context! { name => which.name, lines, problem, me, csrf })
}
