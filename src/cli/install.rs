//! `antihate install`: a systemd unit, so that the node comes up with the host.

use super::{Context, DataArg};
use crate::files;
use crate::status::Problem;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const UNIT: &str = "/etc/systemd/system/antihate.service";

/// Makes the node start with this host, where there is systemd.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate install\n  antihate install --print")]
pub struct Install {
    #[command(flatten)]
    data: DataArg,
    /// Print the unit instead of installing it.
    #[arg(long)]
    print: bool,
}

impl Install {
    /// Writes the unit and enables it; a second run changes nothing.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe()?;
        let text = unit(&program, &self.data.layout()?.data);
        if self.print {
            print!("{text}");
            return Ok(ExitCode::SUCCESS);
        }
        if !Path::new("/run/systemd/system").is_dir() {
            let next = "Start `antihate up` from this host's own init, or print the unit with --print.";
            return Err(Problem::new("INS-101", "this host does not run systemd", "/run/systemd/system does not exist", next).into());
        }
        let changed = files::replace_if_changed(&PathBuf::from(UNIT), text.as_bytes(), 0o644)?;
        for args in [&["daemon-reload"][..], &["enable", "antihate.service"]] {
            let done = Command::new("systemctl").args(args).status()?;
            if !done.success() {
                return Err(Problem::new("INS-102", format!("systemctl {} failed", args[0]), done.to_string(), "Read `journalctl -xe`.").into());
            }
        }
        let now = if changed { "installed" } else { "as it should be" };
        context.say(&serde_json::json!({"unit": UNIT, "changed": changed}), &format!("{UNIT} is {now}. Start the node now with `systemctl start antihate`."))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The unit. The node ends its own children, so systemd only asks the main process.
fn unit(program: &Path, data: &Path) -> String {
    format!(
        "[Unit]\nDescription=Anti-Hate Node\nAfter=local-fs.target network.target\n\n[Service]\nType=exec\n\
         ExecStart={} up --data {}\nRestart=always\nRestartSec=2\nKillMode=mixed\nTimeoutStopSec=120\nDelegate=yes\n\
         LimitNOFILE=1048576\nTasksMax=infinity\nOOMScoreAdjust=-900\n\n[Install]\nWantedBy=multi-user.target\n",
        program.display(),
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_the_same_file_on_the_same_data() {
        let text = unit(Path::new("/usr/local/bin/antihate"), Path::new("/srv/node"));
        assert!(text.contains("ExecStart=/usr/local/bin/antihate up --data /srv/node\n"), "{text}");
        assert!(text.contains("Delegate=yes") && text.ends_with("WantedBy=multi-user.target\n"));
    }
}
