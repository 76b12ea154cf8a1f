//! The screens as text, kept in `tests/golden/console`; and what the keys do.

use super::app::{Action, App, Made, Support, View};
use super::facts::{Clock, Disk, Facts, Pin};
use super::links::Link;
use super::screen;
use crate::host::board::{Board, STEPS};
use crate::status::check::Group;
use crate::status::{Component, NodeStatus, PageAt, Pipeline, Problem, StepState, Upstream};
use chrono::{DateTime, Duration, Utc};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::path::Path;

fn moment() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000)
}

fn part(name: &str, place: &str, healthy: bool, detail: &str) -> Component {
    Component { name: name.into(), place: place.into(), healthy, detail: detail.into(), restarts: 0, since: moment() }
}

/// A node whose first `done` steps are done; all of them make it healthy.
fn node(done: usize) -> NodeStatus {
    let board = Board::new("leaf-1");
    STEPS.iter().take(done).for_each(|(id, _)| board.step(id, StepState::Done, "was done"));
    let pipeline = Pipeline { stored: 20_417, per_minute: 118, backlog: 3, ..Pipeline::default() };
    board.change(|s| (s.healthy, s.pipeline) = (done == STEPS.len(), if done == STEPS.len() { pipeline } else { Pipeline::default() }));
    board.components(true, vec![part("kubelet", "host", true, "runs"), part("gpu", "host", true, "1 GPU: NVIDIA H200, 139.8 GiB, computes")]);
    let told = board.subscribe();
    let mut status = told.borrow().clone();
    (status.version, status.at) = ("0.1.0".into(), moment());
    status.page = Some(PageAt {
        addresses: vec!["https://192.0.2.17:8443".into(), "https://antihate-7f3a.local:8443".into()],
        fingerprint: (0..32).map(|n| format!("{:02X}", n * 7 + 3)).collect::<Vec<_>>().join(":"),
        name: Some("antihate-7f3a.local".into()),
    });
    status
}

fn facts(node: Option<NodeStatus>, claimed: bool) -> Facts {
    let eth0 = Link { name: "eth0".into(), up: true, speed: Some(10_000), mac: "02:00:5e:00:53:01".into(), addresses: vec!["192.0.2.17/24".into(), "fe80::5eff:fe00:5301/64".into()] };
    let eth1 = Link { name: "eth1".into(), up: false, speed: None, mac: "02:00:5e:00:53:02".into(), addresses: Vec::new() };
    let gpu = if node.is_some() { "1 GPU: NVIDIA H200, 139.8 GiB, computes" } else { "1 found by the driver" };
    let absent = node.is_none().then(|| Problem::new("CLI-102", "no node runs here", "nothing holds /var/lib/antihate/lock", "Start it with `antihate up`."));
    Facts {
        version: "0.1.0".into(), at: moment(), host: "leaf-1".into(), made: true, claimed, absent,
        pin: (node.is_some() && !claimed).then(|| Pin { pin: "K7M2-9QXD".into(), until: moment() + Duration::seconds(521) }),
        page: node.as_ref().and_then(|n| n.page.clone()),
        node,
        links: vec![eth0, eth1],
        gateway: Some([192, 0, 2, 1].into()),
        resolvers: vec![[192, 0, 2, 1].into()],
        clock: Some(Clock { kept: true, off: 0.2 }),
        gpu: gpu.into(),
        disk: Some(Disk { free: 1_400 << 30, total: 1_800 << 30 }),
    }
}

fn preparing() -> Facts {
    let mut node = node(1);
    node.steps[1].state = StepState::Running { percent: Some(62), attempt: 1 };
    node.steps[1].detail = "unpacking".into();
    facts(Some(node), false)
}

fn degraded() -> Facts {
    let mut node = node(STEPS.len());
    node.components.push(part("postgres", "antihate-storage", false, "its pod restarts: the disk is full"));
    (node.healthy, node.summary) = (false, "postgres does not work: its pod restarts: the disk is full".into());
    let hub = "hub.sample-land.example:7443".into();
    node.upstream = Upstream::Enrolled { node: "leaf-1".into(), geography: "sample-land".into(), hub, connected: false, last_seen: None, certificate_ends: moment() };
    facts(Some(node), true)
}

fn failed() -> Facts {
    let mut node = node(1);
    let problem = Problem::new("UNP-301", "The disk is full", "the data folder needs 1.2 GB and has 0.3 GB", "Make room, or choose another folder with --data.");
    (node.steps[1].state, node.summary) = (StepState::Failed { problem }, "Verify and unpack Kubernetes failed: UNP-301: The disk is full. It is tried again.".into());
    facts(Some(node), false)
}

