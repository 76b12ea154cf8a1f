//! What the templates of the setup screens get.

use super::Setting;
use super::hub::is_enrolled;
use crate::setup::desk::Desk;
use crate::setup::tongue::Tongue;
use crate::setup::view::setup as words_of;
use crate::setup::wizard::form::{self, Fields};
use crate::setup::wizard::{Refusal, Screen};
use crate::status::Upstream;
use crate::status::check::{Check, Group};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use minijinja::{Value, context};

/// What the network's screen shows of the checks.
const NETWORK: [Group; 5] = [Group::Network, Group::Ports, Group::Ranges, Group::Resolver, Group::Time];

/// One screen for one request.
pub struct View<'a> {
    /// What all routes share.
    pub desk: &'a Desk,
    /// Who asks, and how far the setup is.
    pub setting: &'a Setting,
    /// The screen.
    pub screen: Screen,
}

impl View<'_> {
    /// The whole screen; with what was typed and why it was refused.
    pub async fn page(&self, typed: Option<&Fields>, refusal: Option<&Refusal>) -> Response {
        let status = if refusal.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        (status, self.filled(typed, refusal).await).into_response()
    }

    /// The screen with the newer answer, to somebody who sent an older form.
    pub async fn newer(&self) -> Response {
        (StatusCode::CONFLICT, self.filled(None, Some(&Refusal::own("SET-103"))).await).into_response()
    }

    async fn filled(&self, typed: Option<&Fields>, refusal: Option<&Refusal>) -> Response {
        let own = match self.screen {
            Screen::Check => context! { checks => words_of::checks(&self.checks(&Group::ALL).await, self.setting.tongue) },
            Screen::Network => context! { checks => words_of::checks(&self.checks(&NETWORK).await, self.setting.tongue), told => self.told() },
            Screen::Enroll => self.hub(),
            Screen::Review => context! { applied => self.setting.setup.applied.is_some(), preview => !self.desk.provider.follows_settings() },
            Screen::Install => self.steps(),
            Screen::Done => self.done(),
            Screen::Welcome => context! { tongues => Tongue::ALL.map(|t| context! { tag => t.tag(), name => t.own_name(), dir => t.direction(), chosen => t == self.setting.tongue }) },
            Screen::Sources => Value::default(),
        };
        let common = self.common(typed, refusal);
        let own = if own.is_undefined() { context! {} } else { own };
        self.desk.pages.page(&format!("setup-{}.html", self.screen.name()), context! { ..own, ..common })
    }

    /// The part of a screen that a script renews.
    pub fn part(&self) -> Response {
        let (name, own) = match self.screen {
            Screen::Install => ("setup-steps.html", self.steps()),
            Screen::Done => ("setup-posts.html", self.done()),
            _ => return StatusCode::NOT_FOUND.into_response(),
        };
        let tongue = self.setting.tongue;
        self.desk.pages.page(name, context! { t => tongue.words(), ..own })
    }

    fn common(&self, typed: Option<&Fields>, refusal: Option<&Refusal>) -> Value {
        let (setup, tongue) = (&self.setting.setup, self.setting.tongue);
        let title = |screen: Screen| tongue.word(&format!("title_{}", screen.name()));
        let path = setup.path();
        let place = path.iter().position(|s| *s == self.screen).unwrap_or_default() + 1;
        let back = setup.before(self.screen).map(|s| context! { name => s.name(), title => title(s) });
        let told = refusal.map(|r| r.told(tongue));
        let settings = self.desk.settings().unwrap_or_default();
        let values = form::values(setup, &settings, typed);
        context! {
            t => tongue.words(), lang => tongue.tag(), dir => tongue.direction(), title => title(self.screen), screen => self.screen.name(),
            titles => Screen::ALL.map(|s| (s.name(), title(s))).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            place, places => path.len(), back, v => values, a => Value::from_serialize(&setup.answers), form => setup.form(self.screen),
            language_name => setup.answers.welcome.as_ref().map(|w| w.language.own_name()), csrf => self.setting.me.csrf, name => self.setting.me.name, offline => !path.contains(&Screen::Enroll),
            refusal => told.as_ref().map(|(p, _)| p), foreign_words => told.as_ref().is_some_and(|(_, own)| !own),
        }
    }

    async fn checks(&self, groups: &[Group]) -> Vec<Check> {
        let mut all = self.desk.checks().await;
        all.retain(|c| groups.contains(&c.group));
        all
    }

    fn told(&self) -> Value {
        let told = self.desk.told().at;
        context! { addresses => told.addresses, fingerprint => told.fingerprint }
    }

    fn hub(&self) -> Value {
        let (desk, tongue) = (self.desk, self.setting.tongue);
        let problem = desk.with(&self.setting.id, false, |s| s.problem.clone()).flatten();
        let facts = desk.token.read().filter(|_| !is_enrolled(desk)).and_then(|t| desk.provider.decode_token(&t).ok()).map(|f| {
            let until = f.expires.map(|at| words_of::moment(at, Utc::now(), tongue));
            context! { area => f.geography, hub => f.hub, until, words => f.words }
        });
        let joined = match &desk.provider.status().borrow().upstream {
            Upstream::Enrolled { geography, hub, .. } => Some(context! { area => geography, hub }),
            _ => None,
        };
        context! { facts, joined, problem }
    }

    fn steps(&self) -> Value {
        let status = self.desk.provider.status().borrow().clone();
        context! { steps => words_of::steps(&status, Utc::now(), self.setting.tongue) }
    }

    fn done(&self) -> Value {
        let status = self.desk.provider.status().borrow().clone();
        let codes = self.desk.with(&self.setting.id, false, |s| s.codes.is_some()) == Some(true);
        let encrypted = self.desk.settings().is_ok_and(|s| s.storage.encrypt.is_some());
        let left = self.desk.door.users().ok().and_then(|u| u.find(&self.setting.me.name).map(|u| u.codes.len())).unwrap_or_default();
        context! { codes_left => left, told => self.told(), posts => status.pipeline.stored, healthy => status.healthy, waiting_codes => codes, encrypted }
    }
}
