//! A user's own account: pass phrase, recovery codes, credentials for the cluster.

use super::owner::differ;
use super::{Bare, Known, Opened, foreign};
use crate::domain::Role;
use crate::setup::audit::Action;
use crate::setup::desk::{Desk, Me};
use crate::setup::session::{Id, Once};
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The form of another pass phrase; whoever came in with one that serves once does not type it again.
#[derive(Deserialize)]
pub struct Choice {
    csrf: String,
    #[serde(default)]
    now: String,
    pass: String,
    again: String,
}

/// The form of what is handed out only to somebody who knows the pass phrase.
#[derive(Deserialize)]
pub struct Proof {
    csrf: String,
    now: String,
}

/// The account.
pub async fn form(State(desk): State<Arc<Desk>>, Known(_, me): Known) -> Response {
    shown(&desk, &me, None)
}

fn shown(desk: &Desk, me: &Me, problem: Option<&Problem>) -> Response {
    let users = desk.door.users().ok();
    let left = users.as_ref().and_then(|u| u.find(&me.name)).map_or(0, |u| u.codes.len());
    let words = Role::ALL.into_iter().filter(|r| *r <= me.role).map(Role::words).collect::<Vec<_>>().join("; ");
    desk.pages.page("account.html", context! { me, csrf => me.csrf, words, left, problem })
}

fn refusal(desk: &Desk, me: &Me, problem: &Problem) -> Response {
    (StatusCode::FORBIDDEN, shown(desk, me, Some(problem))).into_response()
}

/// Chooses another pass phrase; the user's other sessions end.
pub async fn choose(State(desk): State<Arc<Desk>>, Known(id, me): Known, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Choice>) -> Response {
    let [now, pass, again] = [form.now, form.pass, form.again].map(Zeroizing::new);
    if !desk.sent(&id, &form.csrf) {
        return foreign(&desk);
    }
    if *pass != *again {
        return refusal(&desk, &me, &differ());
    }
    if !me.one_time && let Err(problem) = desk.door.log_in(peer.ip(), &me.name, now).await {
        return refusal(&desk, &me, &problem);
    }
    let codes = match desk.door.choose(&me.name, pass).await {
        Ok(codes) => codes,
        Err(problem) => return refusal(&desk, &me, &problem),
    };
    desk.close_others(&me.name, &id);
    desk.note_or_warn(&id, peer.ip(), Action::PassPhrase, None);
    let fresh = !codes.is_empty();
    if fresh {
        desk.with(&id, true, |s| s.codes = Some(Once { name: me.name.clone(), secrets: codes }));
    }
    Redirect::to(if fresh { "/codes" } else { "/" }).into_response()
}

/// A kubeconfig with the rights of the user's role, as a file.
pub async fn kubeconfig(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Proof>) -> Response {
    let now = Zeroizing::new(form.now);
    if !desk.sent(&id, &form.csrf) {
        return foreign(&desk);
    }
    match handed_out(&desk, (&id, &me), peer, now).await {
        Ok(made) => {
            let name = format!("attachment; filename=\"{}.kubeconfig\"", me.name.replace('@', "_"));
            ([(header::CONTENT_TYPE, "application/yaml".to_owned()), (header::CONTENT_DISPOSITION, name)], made).into_response()
        }
        Err(problem) => refusal(&desk, &me, &problem),
    }
}

async fn handed_out(desk: &Desk, (id, me): (&Id, &Me), peer: SocketAddr, pass: Zeroizing<String>) -> Result<String, Problem> {
    desk.door.log_in(peer.ip(), &me.name, pass).await?;
    let (made, days) = desk.provider.kubeconfig(&me.name, me.role)?;
    let unwritten = |e: std::io::Error| Problem::new("PAG-307", "The credentials are not handed out", format!("it cannot be noted in the audit log: {e}"), "make room on the data disk and try again");
    desk.note(id, peer.ip(), Action::Kubeconfig, Some(&format!("{} for {days} days", me.role.name()))).map_err(unwritten)?;
    Ok(made)
}

/// Recovery codes, until their user says that they are kept.
pub async fn codes(State(desk): State<Arc<Desk>>, Opened(id, me): Opened) -> Response {
    let waiting = desk.with(&id, true, |s| s.codes.as_ref().map(|o| o.secrets.iter().map(|c| c.to_string()).collect::<Vec<_>>()));
    match waiting.flatten() {
        Some(codes) => desk.pages.page("codes.html", context! { csrf => me.csrf, me, codes }),
        None => Redirect::to("/account").into_response(),
    }
}

/// The codes are kept: this page forgets them.
pub async fn kept(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, Form(form): Form<Bare>) -> Response {
    match desk.with(&id, true, |s| s.sent(&form.csrf).then(|| s.codes = None)) {
        Some(Some(())) => Redirect::to(if me.setup { "/setup" } else { "/" }).into_response(),
        _ => foreign(&desk),
    }
}