fn shown(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
    terminal.draw(|frame| screen::draw(frame, app)).expect("drawn");
    screen::text(terminal.backend().buffer())
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/console").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name} differs; UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn each_stage_looks_as_it_should_on_a_small_and_on_a_large_screen() {
    let never = Facts { made: false, ..facts(None, false) };
    let all = [
        ("waiting", facts(Some(node(STEPS.len())), false)), ("preparing", preparing()), ("running", facts(Some(node(STEPS.len())), true)),
        ("degraded", degraded()), ("failed", failed()), ("down", facts(None, true)), ("never", never),
    ];
    for (name, facts) in all {
        let app = App::new(facts, false);
        for (width, height) in [(80, 24), (120, 40)] {
            golden(&format!("{name}-{width}x{height}"), &shown(&app, width, height));
        }
    }
}

#[test]
fn a_narrow_screen_still_shows_address_and_pin() {
    let text = shown(&App::new(facts(Some(node(STEPS.len())), false), false), 40, 16);
    assert!(text.contains("https://192.0.2.17:8443") && text.contains("K7M2-9QXD"), "{text}");
    golden("waiting-40x16", &text);
    // Whatever the size, nothing panics.
    for (width, height) in [(1, 1), (10, 3), (300, 2), (20, 100)] {
        shown(&App::new(preparing(), true), width, height);
    }
}

#[test]
fn the_pin_is_shown_only_while_nobody_has_claimed_the_node() {
    let text = shown(&App::new(facts(Some(node(STEPS.len())), true), false), 120, 40);
    assert!(!text.contains("PIN") && !text.contains('▀') && text.contains("it is claimed"), "{text}");
}

fn press(app: &mut App, code: KeyCode) -> Action {
    app.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn the_views_behind_the_keys_look_as_they_should() {
    let mut app = App::new(facts(Some(node(STEPS.len())), true), true);
    assert_eq!(press(&mut app, KeyCode::F(2)), Action::Nothing);
    golden("network-80x24", &shown(&app, 80, 24));
    assert_eq!(press(&mut app, KeyCode::F(3)), Action::Check);
    assert!(shown(&app, 80, 24).contains("Looking ..."));
    let swap = Group::Memory.check("memory.swap", "Swap", "a kubelet that swaps is slow", "2.0 GiB of swap").warns(true, "CHK-150", "swap is on", "Switch it off with `swapoff -a`.");
    app.checks = Some(vec![swap, Group::Disk.check("disk.room", "Room", "posts need room", "1.4 TiB")]);
    golden("checks-80x24", &shown(&app, 80, 24));
    assert_eq!(press(&mut app, KeyCode::F(4)), Action::ReadLog);
    app.logs_read(vec!["containerd".into(), "kubelet".into()], Vec::new());
    press(&mut app, KeyCode::Down);
    golden("logs-80x24", &shown(&app, 80, 24));
    assert_eq!((press(&mut app, KeyCode::Enter), app.open_log()), (Action::ReadLog, Some("kubelet")));
    app.logs_read(vec!["containerd".into(), "kubelet".into()], vec!["I1001 first".into(), "E1001 \x1b[2Jlast".into()]);
    golden("log-80x24", &shown(&app, 80, 24));
}

#[test]
fn the_phrase_of_a_bundle_is_forgotten_with_its_screen() {
    let mut app = App::new(facts(Some(node(STEPS.len())), true), false);
    press(&mut app, KeyCode::F(5));
    golden("support-80x24", &shown(&app, 80, 24));
    assert_eq!((press(&mut app, KeyCode::Enter), press(&mut app, KeyCode::Enter)), (Action::Bundle, Action::Nothing), "one at a time");
    app.support = Support::Done(Made { file: "/media/stick/antihate-support-20241004T000000Z.tar.zst.age".into(), removable: true, phrase: String::from("seven plain words").into(), bytes: 120_000 });
    let text = shown(&app, 80, 24);
    assert!(text.contains("seven plain words") && text.contains("/media/stick/"), "{text}");
    golden("support-done-80x24", &text);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.view, View::Main);
    press(&mut app, KeyCode::F(5));
    assert!(!shown(&app, 80, 24).contains("seven plain words"));
}

#[test]
fn keys_lead_back_and_out() {
    let mut app = App::new(facts(None, true), false);
    assert_eq!(press(&mut app, KeyCode::Esc), Action::Nothing, "a stray Esc ends nothing");
    press(&mut app, KeyCode::F(2));
    assert_eq!((press(&mut app, KeyCode::Char('q')), app.view), (Action::Nothing, View::Main));
    assert_eq!(press(&mut app, KeyCode::Char('q')), Action::Quit);
    press(&mut app, KeyCode::F(4));
    assert_eq!(app.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Action::Quit);
    for key in [KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::Enter, KeyCode::F(12)] {
        assert_eq!(press(&mut app, key), Action::Nothing, "{key:?} in a list without logs");
    }
}
