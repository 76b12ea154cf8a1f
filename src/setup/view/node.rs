//! The node's state as the home page tells it.

use crate::setup::mask::visible;
use crate::setup::words::{When, count, delay, when};
use crate::status::{Component, NodeStatus, Pipeline, Problem, Step, StepState, Upstream};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// One step of the list.
#[derive(Serialize)]
pub struct StepView {
    title: String,
    /// `waiting`, `running`, `done`, `failed`.
    state: &'static str,
    /// The state in words; colour and shape only repeat it.
    word: String,
    percent: Option<u8>,
    detail: String,
    since: When,
    problem: Option<Problem>,
}

/// What is shown before the page is unlocked: titles and states, no details.
#[derive(Serialize)]
pub struct Preparing {
    headline: String,
    done: usize,
    all: usize,
    finished: bool,
    steps: Vec<StepView>,
}

/// One number of the row under the headline.
#[derive(Serialize)]
struct Tile {
    id: &'static str,
    name: &'static str,
    value: String,
    hint: String,
    bad: bool,
}

/// One station of a post's way.
#[derive(Serialize)]
struct Station {
    name: &'static str,
    value: String,
    hint: String,
    bad: bool,
}

/// Share of one label in all stored posts; `x` and `width` in thousandths of the bar.
#[derive(Serialize)]
struct Share {
    label: &'static str,
    count: String,
    percent: String,
    x: u64,
    width: u64,
}

#[derive(Serialize)]
struct ComponentView {
    name: String,
    /// For `id` attributes and addresses: letters, digits and hyphens only.
    anchor: String,
    place: String,
    healthy: bool,
    detail: String,
    restarts: u32,
    since: When,
}

#[derive(Serialize)]
struct UpstreamView {
    /// `unclaimed`, `enrolling`, `enrolled`, `failed`.
    state: &'static str,
    headline: String,
    facts: Vec<(String, String)>,
    connected: bool,
    problem: Option<Problem>,
}

/// The home page's live part, without posts and logs.
#[derive(Serialize)]
pub struct NodeView {
    verdict: &'static str,
    headline: &'static str,
    summary: String,
    tiles: Vec<Tile>,
    stations: Vec<Station>,
    shares: Vec<Share>,
    steps: Preparing,
    components: Vec<ComponentView>,
    sick: usize,
    upstream: UpstreamView,
    at: When,
}

/// The whole view.
pub fn node(status: &NodeStatus, now: DateTime<Utc>) -> NodeView {
    let failed = status.steps.iter().any(|s| matches!(s.state, StepState::Failed { .. }));
    let ready = status.steps.iter().all(|s| s.state == StepState::Done);
    let (verdict, headline) = match (status.healthy, status.pipeline.lost, failed, ready) {
        (_, 1.., _, _) => ("bad", "Posts were lost."),
        (true, 0, _, _) => ("good", "Yes, it is working."),
        (false, 0, true, _) => ("bad", "No, something stands in the way."),
        (false, 0, false, false) => ("busy", "Not yet, it is being prepared."),
        (false, 0, false, true) => ("bad", "Not at the moment."),
    };
    let mut components: Vec<ComponentView> = status.components.iter().map(|c| component(c, now)).collect();
    components.sort_by_key(|c| c.healthy);
    NodeView {
        verdict,
        headline,
        summary: visible(&status.summary),
        tiles: tiles(&status.pipeline),
        stations: stations(&status.pipeline, &status.upstream, now),
        shares: shares(status.pipeline.by_label),
        steps: steps(status, now, true),
        sick: components.iter().filter(|c| !c.healthy).count(),
        components,
        upstream: upstream(&status.upstream, now),
        at: when(status.at, now),
    }
}

/// The step list for who has not unlocked the page.
pub fn preparing(status: &NodeStatus, now: DateTime<Utc>) -> Preparing {
    steps(status, now, false)
}

fn steps(status: &NodeStatus, now: DateTime<Utc>, details: bool) -> Preparing {
    let all = status.steps.len();
    let done = status.steps.iter().filter(|s| s.state == StepState::Done).count();
    let current = status.steps.iter().find(|s| s.state != StepState::Done);
    let headline = match current {
        Some(step) => format!("Step {} of {all}: {}", (done + 1).min(all), visible(&step.title)),
        None if all == 0 => "The node has just started.".to_owned(),
        None => format!("All {all} steps are done."),
    };
    Preparing { headline, done, all, finished: current.is_none() && all > 0, steps: status.steps.iter().map(|s| step(s, now, details)).collect() }
}

fn step(step: &Step, now: DateTime<Utc>, details: bool) -> StepView {
    let (state, word, percent, problem) = match &step.state {
        StepState::Waiting => ("waiting", "waiting".to_owned(), None, None),
        StepState::Running { percent, attempt } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            ("running", percent.map_or(format!("at work{again}"), |p| format!("at work, {p}%{again}")), *percent, None)
        }
        StepState::Done => ("done", "done".to_owned(), None, None),
        StepState::Failed { problem } => ("failed", format!("failed, {}", problem.code), None, Some(problem.clone())),
    };
    let detail = if details { visible(&step.detail) } else { String::new() };
    StepView { title: visible(&step.title), state, word, percent, detail, since: when(step.since, now), problem: problem.filter(|_| details) }
}

