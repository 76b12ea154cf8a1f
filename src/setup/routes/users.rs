//! Who may use the page: an owner adds, changes and removes users. A change holds at once, in every open session.

use super::{Bare, Opened, foreign, not_for};
use crate::domain::{Right, Role};
use crate::setup::audit::Action;
use crate::setup::desk::{Desk, Me};
use crate::setup::session::{Id, Once};
use crate::setup::words::when;
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use minijinja::{Value, context};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A form about one user.
#[derive(Deserialize)]
pub struct About {
    csrf: String,
    name: String,
    #[serde(default)]
    role: String,
}

/// The list, with what was refused last and the pass phrase that was made last.
pub async fn list(State(desk): State<Arc<Desk>>, Opened(id, me): Opened) -> Response {
    if let Some(response) = not_for(&desk, &me, Right::Users) {
        return response;
    }
    let told = desk.with(&id, true, |s| (s.refusal.take(), s.invited.as_ref().map(|o| context! { name => o.name, phrase => o.secrets[0].as_str() })));
    let Some((refusal, invited)) = told else { return foreign(&desk) };
    let (users, problem) = match desk.door.users() {
        Ok(users) => (users.all().iter().map(|u| row(u, &me)).collect(), refusal),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let roles: Vec<Value> = Role::ALL.iter().map(|r| context! { name => r.name(), words => r.words() }).collect();
    desk.pages.page("users.html", context! { csrf => me.csrf, me, users, roles, problem, invited })
}

fn row(user: &crate::setup::User, me: &Me) -> Value {
    context! { name => user.name, role => user.role.name(), since => when(user.since, Utc::now()), one_time => user.one_time, self => user.name == me.name }
}

/// Does one thing to one user for an owner, notes it, and goes back to the list, which tells what was refused.
async fn done(desk: &Desk, (id, me): (&Id, &Me), peer: SocketAddr, form: About, action: Action) -> Response {
    if !desk.sent(id, &form.csrf) {
        return foreign(desk);
    }
    if let Some(response) = not_for(desk, me, Right::Users) {
        return response;
    }
    let name = form.name.trim();
    match act(desk, action, name, &form.role).await {
        Ok(phrase) => {
            desk.note_or_warn(id, peer.ip(), action, Some(name));
            desk.with(id, true, |s| {
                if let Some(phrase) = phrase {
                    s.invited = Some(Once { name: name.to_owned(), secrets: vec![phrase] });
                }
            });
        }
        Err(problem) => drop(desk.with(id, true, |s| s.refusal = Some(problem))),
    }
    Redirect::to("/users").into_response()
}

async fn act(desk: &Desk, action: Action, name: &str, role: &str) -> Result<Option<Zeroizing<String>>, Problem> {
    let role = || role.parse::<Role>().map_err(|e| Problem::new("USR-116", "There is no such role", e, "Choose one of the list."));
    match action {
        Action::UserAdded => desk.door.invite(name, role()?).await.map(Some),
        Action::UserRenewed => desk.door.renew(name).await.map(Some),
        Action::UserRole => desk.door.set_role(name, role()?).await.map(|()| None),
        _ => desk.door.remove(name).await.map(|()| None),
    }
}

/// Adds a user.
pub async fn add(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<About>) -> Response {
    done(&desk, (&id, &me), peer, form, Action::UserAdded).await
}

/// Gives a user another role.
pub async fn role(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<About>) -> Response {
    done(&desk, (&id, &me), peer, form, Action::UserRole).await
}

/// Gives a user another pass phrase.
pub async fn renew(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<About>) -> Response {
    done(&desk, (&id, &me), peer, form, Action::UserRenewed).await
}

/// Removes a user.
pub async fn remove(State(desk): State<Arc<Desk>>, Opened(id, me): Opened, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<About>) -> Response {
    done(&desk, (&id, &me), peer, form, Action::UserRemoved).await
}

/// The pass phrase that was shown is handed on: the page forgets it.
pub async fn told(State(desk): State<Arc<Desk>>, Opened(id, _): Opened, Form(form): Form<Bare>) -> Response {
    match desk.with(&id, true, |s| s.sent(&form.csrf).then(|| s.invited = None)) {
        Some(Some(())) => Redirect::to("/users").into_response(),
        _ => foreign(&desk),
    }
}
