//! What is on the screen, and what a key does. Pure: what takes time is asked for as an [`Action`] and answered later.

use super::facts::Facts;
use super::panes;
use crate::status::Problem;
use crate::status::check::Check;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use zeroize::Zeroizing;

/// Lines that a page key moves by.
const PAGE: u16 = 10;

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Stage, addresses, PIN.
    Main,
    /// F2.
    Network,
    /// F3.
    Checks,
    /// F4.
    Logs,
    /// F5.
    Support,
}

/// What the terminal has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Draw.
    Nothing,
    /// End.
    Quit,
    /// Look at the host.
    Check,
    /// Make a support bundle.
    Bundle,
    /// Read the log that is chosen, and the names of those there are.
    ReadLog,
}

/// The logs of components.
#[derive(Default)]
pub struct Logs {
    /// Components that have one.
    pub names: Vec<String>,
    /// Which is chosen.
    pub chosen: usize,
    /// It is open: its last lines are shown.
    pub open: bool,
    /// They.
    pub lines: Vec<String>,
}

/// A support bundle that was made.
pub struct Made {
    /// Where it lies.
    pub file: String,
    /// On a disk that can be carried away.
    pub removable: bool,
    /// What opens it. Nothing else keeps it.
    pub phrase: Zeroizing<String>,
    /// Its size, bytes.
    pub bytes: usize,
}

/// How far the support bundle is.
#[derive(Default)]
pub enum Support {
    /// Nobody asked yet.
    #[default]
    Idle,
    /// It is being made.
    Working,
    /// It is there.
    Done(Made),
    /// It could not be made.
    Failed(Problem),
}

/// The console.
pub struct App {
    /// What is shown.
    pub facts: Facts,
    /// What fills the screen.
    pub view: View,
    /// Lines above the screen.
    pub scroll: u16,
    /// What the checks came to; none while they run.
    pub checks: Option<Vec<Check>>,
    /// The logs.
    pub logs: Logs,
    /// The support bundle.
    pub support: Support,
    /// It runs on a screen of the host itself: other screens are reached with Alt.
    pub tty: bool,
}

impl App {
    /// The main screen with these facts.
    pub fn new(facts: Facts, tty: bool) -> App {
        App { facts, view: View::Main, scroll: 0, checks: None, logs: Logs::default(), support: Support::Idle, tty }
    }

    /// What a key does.
    pub fn press(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if matches!(key.code, KeyCode::Char('c' | 'd')) { Action::Quit } else { Action::Nothing };
        }
        match key.code {
            KeyCode::F(n @ 2..=5) => self.open([View::Network, View::Checks, View::Logs, View::Support][usize::from(n) - 2]),
            KeyCode::Char(n @ '2'..='5') => self.open([View::Network, View::Checks, View::Logs, View::Support][n as usize - '2' as usize]),
            KeyCode::Char('q') | KeyCode::Esc => self.back(key.code == KeyCode::Char('q')),
            KeyCode::Enter => self.enter(),
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::PageUp => self.page(false),
            KeyCode::PageDown => self.page(true),
            KeyCode::Home => self.jump(0),
            _ => Action::Nothing,
        }
    }

    /// Lines that the present view has.
    fn length(&self) -> u16 {
        u16::try_from(panes::lines(self).len()).unwrap_or(u16::MAX)
    }

    fn open(&mut self, view: View) -> Action {
        if self.view != view {
            self.leave();
        }
        (self.view, self.scroll) = (view, 0);
        match view {
            View::Checks => {
                self.checks = None;
                Action::Check
            }
            View::Logs => Action::ReadLog,
            _ => Action::Nothing,
        }
    }

    /// A phrase that was shown is forgotten with its screen.
    fn leave(&mut self) {
        if self.view == View::Support && !matches!(self.support, Support::Working) {
            self.support = Support::Idle;
        }
        self.logs.open = false;
    }

    fn back(&mut self, quits: bool) -> Action {
        if self.view == View::Logs && self.logs.open {
            (self.logs.open, self.scroll) = (false, 0);
            return Action::Nothing;
        }
        if self.view == View::Main {
            return if quits { Action::Quit } else { Action::Nothing };
        }
        self.leave();
        (self.view, self.scroll) = (View::Main, 0);
        Action::Nothing
    }

    fn enter(&mut self) -> Action {
        match self.view {
            View::Logs if !self.logs.open && !self.logs.names.is_empty() => {
                (self.logs.open, self.scroll) = (true, 0);
                Action::ReadLog
            }
            View::Support if matches!(self.support, Support::Idle | Support::Failed(_)) => {
                self.support = Support::Working;
                Action::Bundle
            }
            View::Checks if self.checks.is_some() => self.open(View::Checks),
            _ => Action::Nothing,
        }
    }

    fn step(&mut self, by: i32) -> Action {
        if self.view == View::Logs && !self.logs.open {
            let last = self.logs.names.len().saturating_sub(1);
            self.logs.chosen = self.logs.chosen.saturating_add_signed(by as isize).min(last);
            return Action::Nothing;
        }
        self.jump(self.scroll.saturating_add_signed(by as i16))
    }

    fn page(&mut self, down: bool) -> Action {
        self.jump(if down { self.scroll.saturating_add(PAGE) } else { self.scroll.saturating_sub(PAGE) })
    }

    /// An open log is counted from its end: what is new is below.
    fn jump(&mut self, to: u16) -> Action {
        self.scroll = to.min(self.length().saturating_sub(1));
        Action::Nothing
    }

    /// What [`Action::ReadLog`] came to.
    pub fn logs_read(&mut self, names: Vec<String>, lines: Vec<String>) {
        self.logs.chosen = self.logs.chosen.min(names.len().saturating_sub(1));
        (self.logs.names, self.logs.lines) = (names, lines);
    }

    /// The component whose log is open.
    pub fn open_log(&self) -> Option<&str> {
        self.logs.names.get(self.logs.chosen).filter(|_| self.logs.open && self.view == View::Logs).map(String::as_str)
    }
}
