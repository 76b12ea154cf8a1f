//! The command line: picks one role, and is the only home of `anyhow`.
//!
//! Standard output is data, standard error is talk. Exit codes: 0 done, 1 a problem (with code, cause and
//! next step on standard error), 2 wrong usage. Each command lives in a file of its own, as
//! `#[derive(clap::Args)] struct X` with `fn run(self, &Context) -> anyhow::Result<ExitCode>`.

pub mod pod;

mod check;
mod console;
mod enroll;
mod gpu;
mod hub;
mod install;
mod join;
mod k3s;
mod kubeconfig;
mod kubectl;
mod logs;
mod manifests;
mod node;
mod pack;
pub mod payload;
mod preflight;
mod preview;
mod progress;
mod reset;
mod rotate;
mod setup;
mod setup_pin;
mod status;
mod stop;
mod support;
mod up;
mod user;

use crate::config::layout::{DEFAULT_DATA, Layout};
use crate::domain::Role;
use crate::status::Problem;
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns a bare host into a local node of the Anti-Hate Platform.
#[derive(Parser)]
#[command(name = "antihate", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// Print data, progress and problems as JSON: data and progress on standard output, problems on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

// One line a command, in the order of --help.
#[derive(Subcommand)]
enum Command {
    Check(check::CheckCmd),
    Up(up::Up),
    Status(status::Status),
    Logs(logs::Logs),
    Support(support::Support),
    SetupPin(setup_pin::SetupPin),
    Console(console::Console),
    Setup(setup::SetupCmd),
    Gpu(gpu::GpuCmd),
    Manifests(manifests::Manifests),
    Kubectl(kubectl::Kubectl),
    Kubeconfig(kubeconfig::Kubeconfig),
    User(user::UserCmd),
    RotateSecrets(rotate::RotateSecrets),
    RotateAuthority(rotate::RotateAuthority),
    Stop(stop::Stop),
    Reset(reset::Reset),
    Install(install::Install),
    Join(join::Join),
    Node(node::NodeCmd),
    Enroll(enroll::Enroll),
    Hub(hub::Hub),
    Preview(preview::PreviewCmd),
    Payload(payload::PayloadCmd),
    Pack(pack::PackCmd),
}

/// What a command gets beside its own arguments.
pub struct Context {
    /// The Kubernetes pack that this build carries, if any.
    pub embedded: Option<&'static [u8]>,
    /// The program that computes on a GPU, if this build carries it.
    pub gpu_probe: Option<&'static [u8]>,
    /// What is printed is JSON.
    pub json: bool,
}

impl Context {
    /// Prints what a command did: `value` as JSON, or the sentence for a person.
    fn say(&self, value: &serde_json::Value, sentence: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json { writeln!(out, "{value}") } else { writeln!(out, "{sentence}") }
    }
}

/// The argument `--data`, common to the commands that concern a node.
#[derive(Args, Clone, Debug)]
pub struct DataArg {
    /// Data root of the node.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DATA, env = "ANTIHATE_DATA")]
    pub data: PathBuf,
}

impl DataArg {
    /// The layout below the data root, made absolute.
    pub fn layout(&self) -> anyhow::Result<Layout> {
        Ok(Layout::new(&std::path::absolute(&self.data)?))
    }
}

/// Reads a role by its name.
fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

/// The argument `--driver-root`, common to the commands that concern GPUs.
#[derive(Args, Clone, Debug)]
pub struct DriverArg {
    /// Folder below which the GPU driver's files lie (`proc`, `dev`, `sys`, libraries); another than / where the driver is in a container.
    #[arg(long, global = true, value_name = "DIR", default_value = "/", env = "ANTIHATE_DRIVER_ROOT")]
    pub driver_root: PathBuf,
}

/// Runs the command line of `antihate`. `embedded` is the Kubernetes pack that this build carries, `gpu_probe` the program that
/// computes on a GPU, if any.
pub fn main(embedded: Option<&'static [u8]>, gpu_probe: Option<&'static [u8]>) -> ExitCode {
    let cli = Cli::parse();
    let context = Context { embedded, gpu_probe, json: cli.json };
    finish(dispatch(cli.command, &context), context.json)
}

fn dispatch(command: Command, context: &Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(c) => c.run(context),
        Command::Up(c) => c.run(context),
        Command::Stop(c) => c.run(context),
        Command::Reset(c) => c.run(context),
        Command::Status(c) => c.run(context),
        Command::Logs(c) => c.run(context),
        Command::Support(c) => c.run(context),
        Command::SetupPin(c) => c.run(context),
        Command::Console(c) => c.run(context),
        Command::Setup(c) => c.run(context),
        Command::Gpu(c) => c.run(context),
        Command::Manifests(c) => c.run(context),
        Command::Kubectl(c) => c.run(context),
        Command::Kubeconfig(c) => c.run(context),
        Command::User(c) => c.run(context),
        Command::RotateSecrets(c) => c.run(context),
        Command::RotateAuthority(c) => c.run(context),
        Command::Install(c) => c.run(context),
        Command::Join(c) => c.run(context),
        Command::Node(c) => c.run(context),
        Command::Enroll(c) => c.run(context),
        Command::Hub(c) => c.run(context),
        Command::Preview(c) => c.run(context),
        Command::Payload(c) => c.run(context),
        Command::Pack(c) => c.run(context),
    }
}

/// Says what went wrong, to a person or as JSON, and gives the exit code.
pub fn finish(result: anyhow::Result<ExitCode>, json: bool) -> ExitCode {
    let Err(error) = result else {
        return result.unwrap_or(ExitCode::FAILURE);
    };
    match error.downcast_ref::<Problem>() {
        Some(problem) => eprintln!("{}", told(problem, json)),
        None if json => eprintln!("{}", serde_json::json!({"what": format!("{error:#}")})),
        None => eprintln!("antihate: {error:#}"),
    }
    ExitCode::FAILURE
}

/// A problem for standard error, the same content for a person and for a program.
fn told(problem: &Problem, json: bool) -> String {
    if json { serde_json::to_string(problem).unwrap_or_else(|_| problem.render()) } else { problem.render() }
}

/// Runs `work` on a runtime of its own.
pub fn block_on<F: Future>(work: F) -> anyhow::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_json_and_a_problem_has_the_same_four_parts_in_it() {
        for command in Cli::command().get_subcommands().filter(|c| c.get_name() != "kubectl") {
            let words = match command.get_subcommands().next() {
                Some(sub) => vec!["antihate", command.get_name(), sub.get_name(), "--json", "--help"],
                None => vec!["antihate", command.get_name(), "--json", "--help"],
            };
            let told = Cli::command().try_get_matches_from(&words).expect_err("help ends the parsing");
            assert_eq!(told.kind(), clap::error::ErrorKind::DisplayHelp, "{words:?}: {told}");
        }
        let problem = Problem::new("CHK-110", "what", "cause", "next");
        let read: serde_json::Value = serde_json::from_str(&told(&problem, true)).expect("JSON");
        assert_eq!(read, serde_json::json!({"code": "CHK-110", "what": "what", "cause": "cause", "next": "next"}));
        assert!(told(&problem, false).starts_with("CHK-110: what\n"));
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(|h| h.to_string()).unwrap_or_default();
            let nested = command.get_subcommands().any(|c| c.get_after_help().is_some());
            assert!(help.contains("Example") || nested, "{} shows no example", command.get_name());
        }
    }
}
