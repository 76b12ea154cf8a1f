//! `antihate enroll`: gives this node its place in a geography. Works beside a running node and without one.

use super::{Context, DataArg};
use crate::config::layout::Layout;
use crate::enroll::edge::{Error, Folder, Identity, Options, join};
use crate::enroll::refusal::Refusal;
use crate::enroll::token::Token;
use crate::host::place;
use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long another process may be busy with the identity.
const PATIENCE: Duration = Duration::from_secs(60);

/// Enrolls this node at a hub.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate enroll AHN1.DE.…\n  antihate enroll - < token.txt      (keeps the token out of the list of processes)\n\nA node that runs takes up its new identity within a second. The command may be repeated with the same token after any interruption.")]
pub struct Enroll {
    /// The token as the hub printed it, or `-` to read it from standard input.
    token: String,
    /// Gives up the identity that this node has.
    #[arg(long)]
    replace: bool,
    /// Geography that this node belongs to; a token of another one is refused.
    #[arg(long, value_name = "GEO")]
    geo: Option<String>,
    /// Site where this node stands.
    #[arg(long)]
    site: Option<String>,
    /// Does not wait when a person has to accept the node.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    data: DataArg,
}

impl Enroll {
    /// Performs the exchange and prints who the node is now.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let typed = match self.token.as_str() {
            "-" => {
                let mut text = Zeroizing::new(String::new());
                std::io::stdin().take(4_096).read_to_string(&mut text)?;
                text
            }
            given => Zeroizing::new(given.to_owned()),
        };
        let token = Token::parse(&typed).map_err(|e| e.problem())?;
        let options = Options { geography: self.geo, site: self.site, clock_offset_s: 0 };
        let identity = enrolled(&self.data.layout()?, &token, &options, (self.replace, !self.no_wait))?;
        print(&identity, context.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Enrolls the node of this data root: with `replace` over an identity that it has, with `wait` until a person has accepted it.
pub(super) fn enrolled(layout: &Layout, token: &Token, options: &Options, (replace, wait): (bool, bool)) -> anyhow::Result<Identity> {
    place::only_at_home(layout, "the cluster is enrolled")?;
    let folder = Folder::of(&layout.data);
    let joined = super::block_on(keep_asking(&folder, token, options, replace, wait))?;
    Ok(joined.map_err(|e| e.problem())?)
}

/// Joins; waits for a process that is at it, and for a person who has to accept.
async fn keep_asking(folder: &Folder, token: &Token, options: &Options, replace: bool, wait: bool) -> Result<Identity, Error> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let e = match join(folder, token, options, replace).await {
            Ok(identity) => return Ok(identity),
            Err(e) => e,
        };
        let pause = match &e {
            Error::Busy { .. } if started.elapsed() < PATIENCE => Duration::from_millis(300),
            Error::Refused(Refusal::Waiting { .. }) if wait => Duration::from_secs(3),
            _ => return Err(e),
        };
        if let (Error::Refused(waiting), false) = (&e, told) {
            eprintln!("{}", waiting.problem().render());
            told = true;
        }
        tokio::time::sleep(pause).await;
    }
}

fn print(identity: &Identity, json: bool) -> anyhow::Result<()> {
    let ends = chrono::DateTime::from_timestamp(identity.not_after, 0).unwrap_or_default();
    if json {
        let shown = serde_json::json!({
            "node": identity.node, "geography": identity.geography, "site": identity.site, "hub": identity.hub(),
            "generation": identity.generation, "certificate_ends": ends, "clock_skew_s": identity.skew_s,
        });
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        println!("enrolled as {} in geography {} at {}", identity.node, identity.geography, identity.hub());
        println!("certificate ends {}; it is renewed by itself", ends.format("%Y-%m-%d %H:%M UTC"));
    }
    Ok(())
}
