//! The main screen, and the frame around every view. Pure: facts in, cells out.

use super::app::{App, View};
use super::facts::Facts;
use super::stage::{Stage, percent};
use super::{panes, qr};
use crate::status::{NodeStatus, StepState};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

/// Columns that the text beside the QR code wants.
const TEXT: u16 = 42;
/// Addresses that are shown; all of them are behind F2.
const ADDRESSES: usize = 3;
/// Pairs of hexadecimal digits of the fingerprint in a line, on a narrow and on a wide screen.
const PAIRS: [usize; 2] = [8, 16];

/// Draws what is on the screen.
pub fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    paint(frame.buffer_mut(), area, app);
}

fn paint(buffer: &mut Buffer, area: Rect, app: &App) {
    let [head, body, foot] = Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    title(&app.facts, head.width).render(head, buffer);
    if app.view == View::Main {
        main(buffer, body, &app.facts);
    } else {
        Paragraph::new(panes::lines(app)).wrap(Wrap { trim: false }).scroll((app.scroll, 0)).render(inner(body), buffer);
    }
    keys(app, foot.width).render(foot, buffer);
}

fn inner(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

/// Name and version on the left, the stage on the right.
fn title(facts: &Facts, width: u16) -> Line<'static> {
    let stage = Stage::of(facts);
    let name = facts.node.as_ref().map_or(&facts.host, |n| &n.node);
    let word = format!("{} ", stage.word());
    let room = usize::from(width).saturating_sub(word.chars().count());
    let left: String = format!(" Anti-Hate Node {}  {name}", facts.version).chars().take(room.saturating_sub(1)).collect();
    let bar = Style::new().fg(Color::White).bg(if stage.is_bad() { Color::Red } else { Color::Blue }).add_modifier(Modifier::BOLD);
    Line::from(format!("{left:<room$}{word}")).style(bar)
}

/// The keys, as many as there is room for.
fn keys(app: &App, width: u16) -> Line<'static> {
    let mut all = vec!["F2 network", "F3 checks", "F4 logs", "F5 support bundle"];
    all.push(if app.view == View::Main { "q end" } else { "Esc back" });
    if app.tty {
        all.push("Alt-F2 log in");
    }
    let short = ["F2 net", "F3 checks", "F4 logs", "F5 support", "q back"];
    let line = |words: &[&str]| format!(" {}", words.join("  "));
    let text = if line(&all).len() > usize::from(width) { line(&short) } else { line(&all) };
    Line::from(text).style(Style::new().add_modifier(Modifier::REVERSED))
}

fn main(buffer: &mut Buffer, area: Rect, facts: &Facts) {
    let mut text = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..inner(area) };
    let code = facts.pin.as_ref().zip(facts.page.as_ref()).and_then(|(pin, page)| qr::lines(page.addresses.first()?, &pin.pin));
    if let Some(code) = code.filter(|c| fits(c, area)) {
        let (wide, high) = (u16::try_from(code[0].chars().count()).unwrap_or(u16::MAX), u16::try_from(code.len()).unwrap_or(u16::MAX));
        let place = Rect { x: area.right() - wide - 1, y: area.y + 1, width: wide, height: high };
        // Light is drawn on dark, whatever colours the terminal has by itself.
        Paragraph::new(code.into_iter().map(Line::from).collect::<Vec<_>>()).style(Style::new().fg(Color::White).bg(Color::Black)).render(place, buffer);
        text.width = text.width.saturating_sub(wide + 1);
    }
    Paragraph::new(lines(facts, text.width)).wrap(Wrap { trim: false }).render(text, buffer);
}

/// Only when the code fits whole, and the text has its room beside it.
fn fits(code: &[String], area: Rect) -> bool {
    code.first().is_some_and(|l| usize::from(area.width) >= l.chars().count() + usize::from(TEXT)) && usize::from(area.height) > code.len()
}

/// What matters most comes first: a low screen loses the end.
fn lines(facts: &Facts, width: u16) -> Vec<Line<'static>> {
    let mut out = Vec::new();
    entry(&mut out, facts, width);
    let Some(node) = &facts.node else {
        absent(&mut out, facts);
        out.push(Line::default());
        machine(&mut out, facts);
        return out;
    };
    let failed = node.steps.iter().find_map(|s| if let StepState::Failed { problem } = &s.state { Some(problem) } else { None });
    out.push(Line::from(node.summary.clone()).style(tone(facts)));
    if let Some(problem) = failed {
        out.extend([Line::from(format!("cause: {}", problem.cause)), Line::from(format!("next:  {}", problem.next))]);
    }
    if matches!(Stage::of(facts), Stage::Preparing | Stage::Failed) {
        steps(&mut out, node, width);
    } else {
        flow(&mut out, node);
    }
    out.push(Line::default());
    machine(&mut out, facts);
    out
}

fn tone(facts: &Facts) -> Style {
    let stage = Stage::of(facts);
    Style::new().fg(if stage.is_bad() { Color::Red } else if stage == Stage::Preparing { Color::Yellow } else { Color::Green })
}

