//! `antihate console`: the node at a glance on a full screen of text.

use super::{Context, DataArg};
use crate::console::{gather, once, run};
use crate::status::Problem;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Shows the node on a full screen: addresses, PIN, QR code, stage, link, time, GPU, disk; keys for network, checks, logs, support
/// bundle. Works while the node is down. For tty1 or any terminal; as root, or the PIN stays hidden.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sudo antihate console\n  sudo antihate console --once --columns 40\n  sudo antihate console --json")]
pub struct Console {
    #[command(flatten)]
    data: DataArg,
    /// Print one screen as text and end; needs no terminal.
    #[arg(long)]
    once: bool,
    /// Columns of that screen.
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(20..=400))]
    columns: u16,
    /// Its lines.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(8..=200))]
    lines: u16,
}

impl Console {
    /// Shows it until a key or a signal ends it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        if context.json {
            writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&gather(&layout))?)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.once {
            write!(std::io::stdout().lock(), "{}", once(gather(&layout), self.columns, self.lines))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            let next = "Start it in a terminal, or use `antihate console --once` or `antihate console --json`.";
            eprintln!("{}", Problem::new("CON-104", "the console needs a terminal", "standard input or output is none", next).render());
            return Ok(ExitCode::from(2));
        }
        run(&layout, on_a_screen_of_the_host())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where other screens are reached with Alt: a virtual terminal of the kernel.
fn on_a_screen_of_the_host() -> bool {
    let name = nix::unistd::ttyname(std::io::stdin()).ok();
    name.is_some_and(|n| n.to_str().and_then(|n| n.strip_prefix("/dev/tty")).is_some_and(|number| number.parse::<u8>().is_ok()))
}
