//! `antihate setup`: the answers of the setup screens from a file, by the same code as the page. Beside a running node and without one.

use super::{Context, DataArg, enroll};
use crate::config::{self, layout::Layout};
use crate::domain::Role;
use crate::enroll::edge::Options;
use crate::enroll::token::Token;
use crate::host::check::{self, Check};
use crate::host::place;
use crate::setup::UserKeep;
use crate::setup::wizard::file::{self, Given, Owner};
use crate::setup::wizard::{Keep, Refusal, State, apply};
use crate::status::Problem;
use chrono::Utc;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Largest file of answers.
const LARGEST: u64 = 1 << 20;

/// Answers the setup from a file instead of on the page. Given twice, it changes nothing the second time.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate setup --example > answers.toml\n  antihate setup --file answers.toml\n  antihate setup --file - < answers.toml\n\nA node that runs takes the answers up within seconds. What is in force already stays; a node is claimed once.")]
pub struct SetupCmd {
    /// File with the answers, or `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "example")]
    file: Option<PathBuf>,
    /// Print a whole file with comments, and change nothing.
    #[arg(long, conflicts_with = "file")]
    example: bool,
    #[command(flatten)]
    data: DataArg,
}

/// What was done.
struct Done {
    changed: bool,
    enrolled: Option<String>,
    owner: Option<Made>,
}

/// A new owner, with what is shown once.
struct Made {
    name: String,
    codes: Vec<Zeroizing<String>>,
    phrase: Option<Zeroizing<String>>,
}

impl SetupCmd {
    /// Does it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Some(path) = self.file else {
            context.say(&serde_json::json!({"example": file::EXAMPLE}), file::EXAMPLE.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        };
        let text = text(&path)?;
        let layout = self.data.layout()?;
        place::only_at_home(&layout, "the setup is done")?;
        let now = config::load(&layout.data.join("settings.toml"))?.into_inner();
        let given = file::read(&text, &now)?;
        accepted(&layout, &given)?;
        let done = carry_out(&layout, given)?;
        tell(&done, context)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let mut text = Zeroizing::new(String::new());
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(LARGEST).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|f| f.take(LARGEST).read_to_string(&mut text)),
    };
    let failed = |e: std::io::Error| Problem::new("SET-122", format!("{} cannot be read", path.display()), e.to_string(), "Name a file with answers; `antihate setup --example` prints one.");
    read.map(|_| text).map_err(failed)
}

/// What the checks of the host say against it, as on the page: with warnings it goes on only where that was said.
fn accepted(layout: &Layout, given: &Given) -> Result<(), Problem> {
    if given.answers.check.as_ref().is_some_and(|c| c.accept_warnings) {
        return Ok(());
    }
    let bad: Vec<Check> = check::quick(layout).into_iter().filter(|c| c.problem().is_some()).collect();
    let Some(first) = bad.first().and_then(Check::problem) else { return Ok(()) };
    let mut problem = Refusal::own("SET-104").english();
    problem.cause = format!("{} of them; the first is {first}", bad.len());
    problem.next = "Read them with `antihate check`, and mend them or write `accept_warnings = true` below `[check]`.".into();
    Err(problem)
}

/// The owner first: what fails after it can be repeated with the same file.
fn carry_out(layout: &Layout, given: Given) -> anyhow::Result<Done> {
    let owner = given.owner.map(|owner| claim(&layout.data, owner)).transpose()?.flatten();
    let enrolled = given.token.map(|token| hub(layout, &token)).transpose()?;
    let answers = given.answers;
    let changed = Keep::new(&layout.data).change(|state: &mut State| {
        let changed = apply::write(&layout.data, &answers)?;
        let new = state.answers != answers;
        state.answers = answers;
        let now = Utc::now();
        (state.applied, state.watched) = (state.applied.or(Some(now)), true);
        state.finished = state.finished.or(Some(now));
        Ok(changed || new)
    })?;
    Ok(Done { changed, enrolled, owner })
}

