//! The hub's screen: a token is decoded and kept before anything is sent, and sent only after its words were shown.

use super::shown::View;
use super::{Bare, Setting, at, foreign, on, take};
use crate::setup::audit::Action;
use crate::setup::desk::Desk;
use crate::setup::routes::enroll::ask_hub;
use crate::setup::wizard::answers::{Enroll, When};
use crate::setup::wizard::form::Fields;
use crate::setup::wizard::{Answer, Refusal, Screen};
use crate::status::Upstream;
use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Whether the node has its place at a hub.
pub fn is_enrolled(desk: &Desk) -> bool {
    matches!(desk.provider.status().borrow().upstream, Upstream::Enrolled { .. })
}

/// What the answer to the hub's screen leads to before it is kept: a token has to be read first.
pub async fn asked(view: &View<'_>, said: &Answer, fields: &Fields) -> Option<Response> {
    let desk = view.desk;
    match said {
        Answer::Enroll(Enroll { when: When::Later }) => match desk.token.forget() {
            Ok(()) => None,
            Err(problem) => Some(view.page(Some(fields), Some(&Refusal::Given(problem))).await),
        },
        Answer::Enroll(Enroll { when: When::Now }) if !is_enrolled(desk) => Some(read(view, fields).await),
        _ => None,
    }
}

async fn read(view: &View<'_>, fields: &Fields) -> Response {
    let pasted: Zeroizing<String> = Zeroizing::new(fields.get("token").map_or("", String::as_str).split_whitespace().collect());
    let desk = view.desk;
    let kept = if pasted.is_empty() {
        Err(Refusal::own("SET-111"))
    } else {
        desk.provider.decode_token(&pasted).and_then(|_| desk.token.set(&pasted)).map_err(Refusal::Given)
    };
    desk.with(&view.setting.id, true, |s| s.problem = None);
    match kept {
        Ok(()) => at(Screen::Enroll),
        Err(refusal) => view.page(Some(fields), Some(&refusal)).await,
    }
}

/// Forgets the token: another one is asked for.
pub async fn other(State(desk): State<Arc<Desk>>, setting: Setting, Form(form): Form<Bare>) -> Response {
    if !desk.sent(&setting.id, &form.csrf) {
        return foreign(&desk);
    }
    desk.with(&setting.id, true, |s| s.problem = None);
    if let Err(problem) = desk.token.forget() {
        desk.with(&setting.id, true, |s| s.problem = Some(problem));
    }
    at(Screen::Enroll)
}

/// Sends the token that was shown to its hub; sent twice, the node is enrolled once.
pub async fn send(State(desk): State<Arc<Desk>>, setting: Setting, ConnectInfo(peer): ConnectInfo<SocketAddr>, Form(form): Form<Bare>) -> Response {
    if !desk.sent(&setting.id, &form.csrf) {
        return foreign(&desk);
    }
    if !setting.setup.may_see(Screen::Enroll) {
        return on(&setting.setup);
    }
    let Some(token) = desk.token.read() else { return at(Screen::Enroll) };
    desk.note_or_warn(&setting.id, peer.ip(), Action::Enroll, None);
    let done = ask_hub(&desk, &token).await.and_then(|()| {
        let now = desk.wizard.read()?.unwrap_or_default().form(Screen::Enroll);
        let kept = take(&desk, now, Answer::Enroll(Enroll { when: When::Now }))?;
        desk.token.forget().map(|()| kept)
    });
    match done {
        Ok((_, setup)) => on(&setup),
        Err(problem) => {
            desk.with(&setting.id, true, |s| s.problem = Some(problem));
            at(Screen::Enroll)
        }
    }
}