fn tiles(p: &Pipeline) -> Vec<Tile> {
    let lost = if p.lost == 0 { "no post fell out of the queue unread" } else { "posts in the queue were skipped: this must be 0" };
    vec![
        Tile { id: "rate", name: "Posts a minute", value: count(p.per_minute), hint: "stored in the last minute".into(), bad: false },
        Tile { id: "backlog", name: "Backlog", value: count(p.backlog), hint: "seen and not yet analysed".into(), bad: false },
        Tile { id: "delay", name: "Delay", value: delay(p.delay_p95_s), hint: "from seen to stored, 95 of 100 posts are faster".into(), bad: false },
        Tile { id: "lost", name: "Lost", value: count(p.lost), hint: lost.into(), bad: p.lost > 0 },
    ]
}

fn stations(p: &Pipeline, up: &Upstream, now: DateTime<Utc>) -> Vec<Station> {
    let analysed = p.stored + p.quarantined;
    let aside = if p.quarantined == 0 { "nothing set aside".to_owned() } else { format!("{} set aside as unreadable", count(p.quarantined)) };
    let (sent, hint) = match up {
        Upstream::Enrolled { connected: true, last_seen, .. } => ("reports".to_owned(), last_seen.map_or("no report yet".into(), |t| format!("last one {}", when(t, now).relative))),
        Upstream::Enrolled { connected: false, .. } => ("waiting".to_owned(), "link is down; nothing here waits for it".into()),
        _ => ("not enrolled".to_owned(), "everything else works without it".into()),
    };
    let station = |name, value, hint| Station { name, value, hint, bad: false };
    vec![
        station("Seen", count(analysed + p.backlog), "taken from the sources".into()),
        Station { bad: p.lost > 0, ..station("Analysed", count(analysed), format!("{} waiting, lost {}", count(p.backlog), count(p.lost))) },
        station("Stored", count(p.stored), aside),
        station("Sent", sent, hint),
    ]
}

fn shares(by_label: [u64; 3]) -> Vec<Share> {
    let all: u64 = by_label.iter().sum();
    let part = |n: u64| if all == 0 { 0 } else { (u128::from(n) * 1000 / u128::from(all)) as u64 };
    let mut x = 0;
    crate::domain::Label::ALL
        .into_iter()
        .zip(by_label)
        .map(|(label, n)| {
            let width = part(n);
            let share = Share { label: label.as_str(), count: count(n), percent: format!("{}.{}%", width / 10, width % 10), x, width };
            x += width;
            share
        })
        .collect()
}

fn component(c: &Component, now: DateTime<Utc>) -> ComponentView {
    let anchor = c.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    ComponentView { name: c.name.clone(), anchor, place: c.place.clone(), healthy: c.healthy, detail: visible(&c.detail), restarts: c.restarts, since: when(c.since, now) }
}

fn upstream(up: &Upstream, now: DateTime<Utc>) -> UpstreamView {
    let view = |state, headline: &str| UpstreamView { state, headline: headline.to_owned(), facts: Vec::new(), connected: false, problem: None };
    match up {
        Upstream::Unclaimed => view("unclaimed", "Not enrolled. The node works alone until it gets a token."),
        Upstream::Enrolling { detail } => UpstreamView { facts: vec![("Now".into(), visible(detail))], ..view("enrolling", "Enrolling.") },
        Upstream::Failed { problem } => UpstreamView { problem: Some(problem.clone()), ..view("failed", "The link does not stand.") },
        Upstream::Enrolled { node, geography, hub, connected, last_seen, certificate_ends } => {
            let ends = when(*certificate_ends, now);
            let seen = last_seen.map_or("never".to_owned(), |t| { let w = when(t, now); format!("{} ({})", w.relative, w.full) });
            let facts = [("Enrolled as", node.clone()), ("Geography", geography.clone()), ("Hub", hub.clone()), ("Last report", seen), ("Certificate ends", format!("{} ({})", ends.relative, ends.full))];
            UpstreamView {
                connected: *connected,
                facts: facts.into_iter().map(|(k, v)| (k.to_owned(), visible(&v))).collect(),
                ..view("enrolled", if *connected { "Connected to its hub." } else { "Enrolled, and the link is down. Nothing here waits for it." })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_bar_and_never_beyond() {
        for counts in [[0, 0, 0], [1, 1, 1], [u64::MAX / 3, 1, u64::MAX / 3], [997, 2, 1]] {
            let shares = shares(counts);
            assert!(shares.iter().map(|s| s.width).sum::<u64>() <= 1000);
            assert_eq!(shares[1].x, shares[0].width);
        }
    }

    #[test]
    fn a_lost_post_is_bad_news_even_on_a_healthy_node() {
        let mut status = crate::setup::sample::status();
        assert_eq!(node(&status, status.at).verdict, "good");
        status.pipeline.lost = 1;
        assert_eq!(node(&status, status.at).verdict, "bad");
    }

    #[test]
    fn before_the_pin_no_detail_of_a_step_is_told() {
        let mut status = crate::setup::sample::status();
        status.steps[0].detail = "inner matter".into();
        status.steps[0].state = StepState::Failed { problem: Problem::new("UNP-301", "inner matter", "inner matter", "inner matter") };
        let told = serde_json::to_string(&preparing(&status, status.at)).expect("JSON");
        assert!(told.contains("UNP-301") && !told.contains("inner matter"));
        let told = serde_json::to_string(&node(&status, status.at)).expect("JSON");
        assert!(told.contains("inner matter"));
    }
}
