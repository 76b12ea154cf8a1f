//! `antihate kubectl`: the embedded kubectl with the administrator's credentials.

use super::{Context, DataArg};
use crate::status::Problem;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Runs the embedded kubectl against this node.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate kubectl get pods -A")]
pub struct Kubectl {
    #[command(flatten)]
    data: DataArg,
    /// What kubectl gets, unchanged.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Kubectl {
    /// Becomes kubectl; returns only when that fails.
    pub fn run(self, _: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let (program, config) = (layout.current().join("kubernetes"), layout.admin_kubeconfig());
        if let Some(lacking) = [&program, &config].into_iter().find(|p| !p.exists()) {
            let cause = format!("{} does not exist", lacking.display());
            return Err(Problem::new("CLI-103", "there is no node to talk to", cause, "Start it with `antihate up`, or name its folder with --data.").into());
        }
        let error = Command::new(&program).arg0("kubectl").args(&self.args).env("KUBECONFIG", config).exec();
        Err(error.into())
    }
}