/// Claims the node where nobody has.
fn claim(data: &Path, owner: Owner) -> Result<Option<Made>, Problem> {
    let keep = UserKeep::new(data);
    if let Some(first) = keep.read()?.claimed() {
        if !first.name.eq_ignore_ascii_case(&owner.name) {
            eprintln!("The node is claimed by {}; {} was not made an owner. `antihate user add` does that.", first.name, owner.name);
        }
        return Ok(None);
    }
    let (codes, phrase) = match owner.pass_phrase {
        Some(phrase) => (keep.claim(&owner.name, &phrase)?, None),
        None => (Vec::new(), Some(keep.invite(&owner.name, Role::Owner)?)),
    };
    Ok(Some(Made { name: owner.name, codes, phrase }))
}

/// Enrolls, and is content where that was done with this hub before.
fn hub(layout: &Layout, text: &str) -> anyhow::Result<String> {
    let token = Token::parse(text).map_err(|e| e.problem())?;
    let identity = enroll::enrolled(layout, &token, &Options::default(), (false, true))?;
    Ok(format!("{} in {} at {}", identity.node, identity.geography, identity.hub()))
}

fn tell(done: &Done, context: &Context) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if context.json {
        let owner = done.owner.as_ref().map(|o| serde_json::json!({"name": o.name, "recovery_codes": o.codes.iter().map(|c| c.as_str()).collect::<Vec<_>>(), "one_time_pass_phrase": o.phrase.as_deref()}));
        return writeln!(out, "{}", serde_json::json!({"changed": done.changed, "enrolled": done.enrolled, "owner": owner}));
    }
    writeln!(out, "{}", if done.changed { "The answers are in force; a node that runs takes them up within seconds." } else { "Nothing had to be changed." })?;
    if let Some(enrolled) = &done.enrolled {
        writeln!(out, "Enrolled as {enrolled}.")?;
    }
    let Some(owner) = &done.owner else { return Ok(()) };
    if let Some(phrase) = &owner.phrase {
        return writeln!(out, "{} owns the node. The pass phrase, for one login; then another has to be chosen: {}", owner.name, phrase.as_str());
    }
    writeln!(out, "{} owns the node. Recovery codes, shown only now:", owner.name)?;
    owner.codes.iter().try_for_each(|code| writeln!(out, "  {}", code.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn carried_out(layout: &Layout, text: &str) -> Done {
        let given = file::read(text, &Settings::default()).unwrap_or_else(|p| panic!("{}", p.render()));
        carry_out(layout, given).unwrap_or_else(|e| panic!("{e:#}"))
    }

    #[test]
    fn a_file_sets_the_node_up_and_given_twice_it_changes_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let layout = Layout::new(dir.path());
        let first = carried_out(&layout, file::EXAMPLE);
        let owner = first.owner.expect("nobody had claimed it");
        assert!(first.changed && owner.name == "ada" && owner.phrase.is_some() && owner.codes.is_empty());
        let settings = std::fs::read_to_string(dir.path().join("settings.toml")).expect("written");
        assert!(settings.contains("https://news.example/feed.xml"));
        assert!(Keep::new(dir.path()).read().expect("kept").is_some_and(|s| s.finished.is_some()), "the page asks no more");
        let second = carried_out(&layout, file::EXAMPLE);
        assert!(!second.changed && second.owner.is_none());
        assert_eq!(std::fs::read_to_string(dir.path().join("settings.toml")).expect("read"), settings);
    }

    #[test]
    fn an_owner_with_a_pass_phrase_gets_recovery_codes() {
        let dir = tempfile::tempdir().expect("dir");
        let text = "version = 1\n[owner]\nname = \"ada\"\npass_phrase = \"four tall birds whistle\"\n";
        let owner = carried_out(&Layout::new(dir.path()), text).owner.expect("made");
        assert!(owner.codes.len() == 8 && owner.phrase.is_none());
        let kept = std::fs::read_to_string(dir.path().join("setup.json")).expect("kept");
        assert!(!kept.contains("birds"));
    }
}
