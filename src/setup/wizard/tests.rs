//! The state machine of the setup, its file and what it does to the settings.

use super::answers::{Checked, Enroll, Network, Sources, Welcome, When};
use super::state::{Answer, Screen, State, Taken};
use super::{apply, file};
use crate::config::{Settings, Valid};
use crate::setup::tongue::Tongue;
use chrono::DateTime;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::fmt::Write as _;
use std::path::PathBuf;

fn answer(screen: Screen, other: bool) -> Answer {
    let at = DateTime::UNIX_EPOCH;
    match screen {
        Screen::Welcome => Answer::Welcome(Welcome { language: Tongue::En, site: if other { "Harbour" } else { "" }.into() }),
        Screen::Check => Answer::Check(Checked { accept_warnings: other }),
        Screen::Network => Answer::Network(Network { internet: !other }),
        Screen::Enroll => Answer::Enroll(Enroll { when: if other { When::Now } else { When::Later } }),
        Screen::Sources => Answer::Sources(Sources { sample: other, ..Sources::default() }),
        Screen::Review => Answer::Review(at),
        Screen::Install => Answer::Install,
        Screen::Done => Answer::Done(at),
    }
}

fn name(state: &State) -> &'static str {
    state.next().map_or("over", Screen::name)
}

fn golden(file: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{file} differs; UPDATE_GOLDEN=1 rewrites it");
}

/// Every screen of every stage, answered with the form of the moment, an older one that says the same, and one that says something else.
#[test]
fn each_form_at_each_stage_comes_to_what_the_golden_file_says() {
    let mut text = String::from("# stage: screen, form -> what it came to, stage after it\n");
    let mut stage = State::default();
    loop {
        for screen in Screen::ALL {
            for (form, number, other) in [("now", stage.form(screen), false), ("now, other", stage.form(screen), true), ("older", stage.form(screen).wrapping_sub(1), false), ("older, other", stage.form(screen).wrapping_sub(1), true)] {
                let mut after = stage.clone();
                let taken = after.take(number, answer(screen, other));
                assert!(taken == Taken::Kept || after == stage, "what is not kept changes nothing");
                writeln!(text, "{}: {}, {form} -> {taken:?}, {}", name(&stage), screen.name(), name(&after)).expect("text");
            }
        }
        let Some(next) = stage.next() else { break };
        assert_eq!(stage.take(stage.form(next), answer(next, false)), Taken::Kept);
    }
    golden("setup.txt", &text);
}

#[test]
fn a_site_without_internet_is_not_asked_for_a_hub() {
    let mut state = State::default();
    for screen in [Screen::Welcome, Screen::Check] {
        state.take(0, answer(screen, false));
    }
    state.take(0, answer(Screen::Network, true));
    assert_eq!((state.next(), state.path().len()), (Some(Screen::Sources), 7));
    assert_eq!(state.take(0, answer(Screen::Enroll, false)), Taken::Early);
    assert_eq!(state.before(Screen::Sources), Some(Screen::Network));
}

#[test]
fn a_review_that_was_opened_before_a_change_applies_nothing() {
    let mut state = State::default();
    for screen in &Screen::ALL[..5] {
        state.take(0, answer(*screen, false));
    }
    let opened = state.form(Screen::Review);
    state.take(state.form(Screen::Sources), answer(Screen::Sources, true));
    assert_eq!(state.take(opened, answer(Screen::Review, false)), Taken::Older);
    assert_eq!(state.take(state.form(Screen::Review), answer(Screen::Review, false)), Taken::Kept);
    state.take(state.form(Screen::Welcome), answer(Screen::Welcome, true));
    assert_eq!(state.next(), Some(Screen::Review), "what changed after it is reviewed again");
}

#[test]
fn over_two_thousand_random_walks_with_reboots_no_form_counts_twice_and_nothing_is_lost() {
    let mut dice = StdRng::seed_from_u64(7);
    for _ in 0..2000 {
        let (mut state, mut open) = (State::default(), Vec::new());
        for _ in 0..40 {
            let screen = Screen::ALL[dice.gen_range(0..8)];
            open.push((state.form(screen), answer(screen, dice.gen_bool(0.3)))); // a window that stays open
            let (form, said) = open[dice.gen_range(0..open.len())].clone();
            let before = state.clone();
            let taken = state.take(form, said.clone());
            assert!(taken == Taken::Kept || state == before);
            let kept = state.clone();
            assert_ne!(state.take(form, said), Taken::Kept, "sent twice, it counts once");
            assert_eq!(state, kept);
            state = serde_json::from_str(&serde_json::to_string(&state).expect("JSON")).expect("it reads back");
            assert_eq!(state, kept, "a reboot loses nothing");
            if state.finished.is_some() {
                assert!(state.next().is_none() && !state.may_see(Screen::Welcome));
            }
        }
    }
}

#[test]
fn a_state_of_another_program_is_refused_and_not_guessed() {
    assert!(serde_json::from_str::<State>("{\"answers\":{\"version\":1},\"forms\":{},\"spy\":1}").is_err());
    assert!(serde_json::from_str::<State>("{\"answers\":{\"version\":1,\"welcome\":{\"language\":\"xx\"}}}").is_err());
}

