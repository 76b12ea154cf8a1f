//! The setup screens: the owner is led through them once, and then they are gone. Whatever was answered is on the disk before the next
//! screen is shown; each form may be sent twice, from two windows or after going back, and has one effect.

mod hub;
mod shown;

pub use hub::{other, send};

use super::{Bare, Opened, foreign, nowhere, refused, wants_part};
use crate::domain::Right;
use crate::setup::audit::Action;
use crate::setup::desk::{Desk, Me};
use crate::setup::session::Id;
use crate::setup::tongue::{COOKIE, Tongue};
use crate::setup::wizard::form::{self, Fields};
use crate::setup::wizard::{Answer, Refusal, Screen, State as Setup, Taken, apply, file};
use crate::status::Problem;
use axum::Form;
use axum::extract::{ConnectInfo, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use shown::View;
use std::net::SocketAddr;
use std::sync::Arc;

/// A request of an owner while the setup is not over; afterwards there are no such pages.
pub struct Setting {
    id: Id,
    me: Me,
    setup: Setup,
    tongue: Tongue,
}

impl FromRequestParts<Arc<Desk>> for Setting {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let Opened(id, me) = Opened::from_request_parts(parts, desk).await?;
        let setup = match desk.wizard.read() {
            Ok(Some(setup)) if me.role.may(Right::Setup) => setup,
            Ok(_) => return Err(nowhere(State(desk.clone())).await),
            Err(problem) => return Err(refused(desk, StatusCode::INTERNAL_SERVER_ERROR, &problem)),
        };
        // The last form may come twice like any other: the second one finds the setup over.
        let again = parts.method == Method::POST && parts.uri.path() == "/setup/done";
        if setup.finished.is_some() && !again {
            return Err(nowhere(State(desk.clone())).await);
        }
        let tongue = Tongue::of(&parts.headers, setup.answers.welcome.as_ref().map(|w| w.language));
        Ok(Setting { id, me, setup, tongue })
    }
}

/// Leads to the first screen without an answer.
pub async fn begin(Setting { setup, .. }: Setting) -> Response {
    on(&setup)
}

fn on(setup: &Setup) -> Response {
    let place = setup.next().map_or("/".to_owned(), |s| format!("/setup/{}", s.name()));
    Redirect::to(&place).into_response()
}

fn at(screen: Screen) -> Response {
    Redirect::to(&format!("/setup/{}", screen.name())).into_response()
}

/// A screen, with what was answered on it.
pub async fn screen(State(desk): State<Arc<Desk>>, setting: Setting, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(screen) = Screen::parse(&name) else { return nowhere(State(desk)).await };
    if !setting.setup.may_see(screen) {
        return on(&setting.setup);
    }
    let view = View { desk: &desk, setting: &setting, screen };
    if wants_part(&headers) {
        return view.part();
    }
    desk.with(&setting.id, true, |_| ());
    view.page(None, None).await
}

/// Takes the form of a screen.
pub async fn answer(
    State(desk): State<Arc<Desk>>,
    setting: Setting,
    Path(name): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(fields): Form<Fields>,
) -> Response {
    let Some(screen) = Screen::parse(&name) else { return nowhere(State(desk)).await };
    if !sent(&desk, &setting.id, &fields) {
        return foreign(&desk);
    }
    let view = View { desk: &desk, setting: &setting, screen };
    let said = match form::answer(screen, &fields) {
        Ok(said) => said,
        Err(refusal) => return view.page(Some(&fields), Some(&refusal)).await,
    };
    if let Some(response) = hub::asked(&view, &said, &fields).await {
        return response;
    }
    if let Some(refusal) = objection(&desk, &setting.setup, &said).await {
        return view.page(Some(&fields), Some(&refusal)).await;
    }
    match take(&desk, number(&fields), said) {
        Ok((Taken::Older, _)) => view.newer().await,
        Ok((Taken::Kept, setup)) => {
            desk.note_or_warn(&setting.id, peer.ip(), Action::Setup, Some(screen.name()));
            on(&setup)
        }
        Ok((Taken::Repeated | Taken::Early, setup)) => on(&setup),
        Err(problem) => view.page(Some(&fields), Some(&Refusal::Given(problem))).await,
    }
}

fn sent(desk: &Desk, id: &Id, fields: &Fields) -> bool {
    desk.sent(id, fields.get("csrf").map_or("", String::as_str))
}

/// The number of a form; one that has none is never the one of the moment.
fn number(fields: &Fields) -> u64 {
    fields.get("form").and_then(|f| f.parse().ok()).unwrap_or(u64::MAX)
}

/// Keeps an answer. The settings are written before it is kept that they were: a power cut between the two only asks once more.
fn take(desk: &Desk, number: u64, said: Answer) -> Result<(Taken, Setup), Problem> {
    let (apply, named) = (matches!(said, Answer::Review(_)), matches!(said, Answer::Welcome(_)));
    let taken = desk.wizard.change(|setup| {
        let taken = setup.take(number, said);
        if taken == Taken::Kept && apply {
            apply::write(&desk.data, &setup.answers)?;
        }
        Ok((taken, setup.clone()))
    })?;
    if named {
        desk.show_site();
    }
    Ok(taken)
}

/// What stands against an answer that is well-formed.
async fn objection(desk: &Desk, setup: &Setup, said: &Answer) -> Option<Refusal> {
    match said {
        Answer::Check(checked) if !checked.accept_warnings => {
            let checks = desk.checks().await;
            checks.iter().any(|c| c.problem().is_some()).then(|| Refusal::own("SET-104"))
        }
        Answer::Sources(sources) => {
            let wished = crate::setup::wizard::Answers { sources: Some(sources.clone()), ..setup.answers.clone() };
            let now = desk.settings().map_err(Refusal::Given);
            now.and_then(|now| apply::settings(&wished, now)).err()
        }
        _ => None,
    }
}

/// The form of another language for these screens.
#[derive(Deserialize)]
pub struct Choice {
    csrf: String,
    language: String,
}

/// Remembers a language in this browser and shows the first screen in it.
pub async fn language(State(desk): State<Arc<Desk>>, setting: Setting, Form(form): Form<Choice>) -> Response {
    if !desk.sent(&setting.id, &form.csrf) {
        return foreign(&desk);
    }
    let Some(tongue) = Tongue::parse(&form.language) else { return at(Screen::Welcome) };
    let cookie = format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000", tongue.tag());
    ([(header::SET_COOKIE, cookie)], at(Screen::Welcome)).into_response()
}

/// The answers as a file, without secrets.
pub async fn download(Setting { setup, me, .. }: Setting) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/toml; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"answers.toml\"")];
    (headers, file::write(&setup.answers, Some(&me.name))).into_response()
}
