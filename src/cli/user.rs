//! `antihate user`: who may use the page, for root on the node. It needs no running node; the page sees a change at once.

use super::{Context, DataArg, role};
use crate::domain::Role;
use crate::setup::UserKeep;
use clap::Subcommand;
use std::io::Write;
use std::process::ExitCode;

/// Shows and changes who may use the page.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Example: antihate user renew jo    # for somebody who has lost the pass phrase and the recovery codes\n\n\
    viewer    sees how the node is doing, and posts with their texts masked\n\
    operator  also reads the texts of posts, one by one, and makes support bundles\n\
    owner     also enrolls the node and says who may use it")]
pub struct UserCmd {
    #[command(subcommand)]
    command: Sub,
    #[command(flatten)]
    data: DataArg,
}

#[derive(Subcommand)]
enum Sub {
    /// Lists the users and their roles.
    #[command(after_help = "Example: antihate user list --json")]
    List,
    /// Adds a user; prints a pass phrase that serves once, to choose another.
    #[command(after_help = "Example: antihate user add jo --role viewer")]
    Add {
        /// Name: letters of A to Z, digits and - . _ @.
        name: String,
        /// What the user may do.
        #[arg(long, value_parser = role())]
        role: Role,
    },
    /// Gives a user another pass phrase that serves once; the old one and the recovery codes hold no more.
    #[command(after_help = "Example: antihate user renew jo")]
    Renew {
        /// Name.
        name: String,
    },
    /// Gives a user another role.
    #[command(after_help = "Example: antihate user role jo operator")]
    Role {
        /// Name.
        name: String,
        /// What the user may do from now on.
        #[arg(value_parser = role())]
        role: Role,
    },
    /// Removes a user; the page is closed to it at once.
    #[command(after_help = "Example: antihate user remove jo")]
    Remove {
        /// Name.
        name: String,
    },
}

impl UserCmd {
    /// Does it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let keep = UserKeep::new(&self.data.layout()?.data);
        match self.command {
            Sub::List => list(&keep, context)?,
            Sub::Add { name, role } => phrase(context, &name, &keep.invite(&name, role)?)?,
            Sub::Renew { name } => phrase(context, &name, &keep.renew(&name)?)?,
            Sub::Role { name, role } => {
                keep.change(|users| users.set_role(&name, role))?;
                context.say(&serde_json::json!({"name": name, "role": role}), &format!("{name} is {} now.", role.name()))?;
            }
            Sub::Remove { name } => {
                keep.change(|users| users.remove(&name))?;
                context.say(&serde_json::json!({"removed": name}), &format!("{name} is removed. A kubeconfig that was handed out holds until its end."))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the one thing that is asked for alone on standard output; what is to be known of it goes beside.
fn phrase(context: &Context, name: &str, phrase: &str) -> std::io::Result<()> {
    if !context.json {
        eprintln!("The pass phrase of {name}, for one login; then another has to be chosen:");
    }
    context.say(&serde_json::json!({"name": name, "one_time_pass_phrase": phrase}), phrase)
}

fn list(keep: &UserKeep, context: &Context) -> anyhow::Result<()> {
    let users = keep.read()?;
    let mut out = std::io::stdout().lock();
    if context.json {
        let all: Vec<_> = users.all().iter().map(|u| serde_json::json!({"name": u.name, "role": u.role, "since": u.since, "one_time_pass_phrase": u.one_time})).collect();
        writeln!(out, "{}", serde_json::Value::from(all))?;
        return Ok(());
    }
    if users.all().is_empty() {
        writeln!(out, "Nobody has claimed this node yet: `antihate setup-pin` tells how.")?;
    }
    for user in users.all() {
        let waits = if user.one_time { "  has to choose a pass phrase" } else { "" };
        writeln!(out, "{:<24} {:<9} since {}{waits}", user.name, user.role.name(), user.since.format("%Y-%m-%d %H:%M UTC"))?;
    }
    Ok(())
}
