//! How far the setup is: a pure state machine. A screen may be seen when all before it are answered; any of them may be answered anew.
//!
//! Each form carries a number. The number of the moment changes the answer; an older one that says the same again does nothing (the
//! browser sent it twice), and an older one that says something else is shown the newer answer and asked again.

use super::answers::{Answers, Checked, Enroll, Network, Sources, Welcome};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A screen, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Screen {
    /// Language and name.
    Welcome,
    /// The checks of the host.
    Check,
    /// What the site reaches.
    Network,
    /// The hub.
    Enroll,
    /// What is observed and how long it is kept.
    Sources,
    /// Everything that was chosen.
    Review,
    /// What the node does about it.
    Install,
    /// What to keep.
    Done,
}

impl Screen {
    /// All screens in order.
    pub const ALL: [Screen; 8] =
        [Screen::Welcome, Screen::Check, Screen::Network, Screen::Enroll, Screen::Sources, Screen::Review, Screen::Install, Screen::Done];

    /// Its word in addresses and files.
    pub fn name(self) -> &'static str {
        ["welcome", "check", "network", "enroll", "sources", "review", "install", "done"][self as usize]
    }

    /// Reads the word.
    pub fn parse(name: &str) -> Option<Screen> {
        Screen::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// What a form says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of the first screen.
    Welcome(Welcome),
    /// The checks were read.
    Check(Checked),
    /// What the site reaches.
    Network(Network),
    /// The hub.
    Enroll(Enroll),
    /// What is observed.
    Sources(Sources),
    /// The choices are right and have been applied.
    Review(DateTime<Utc>),
    /// The steps were looked at.
    Install,
    /// Everything is kept: the setup is over.
    Done(DateTime<Utc>),
}

/// What a form came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The answer is kept.
    Kept,
    /// It was kept before; nothing is done twice.
    Repeated,
    /// Something else was answered meanwhile: that stays until it is answered again.
    Older,
    /// A screen before it has no answer.
    Early,
}

/// All that is kept of the setup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The answers.
    pub answers: Answers,
    /// The number that the next form of a screen carries; 0 where none was answered.
    #[serde(default)]
    pub forms: BTreeMap<Screen, u64>,
    /// When the answers were applied, if they are.
    #[serde(default)]
    pub applied: Option<DateTime<Utc>>,
    /// The steps were looked at.
    #[serde(default)]
    pub watched: bool,
    /// When the setup was over, if it is.
    #[serde(default)]
    pub finished: Option<DateTime<Utc>>,
}

impl State {
    /// The screens of these answers: a site without internet is not asked for a hub.
    pub fn path(&self) -> Vec<Screen> {
        let offline = self.answers.network.as_ref().is_some_and(|n| !n.internet);
        Screen::ALL.into_iter().filter(|s| *s != Screen::Enroll || !offline).collect()
    }

    /// Whether the screen has an answer.
    pub fn answered(&self, screen: Screen) -> bool {
        let a = &self.answers;
        match screen {
            Screen::Welcome => a.welcome.is_some(),
            Screen::Check => a.check.is_some(),
            Screen::Network => a.network.is_some(),
            Screen::Enroll => a.enroll.is_some(),
            Screen::Sources => a.sources.is_some(),
            Screen::Review => self.applied.is_some(),
            Screen::Install => self.watched,
            Screen::Done => self.finished.is_some(),
        }
    }

    /// The first screen without an answer; none once the setup is over.
    pub fn next(&self) -> Option<Screen> {
        self.path().into_iter().find(|s| !self.answered(*s)).filter(|_| self.finished.is_none())
    }

    /// Whether everything before it is answered.
    pub fn may_see(&self, screen: Screen) -> bool {
        self.path().contains(&screen) && self.next().is_some_and(|next| screen <= next)
    }

    /// The screen before this one.
    pub fn before(&self, screen: Screen) -> Option<Screen> {
        self.path().into_iter().rev().find(|s| *s < screen)
    }

    /// The number that a form of this screen carries now.
    pub fn form(&self, screen: Screen) -> u64 {
        self.forms.get(&screen).copied().unwrap_or_default()
    }

    /// Takes a form.
    pub fn take(&mut self, form: u64, answer: Answer) -> Taken {
        let screen = screen_of(&answer);
        if self.finished.is_none() && !self.may_see(screen) {
            return Taken::Early;
        }
        let (now, same) = (self.form(screen), self.says(&answer));
        match (form.cmp(&now), same) {
            (std::cmp::Ordering::Less, true) => return Taken::Repeated,
            (std::cmp::Ordering::Equal, _) => {}
            _ => return Taken::Older,
        }
        self.forms.insert(screen, now + 1);
        if !same {
            self.set(answer);
        }
        Taken::Kept
    }

    /// Whether this is what is kept already; the moment at which it was said does not count.
    fn says(&self, answer: &Answer) -> bool {
        let a = &self.answers;
        match answer {
            Answer::Welcome(new) => a.welcome.as_ref() == Some(new),
            Answer::Check(new) => a.check.as_ref() == Some(new),
            Answer::Network(new) => a.network.as_ref() == Some(new),
            Answer::Enroll(new) => a.enroll.as_ref() == Some(new),
            Answer::Sources(new) => a.sources.as_ref() == Some(new),
            Answer::Review(_) => self.applied.is_some(),
            Answer::Install => self.watched,
            Answer::Done(_) => self.finished.is_some(),
        }
    }

    fn set(&mut self, answer: Answer) {
        let a = &mut self.answers;
        match answer {
            Answer::Welcome(new) => a.welcome = Some(new),
            Answer::Check(new) => a.check = Some(new),
            Answer::Network(new) => a.network = Some(new),
            Answer::Enroll(new) => a.enroll = Some(new),
            Answer::Sources(new) => a.sources = Some(new),
            Answer::Review(at) => return self.applied = Some(at),
            Answer::Install => return self.watched = true,
            Answer::Done(at) => return self.finished = Some(at),
        }
        // What is reviewed has changed: a review that was opened before is an older form, and nothing after it holds.
        (self.applied, self.watched) = (None, false);
        *self.forms.entry(Screen::Review).or_default() += 1;
    }
}

/// The screen that asks for this answer.
fn screen_of(answer: &Answer) -> Screen {
    match answer {
        Answer::Welcome(_) => Screen::Welcome,
        Answer::Check(_) => Screen::Check,
        Answer::Network(_) => Screen::Network,
        Answer::Enroll(_) => Screen::Enroll,
        Answer::Sources(_) => Screen::Sources,
        Answer::Review(_) => Screen::Review,
        Answer::Install => Screen::Install,
        Answer::Done(_) => Screen::Done,
    }
}