#[test]
fn the_example_is_read_and_what_is_downloaded_reads_back_without_secrets() {
    let given = file::read(file::EXAMPLE, &Settings::default()).unwrap_or_else(|p| panic!("{}", p.render()));
    assert_eq!(given.owner.as_ref().map(|o| o.name.as_str()), Some("ada"));
    let text = file::write(&given.answers, Some("ada"));
    let again = file::read(&text, &Settings::default()).unwrap_or_else(|p| panic!("{}\n{text}", p.render()));
    assert!(again.answers == given.answers && again.owner.is_some_and(|o| o.pass_phrase.is_none()));
    let secret = "version = 1\n[owner]\nname = \"ada\"\npass_phrase = \"four tall birds\"\n[enroll]\nwhen = \"now\"\ntoken = \"AHN1.x\"\n";
    let given = file::read(secret, &Settings::default()).unwrap_or_else(|p| panic!("{}", p.render()));
    assert_eq!(given.token.as_ref().map(|t| t.as_str()), Some("AHN1.x"));
    let text = file::write(&given.answers, Some("ada"));
    assert!(!text.contains("birds") && !text.contains("AHN1"), "{text}");
}

#[test]
fn a_wrong_file_is_refused_with_code_and_line() {
    for (text, code, line) in [
        ("version = 1\n[sources]\nsmaple = true\n", "SET-120", 3),
        ("version = 1\n\n[network]\ninternet = \"maybe\"\n", "SET-120", 4),
        ("version = 2\n", "SET-121", 1),
        ("version = 1\n[welcome]\nlanguage = \"tlh\"\n", "SET-106", 3),
        ("version = 1\n[enroll]\nwhen = \"now\"\n", "SET-111", 3),
        ("version = 1\n[sources]\nsample = true\nretention_days = 0\n", "CFG-106", 4),
        ("version = 1\n[sources]\nfeeds = [\"not an address\"]\n", "SET-109", 3),
        ("version = 1\n[sources]\nimport = true\nservers = [\"https://a.example\"]\n", "SET-105", 4),
        ("version = 1\n[sources]\nlanguages = [\"english\"]\n", "CFG-108", 3),
    ] {
        let Err(problem) = file::read(text, &Settings::default()) else { panic!("{text} is taken") };
        assert!(problem.code == code && problem.what.ends_with(&format!("at line {line}")), "{text}: {}", problem.render());
        assert!(!problem.cause.is_empty() && !problem.next.is_empty());
    }
}

#[test]
fn the_answers_go_into_the_settings_and_what_was_not_asked_stays() {
    let before = "retention_days = 5\n[node]\nname = \"leaf-1\"\n[storage]\nfolder = \"/srv/disk\"\n[analyzer]\nbatch_size = 8\n[[sources.rss]]\nurl = \"https://a.example/f\"\nlanguage = \"pt\"\n[[sources.mastodon]]\nserver = \"https://m.example\"\nhashtags = [\"own\"]\n";
    let now = Valid::parse(before).expect("valid").into_inner();
    let same = Sources::of(&now);
    let state = |sources| super::Answers { sources: Some(sources), ..super::Answers::default() };
    assert_eq!(apply::settings(&state(same.clone()), now.clone()).expect("taken").into_inner(), now, "unchanged answers change nothing");
    let wish = Sources { feeds: vec!["https://a.example/f".into(), "b.example/g".into()], hashtags: vec!["#x".into()], public: true, retention_days: 9, ..same };
    let after = apply::settings(&state(wish), now).expect("taken").into_inner();
    assert_eq!((after.retention_days, after.analyzer.batch_size, after.node.name.as_deref()), (9, 8, Some("leaf-1")));
    assert_eq!(after.sources.rss.iter().map(|f| (f.url.as_str(), f.language.as_deref())).collect::<Vec<_>>(), [("https://a.example/f", Some("pt")), ("https://b.example/g", None)]);
    assert!(after.sources.mastodon[0].public && after.sources.mastodon[0].hashtags == ["own"] && after.storage.folder.is_some());
}

#[test]
fn settings_are_written_once_and_a_persons_file_that_says_the_same_is_left_alone() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("settings.toml");
    std::fs::write(&path, "# mine\nretention_days = 9\n").expect("written");
    let wish = |days| super::Answers { sources: Some(Sources { retention_days: days, ..Sources::default() }), ..super::Answers::default() };
    assert!(!apply::write(dir.path(), &wish(9)).expect("same"));
    assert!(std::fs::read_to_string(&path).expect("read").starts_with("# mine"));
    assert!(apply::write(dir.path(), &wish(10)).expect("written"));
    assert!(!apply::write(dir.path(), &wish(10)).expect("again"));
}

#[test]
fn every_refusal_of_the_setup_has_code_cause_and_next_step_in_every_language() {
    for tongue in Tongue::ALL {
        for code in super::Refusal::CODES {
            let (problem, own) = super::Refusal::about(code, "it").told(tongue);
            assert!(own && ![&problem.what, &problem.cause, &problem.next].iter().any(|t| t.is_empty() || t.starts_with("set_") || t.contains("{it}")), "{code} in {}", tongue.tag());
        }
    }
}
