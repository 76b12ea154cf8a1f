//! `answers.toml`: the same answers as a file, for `antihate setup --file` and for who downloads them. Reading knows two secrets, which
//! are taken apart at once; writing has no field for them.

use super::answers::{Answers, Checked, Enroll, Network, Sources, VERSION, Welcome, When};
use super::refusal::Refusal;
use super::{apply, form};
use crate::config::Settings;
use crate::setup::tongue::Tongue;
use crate::status::Problem;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A whole example, which is read by a test.
pub const EXAMPLE: &str = include_str!("example.toml");

/// What a file says.
pub struct Given {
    /// The answers.
    pub answers: Answers,
    /// Who is to own the node.
    pub owner: Option<Owner>,
    /// The token of the hub.
    pub token: Option<Zeroizing<String>>,
}

/// Who is to own the node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The name.
    pub name: String,
    /// The pass phrase; without it one is made that serves once.
    #[serde(default, deserialize_with = "secret")]
    pub pass_phrase: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    owner: Option<Owner>,
    #[serde(default)]
    welcome: FileWelcome,
    check: Option<Checked>,
    network: Option<Network>,
    enroll: Option<FileEnroll>,
    sources: Option<Sources>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileWelcome {
    language: String,
    site: String,
}

impl Default for FileWelcome {
    fn default() -> Self {
        FileWelcome { language: Tongue::En.tag().into(), site: String::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEnroll {
    when: When,
    #[serde(default, deserialize_with = "secret")]
    token: Option<Zeroizing<String>>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

/// Reads a file. What it does not say is as on the screens: the settings of now, warnings not accepted, later.
pub fn read(text: &str, now: &Settings) -> Result<Given, Problem> {
    let file: File = toml::from_str(text).map_err(|e| {
        let place = e.span().map_or(String::new(), |s| at(line_of(text, s.start)));
        Problem::new("SET-120", format!("The answers are not understood{place}"), e.message(), "Correct that line. `antihate setup --example` prints a whole file.")
    })?;
    checked(file, now).map_err(|refusal| {
        let mut problem = refusal.english();
        problem.what += &place(text, &problem).map_or(String::new(), at);
        problem
    })
}

fn checked(file: File, now: &Settings) -> Result<Given, Refusal> {
    if file.version != VERSION {
        let cause = format!("it has version {}, and this program reads {VERSION}", file.version);
        return Err(Refusal::Given(Problem::new("SET-121", "The version of the answers is another one", cause, "Use the program that wrote the file, or `antihate setup --example`.")));
    }
    let welcome: Welcome = form::welcome(&file.welcome.language, file.welcome.site.trim())?;
    let (when, token) = file.enroll.map_or((When::Later, None), |e| (e.when, e.token));
    let network = file.network.unwrap_or(Network { internet: true });
    if when == When::Now && token.is_none() {
        return Err(Refusal::own("SET-111"));
    }
    let answers = Answers {
        version: VERSION,
        welcome: Some(welcome),
        check: Some(file.check.unwrap_or(Checked { accept_warnings: false })),
        network: Some(network),
        enroll: Some(Enroll { when }),
        sources: Some(file.sources.unwrap_or_else(|| Sources::of(now))),
    };
    apply::settings(&answers, now.clone())?;
    Ok(Given { answers, owner: file.owner, token: token.filter(|_| when == When::Now) })
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].matches('\n').count() + 1
}

fn at(line: usize) -> String {
    format!(" at line {line}")
}

/// The line that a refusal is about: the last key of the file that it names, or that holds what it quotes.
fn place(text: &str, problem: &Problem) -> Option<usize> {
    let named = format!("{} {}", problem.what, problem.cause);
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned()).filter(|k| !k.is_empty() && !k.starts_with('#'));
    let quoted = |line: &str| line.split('"').skip(1).step_by(2).any(|v| v.len() > 2 && named.contains(v));
    let code = match problem.code.as_str() {
        "SET-105" => Some("servers"),
        "SET-107" => Some("site"),
        "SET-111" => Some("when"),
        "SET-121" => Some("version"),
        _ => None,
    };
    let fits = |line: &str| key(line).is_some_and(|k| Some(k.as_str()) == code || named.contains(&k)) || quoted(line);
    text.lines().position(fits).map(|n| n + 1)
}

/// The answers as a file; no secret is in it, because no answer is one.
pub fn write(answers: &Answers, owner: Option<&str>) -> String {
    let head = "# Answers of an Anti-Hate Node's setup, for `antihate setup --file`. Pass phrases and tokens are left out.\n";
    let owner = owner.map_or(String::new(), |name| format!("\n[owner]\nname = {}\n", toml::Value::from(name)));
    format!("{head}{}{owner}", toml::to_string(answers).expect("answers hold only what TOML can say"))
}
