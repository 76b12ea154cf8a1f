//! The terminal: drawn once a second and after a key, and given back as it was, however the console ends.

use super::app::{Action, App, Made, Support, View};
use super::facts::{Facts, gather};
use super::{bundle, screen};
use crate::config::layout::Layout;
use crate::files;
use crate::host::check;
use crate::status::Problem;
use crate::status::check::Check;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the facts are gathered.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a signal and the end of a thread are noticed.
const NOTICE: Duration = Duration::from_millis(250);
/// Lines of a log that are read.
const LINES: usize = 200;
/// Who did what at the page: the console asks nobody for a name, so it does not show that.
const HIDDEN: &str = "audit";

/// What takes time runs beside the screen; each has one thread at most.
#[derive(Default)]
struct Work {
    checks: Option<JoinHandle<Vec<Check>>>,
    bundle: Option<JoinHandle<Result<Made, Problem>>>,
}

/// Shows the console of the node at `layout` until a key or a signal ends it. `tty`: it has a screen of the host to itself.
pub fn run(layout: &Layout, tty: bool) -> Result<(), Problem> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        signal_hook::flag::register(signal, ended.clone()).map_err(|e| broken(&e))?;
    }
    // Gives the terminal back when something panics, too.
    let mut terminal = ratatui::try_init().map_err(|e| broken(&e))?;
    let result = show(&mut terminal, layout, App::new(gather(layout), tty), &ended);
    drop(ratatui::try_restore());
    result
}

fn broken(e: &std::io::Error) -> Problem {
    Problem::new("CON-101", "the terminal cannot be used", e.to_string(), "Try another terminal, or `antihate console --once`.")
}

fn show(terminal: &mut DefaultTerminal, layout: &Layout, mut app: App, ended: &AtomicBool) -> Result<(), Problem> {
    let mut work = Work::default();
    let mut looked = Instant::now();
    loop {
        terminal.draw(|frame| screen::draw(frame, &app)).map_err(|e| broken(&e))?;
        // Nothing is drawn before something has changed.
        loop {
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            if event::poll(NOTICE).map_err(|e| broken(&e))? {
                match event::read().map_err(|e| broken(&e))? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let action = app.press(key);
                        if action == Action::Quit {
                            return Ok(());
                        }
                        act(action, &mut app, &mut work, layout);
                    }
                    _ => {} // another size: it is drawn anew
                }
                break;
            }
            if take(&mut app, &mut work)? {
                break;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                refresh(&mut app, gather(layout), layout);
                break;
            }
        }
    }
}

fn refresh(app: &mut App, facts: Facts, layout: &Layout) {
    app.facts = facts;
    if app.view == View::Logs {
        read_log(app, layout);
    }
}

fn act(action: Action, app: &mut App, work: &mut Work, layout: &Layout) {
    let layout_of_thread = layout.clone();
    match action {
        Action::Nothing | Action::Quit => {}
        Action::ReadLog => read_log(app, layout),
        Action::Check if work.checks.is_none() => work.checks = Some(std::thread::spawn(move || check::quick(&layout_of_thread))),
        Action::Bundle if work.bundle.is_none() => work.bundle = Some(std::thread::spawn(move || bundle::make(&layout_of_thread))),
        Action::Check | Action::Bundle => {} // the one at work answers
    }
}

/// The names that `antihate logs` knows, and the end of the one that is open.
fn read_log(app: &mut App, layout: &Layout) {
    let mut names = files::logs(&layout.data.join("logs"));
    names.retain(|n| n != HIDDEN);
    let lines = app.open_log().filter(|open| names.iter().any(|n| n == open)).map(|open| files::tail(&layout.log(open), LINES).unwrap_or_default());
    app.logs_read(names, lines.unwrap_or_default());
}

/// Takes what a thread has finished; true when something was.
fn take(app: &mut App, work: &mut Work) -> Result<bool, Problem> {
    let mut taken = false;
    if let Some(thread) = work.checks.take_if(|t| t.is_finished()) {
        app.checks = Some(thread.join().map_err(|_| panicked())?);
        taken = true;
    }
    if let Some(thread) = work.bundle.take_if(|t| t.is_finished()) {
        app.support = match thread.join().map_err(|_| panicked())? {
            Ok(made) => Support::Done(made),
            Err(problem) => Support::Failed(problem),
        };
        taken = true;
    }
    Ok(taken)
}

/// The terminal was given back by then.
fn panicked() -> Problem {
    Problem::new("CON-103", "a part of the console broke off", "see above", "Start it again; report this.")
}
