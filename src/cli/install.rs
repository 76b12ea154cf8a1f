//! `antihate install`: systemd units, so that the node comes up with the host and the console stands on its first screen.

use super::{Context, DataArg};
use crate::files;
use crate::status::Problem;
use std::path::Path;
use std::process::{Command, ExitCode};

pub(super) const UNITS: &str = "/etc/systemd/system";
const NODE: &str = "antihate.service";
const CONSOLE: &str = "antihate-console.service";
/// Who asks for a name on the first screen otherwise.
const LOGIN: &str = "getty@tty1.service";

/// Makes the node start with this host, where there is systemd, and puts the console on the first screen; the others keep their login.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate install\n  antihate install --no-console\n  antihate install --print\n  antihate install --remove")]
pub struct Install {
    #[command(flatten)]
    data: DataArg,
    /// Print the units instead of installing them.
    #[arg(long)]
    print: bool,
    /// Leave the first screen as it is. Whoever stands before the console sees addresses and logs without a login.
    #[arg(long)]
    no_console: bool,
    /// Take the units off again; the node itself stays (`antihate reset` removes it, and them).
    #[arg(long, conflicts_with_all = ["print", "no_console"])]
    remove: bool,
}

impl Install {
    /// Writes the units and enables them; a second run changes nothing.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let data = self.data.layout()?.data;
        let units = units(&std::env::current_exe()?, &data, !self.no_console);
        if self.print {
            units.iter().for_each(|(name, text)| println!("# {UNITS}/{name}\n{text}"));
            return Ok(ExitCode::SUCCESS);
        }
        if !Path::new("/run/systemd/system").is_dir() {
            let next = "Start `antihate up` from this host's own init, or print the units with --print.";
            return Err(Problem::new("INS-101", "this host does not run systemd", "/run/systemd/system does not exist", next).into());
        }
        if self.remove {
            let gone = remove(Path::new(UNITS), &data)?;
            let sentence = if gone.is_empty() { format!("No unit starts the node at {}.", data.display()) } else { format!("{} removed.", gone.join(" and ")) };
            context.say(&serde_json::json!({"removed": gone}), &sentence)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut changed = false;
        for (name, text) in &units {
            changed |= files::replace_if_changed(&Path::new(UNITS).join(name), text.as_bytes(), 0o644)?;
        }
        systemctl(&["daemon-reload"])?;
        for (name, _) in &units {
            systemctl(&["enable", name])?;
        }
        if !self.no_console {
            // Both are wanted at boot otherwise, and which of the two systemd drops is not ours to say.
            drop(Command::new("systemctl").args(["disable", "--quiet", LOGIN]).status());
        }
        let now = if changed { "installed" } else { "as it should be" };
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        let console = if self.no_console { "" } else { " The console takes the first screen with the next start of this host, or now with `systemctl start antihate-console`; Alt-F2 leads to a login." };
        let sentence = format!("{UNITS}/{NODE} is {now}. Start the node now with `systemctl start antihate`.{console}");
        context.say(&serde_json::json!({"unit": format!("{UNITS}/{NODE}"), "units": names, "changed": changed}), &sentence)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn systemctl(args: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("systemctl").args(args).status()?;
    if !done.success() {
        return Err(Problem::new("INS-102", format!("systemctl {} failed", args[0]), done.to_string(), "Read `journalctl -xe`.").into());
    }
    Ok(())
}

/// Takes the units of the node at `data` off, ends what they run, and gives the first screen back. Returns their names; without systemd, none.
pub(super) fn remove(folder: &Path, data: &Path) -> anyhow::Result<Vec<&'static str>> {
    let ours = |name: &&'static str| std::fs::read_to_string(folder.join(name)).is_ok_and(|text| is_of(&text, data));
    let gone: Vec<&str> = [CONSOLE, NODE].into_iter().filter(ours).collect();
    for name in &gone {
        systemctl(&["disable", "--now", "--quiet", name])?;
        std::fs::remove_file(folder.join(name))?;
    }
    if gone.contains(&CONSOLE) {
        drop(Command::new("systemctl").args(["enable", "--now", "--quiet", LOGIN]).status());
    }
    if !gone.is_empty() {
        systemctl(&["daemon-reload"])?;
    }
    Ok(gone)
}

/// The unit starts something of the node at `data`, and of no other one on this host.
fn is_of(unit: &str, data: &Path) -> bool {
    unit.lines().any(|l| l.starts_with("ExecStart=") && l.ends_with(&format!(" --data {}", data.display())))
}

/// The units with their names. The node ends its own children, so systemd only asks the main process.
fn units(program: &Path, data: &Path, console: bool) -> Vec<(&'static str, String)> {
    let (program, data) = (program.display(), data.display());
    let node = format!(
        "[Unit]\nDescription=Anti-Hate Node\nAfter=local-fs.target network.target\n\n[Service]\nType=exec\n\
         ExecStart={program} up --data {data}\nRestart=always\nRestartSec=2\nKillMode=mixed\nTimeoutStopSec=120\nDelegate=yes\n\
         LimitNOFILE=1048576\nTasksMax=infinity\nOOMScoreAdjust=-900\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    // Not bound to the node: that it is down is what the console has to say. A host without screens has no tty1.
    let screen = format!(
        "[Unit]\nDescription=Anti-Hate Node: console on the first screen\nConflicts={LOGIN}\nAfter={LOGIN} systemd-user-sessions.service plymouth-quit-wait.service\n\
         ConditionPathExists=/dev/tty1\nStartLimitIntervalSec=0\n\n[Service]\nType=exec\nExecStart={program} console --data {data}\n\
         Environment=TERM=linux\nStandardInput=tty\nStandardOutput=tty\nStandardError=journal\nTTYPath=/dev/tty1\nTTYReset=yes\nTTYVHangup=yes\nTTYVTDisallocate=yes\n\
         Restart=always\nRestartSec=1\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    let all = [(NODE, node), (CONSOLE, screen)];
    all.into_iter().filter(|(name, _)| console || *name == NODE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> Vec<(&'static str, String)> {
        units(Path::new("/usr/local/bin/antihate"), Path::new("/srv/node"), true)
    }

    #[test]
    fn the_unit_starts_the_same_file_on_the_same_data() {
        let (name, text) = &both()[0];
        assert!(*name == NODE && text.contains("ExecStart=/usr/local/bin/antihate up --data /srv/node\n"), "{text}");
        assert!(text.contains("Delegate=yes") && text.ends_with("WantedBy=multi-user.target\n"));
    }

    #[test]
    fn the_console_takes_the_first_screen_from_its_login_and_is_started_again_always() {
        let (name, text) = &both()[1];
        assert!(*name == CONSOLE && text.contains("ExecStart=/usr/local/bin/antihate console --data /srv/node\n"), "{text}");
        for line in ["Conflicts=getty@tty1.service", "TTYPath=/dev/tty1", "StandardInput=tty", "Restart=always", "StartLimitIntervalSec=0"] {
            assert!(text.lines().any(|l| l == line), "{line}:\n{text}");
        }
        assert_eq!(units(Path::new("/a"), Path::new("/b"), false).len(), 1);
    }

    #[test]
    fn only_the_units_of_the_same_data_root_are_taken_off() {
        assert!(both().iter().all(|(_, text)| is_of(text, Path::new("/srv/node"))));
        assert!(both().iter().all(|(_, text)| !is_of(text, Path::new("/srv/node2")) && !is_of(text, Path::new("/srv"))));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NODE), &both()[0].1).unwrap();
        assert!(remove(dir.path(), Path::new("/srv/other")).unwrap().is_empty() && dir.path().join(NODE).exists());
    }
}