fn label(word: &'static str, text: impl Into<String>) -> Line<'static> {
    Line::from(vec![Span::from(format!("{word:<8}")).dim(), Span::from(text.into())])
}

/// How to come in: addresses, PIN, what the browser must show.
fn entry(out: &mut Vec<Line<'static>>, facts: &Facts, width: u16) {
    let Some(page) = &facts.page else { return };
    // The name first, where there is one: it stays when addresses change.
    let (names, numbers): (Vec<_>, Vec<_>) = page.addresses.iter().partition(|a| a.contains(".local"));
    let ordered: Vec<&String> = names.into_iter().chain(numbers).collect();
    for (at, address) in ordered.iter().take(ADDRESSES).enumerate() {
        out.push(Line::from(vec![Span::from(if at == 0 { "Open    " } else { "  or    " }).dim(), Span::from((*address).clone()).bold()]));
    }
    if let Some(pin) = &facts.pin {
        let left = (pin.until - facts.at).num_seconds().max(0);
        let next = format!("   new one in {:02}:{:02}", left / 60, left % 60);
        out.push(Line::from(vec![Span::from("PIN     ").dim(), Span::from(pin.pin.clone()).bold().fg(Color::Yellow), Span::from(next)]));
    }
    let pairs: Vec<&str> = page.fingerprint.split(':').collect();
    for (at, part) in pairs.chunks(PAIRS[usize::from(width >= 58)]).enumerate() {
        out.push(label(if at == 0 { "Check" } else { "" }, part.join(":")));
    }
    if facts.pin.is_none() && facts.claimed {
        out.push(label("Log in", "with your name and pass phrase: it is claimed"));
    }
    out.push(Line::default());
}

fn absent(out: &mut Vec<Line<'static>>, facts: &Facts) {
    let never = Stage::of(facts) == Stage::Never;
    let what = if never { "No node was ever started here." } else { "No node runs here now; what it stored is kept." };
    let next = if never { "Start it with `antihate up`, or at every boot with `antihate install` and `systemctl start antihate`." } else { "Start it with `systemctl start antihate` or `antihate up`. F3 looks whether this host is fit, F4 shows why it ended." };
    out.push(Line::from(what).style(tone(facts)));
    if let Some(problem) = facts.absent.as_ref().filter(|_| !never) {
        out.push(Line::from(format!("cause: {}", problem.cause)));
    }
    out.push(Line::from(format!("next:  {next}")));
}

fn steps(out: &mut Vec<Line<'static>>, node: &NodeStatus, width: u16) {
    let done = percent(node);
    let room = usize::from(width.saturating_sub(8)).clamp(8, 48);
    let full = room * usize::from(done) / 100;
    out.push(Line::from(format!("{}{} {done:>3} %", "█".repeat(full), "░".repeat(room - full))));
    for step in &node.steps {
        let (mark, style) = match &step.state {
            StepState::Done => ("done   ", Style::new().fg(Color::Green)),
            StepState::Running { .. } => ("at work", Style::new().fg(Color::Yellow)),
            StepState::Waiting => ("waiting", Style::new().add_modifier(Modifier::DIM)),
            StepState::Failed { .. } => ("FAILED ", Style::new().fg(Color::Red)),
        };
        let percent = if let StepState::Running { percent: Some(p), .. } = step.state { format!(", {p} %") } else { String::new() };
        let detail = if step.detail.is_empty() || step.state == StepState::Done { String::new() } else { format!(": {}", step.detail) };
        out.push(Line::from(vec![Span::from(mark).style(style), Span::from(format!(" {}{detail}{percent}", step.title))]));
    }
}

/// Posts, the link upstream, and what is not well.
fn flow(out: &mut Vec<Line<'static>>, node: &NodeStatus) {
    let p = &node.pipeline;
    out.push(label("Posts", format!("{} stored, {} in the last minute, backlog {}, lost {}", p.stored, p.per_minute, p.backlog, p.lost)));
    out.push(label("Hub", node.upstream.sentence()));
    for component in node.components.iter().filter(|c| !c.healthy).take(4) {
        let place = if component.place == "host" { component.name.clone() } else { format!("{} in {}", component.name, component.place) };
        out.push(Line::from(format!("not well: {place}: {}", component.detail)).style(Style::new().fg(Color::Red)));
    }
}

/// The machine itself.
fn machine(out: &mut Vec<Line<'static>>, facts: &Facts) {
    let addressed = facts.links.iter().find(|l| l.is_addressed()).or(facts.links.first());
    let link = addressed.map_or("none leads out of this host: plug a cable in".into(), |l| {
        let addresses = if l.is_addressed() { String::new() } else { ", NO ADDRESS".into() };
        let more = if facts.links.len() > 1 { format!(" and {} more", facts.links.len() - 1) } else { String::new() };
        format!("{}{addresses}{more}", l.sentence())
    });
    out.push(label("Link", link));
    out.push(label("Names", if facts.resolvers.is_empty() { "NO RESOLVER".into() } else { facts.resolvers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") }));
    let kept = match facts.clock {
        Some(c) if c.kept => format!(", kept right (within {:.1} s)", c.off),
        Some(_) => ", NOBODY KEEPS IT RIGHT".into(),
        None => String::new(),
    };
    out.push(label("Time", format!("{} UTC{kept}", facts.at.format("%Y-%m-%d %H:%M"))));
    out.push(label("GPU", facts.gpu.clone()));
    out.push(label("Disk", facts.disk.map_or("cannot be asked".into(), |d| d.sentence())));
}

/// The main screen once, as text.
pub fn once(facts: Facts, width: u16, height: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let area = buffer.area;
    paint(&mut buffer, area, &App::new(facts, false));
    text(&buffer)
}

/// The characters of a screen, without the blanks at the ends of lines.
pub fn text(buffer: &Buffer) -> String {
    let row = |y: u16| (buffer.area.left()..buffer.area.right()).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    let rows = (buffer.area.top()..buffer.area.bottom()).map(|y| row(y).trim_end().to_owned() + "\n");
    rows.collect()
}
