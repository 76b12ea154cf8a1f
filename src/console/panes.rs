//! The views behind the keys, as lines. Pure.

use super::app::{App, Logs, Support, View};
use super::facts::Facts;
use crate::host::check::text::{Style as CheckStyle, render};
use crate::status::check::Check;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

/// The lines of the view that is open; the main screen has none here.
pub fn lines(app: &App) -> Vec<Line<'static>> {
    match app.view {
        View::Main => Vec::new(),
        View::Network => network(&app.facts),
        View::Checks => checks(app.checks.as_deref()),
        View::Logs => logs(&app.logs),
        View::Support => support(&app.support),
    }
}

fn head(title: &str) -> Vec<Line<'static>> {
    vec![Line::default(), Line::from(title.to_owned()).bold(), Line::default()]
}

fn row(word: &str, text: impl Into<String>) -> Line<'static> {
    Line::from(vec![Span::from(format!("{word:<10}")).dim(), Span::from(text.into())])
}

fn network(facts: &Facts) -> Vec<Line<'static>> {
    let mut out = head("Network");
    for link in &facts.links {
        let style = if link.up { Style::new() } else { Style::new().fg(Color::Red) };
        out.push(Line::from(format!("{}   {}", link.sentence(), link.mac)).style(style));
        out.extend(link.addresses.iter().map(|a| row("", a.clone())));
    }
    if facts.links.is_empty() {
        out.push(Line::from("No link leads out of this host.").fg(Color::Red));
    }
    out.push(Line::default());
    let none = |what: Option<String>| what.unwrap_or_else(|| "none".into());
    out.push(row("Gateway", none(facts.gateway.map(|g| g.to_string()))));
    let resolvers: Vec<String> = facts.resolvers.iter().map(ToString::to_string).collect();
    out.push(row("Resolvers", none(Some(resolvers.join(", ")).filter(|r| !r.is_empty()))));
    out.push(row("Host", facts.host.clone()));
    let name = facts.page.as_ref().and_then(|p| p.name.clone());
    out.push(row("Name", name.unwrap_or_else(|| "none on the local network".into())));
    for (at, address) in facts.page.iter().flat_map(|p| &p.addresses).enumerate() {
        out.push(row(if at == 0 { "Page" } else { "" }, address.clone()));
    }
    out
}

fn checks(checks: Option<&[Check]>) -> Vec<Line<'static>> {
    let mut out = head("Checks of this host");
    let Some(checks) = checks else {
        out.push(Line::from("Looking ..."));
        return out;
    };
    out.extend(render(checks, CheckStyle::default()).lines().map(|l| {
        let style = if l.starts_with("failure ") { Style::new().fg(Color::Red) } else if l.starts_with("warning ") { Style::new().fg(Color::Yellow) } else { Style::new() };
        Line::from(l.to_owned()).style(style)
    }));
    out.push(Line::default());
    out.push(Line::from("Enter looks again. What takes time is left out: `antihate check` has all of it.").dim());
    out
}

fn logs(logs: &Logs) -> Vec<Line<'static>> {
    if logs.open {
        let name = logs.names.get(logs.chosen).map_or("", String::as_str);
        let mut out = head(&format!("Log of {name}, newest first"));
        out.extend(logs.lines.iter().rev().map(|l| Line::from(printable(l))));
        return out;
    }
    let mut out = head("Logs of the components: Up, Down, Enter");
    if logs.names.is_empty() {
        out.push(Line::from("There are none yet: a component makes its log when it starts."));
    }
    for (at, name) in logs.names.iter().enumerate() {
        let line = Line::from(format!("{} {name}", if at == logs.chosen { ">" } else { " " }));
        out.push(if at == logs.chosen { line.bold() } else { line });
    }
    out
}

/// A log may hold anything; a terminal must not obey it.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).take(2000).collect()
}

fn support(support: &Support) -> Vec<Line<'static>> {
    let mut out = head("Support bundle");
    let say = |out: &mut Vec<Line<'static>>, all: &[&str]| out.extend(all.iter().map(|l| Line::from((*l).to_owned())));
    match support {
        Support::Idle => say(&mut out, &[
            "What somebody who helps has to see: states, logs, facts of this host.",
            "No post and no secret is in it. It is encrypted.",
            "",
            "It is written to a USB stick that is mounted here, or else into the data root.",
            "",
            "Enter makes it.",
        ]),
        Support::Working => say(&mut out, &["It is being made; what does not answer is given up after 15 s ..."]),
        Support::Done(made) => {
            out.push(row("File", format!("{} ({} KiB)", made.file, made.bytes.div_ceil(1024))));
            if !made.removable {
                out.push(row("", "No USB stick is mounted: it lies in the data root."));
            }
            out.push(Line::default());
            out.push(Line::from("This phrase opens it. It is shown now and never again; write it down, and tell it on another way than the file:"));
            out.push(Line::default());
            out.push(Line::from(format!("  {}", *made.phrase)).bold().fg(Color::Yellow));
            out.push(Line::default());
            say(&mut out, &["To open it: age -d FILE | zstd -d | tar -x", "", "Esc leaves, and forgets the phrase."]);
        }
        Support::Failed(problem) => {
            out.extend(problem.render().lines().map(|l| Line::from(l.to_owned()).fg(Color::Red)));
            say(&mut out, &["", "Enter tries again."]);
        }
    }
    out
}
