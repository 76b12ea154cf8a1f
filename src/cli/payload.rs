//! `antihate payload`: what this program carries, and whether it is whole.

use super::{Context, DataArg};
use crate::payload::{Item, Kind, Payload, Places, need};
use crate::status::Problem;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The argument `--payload`, common to the commands that unpack or show parts.
#[derive(clap::Args, Clone, Debug)]
pub struct PayloadArg {
    /// Packs or folders to use beside those that this program carries; may be repeated.
    #[arg(long, value_name = "PATH", env = "ANTIHATE_PAYLOAD", value_delimiter = ':')]
    pub payload: Vec<PathBuf>,
}

impl PayloadArg {
    /// Opens everything that this program carries or was given.
    pub fn open(&self, context: &Context, data: &Path) -> anyhow::Result<Payload> {
        let places = Places {
            embedded: context.embedded,
            program: Some(PathBuf::from("/proc/self/exe")),
            given: self.payload.iter().filter(|path| !path.as_os_str().is_empty()).cloned().collect(),
            data: data.into(),
        };
        Ok(Payload::open(&places).map_err(Problem::from)?)
    }
}

/// Shows or verifies what this program carries: Kubernetes, images and models.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate payload list\n  antihate payload verify --json")]
pub struct PayloadCmd {
    #[command(subcommand)]
    command: Sub,
}

#[derive(clap::Subcommand)]
enum Sub {
    /// Lists every entry with version, size, licence and sum.
    #[command(after_help = "Example: antihate payload list --json | jq '.[].name'")]
    List(Common),
    /// Reads and checks every byte; nothing is written.
    #[command(after_help = "Example: antihate payload verify")]
    Verify(Common),
}

#[derive(clap::Args)]
struct Common {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    payload: PayloadArg,
    #[command(flatten)]
    data: DataArg,
}

impl PayloadCmd {
    /// Runs the chosen part.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Sub::List(common) => list(&common, context),
            Sub::Verify(common) => verify(&common, context),
        }
    }
}

/// One entry as it is listed.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    part: &'a str,
    kind: Kind,
    name: &'a str,
    version: &'a str,
    licence: &'a str,
    source: &'a str,
    size: u64,
    stored_size: u64,
    sha256: &'a str,
}

impl<'a> Row<'a> {
    pub(super) fn of(part: &'a str, item: &'a Item) -> Row<'a> {
        let e = &item.entry;
        Row {
            part,
            kind: e.kind,
            name: &e.name,
            version: &e.version,
            licence: &e.licence,
            source: &e.source,
            size: e.size,
            stored_size: e.stored_size,
            sha256: &e.sha256,
        }
    }
}

/// Prints rows for a person: blobs in one line, as their names say nothing.
pub(super) fn print(rows: &[Row<'_>], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(rows)?)?);
    }
    writeln!(out, "{:<11} {:<42} {:<20} {:>8} MB  {:<12}  licence", "kind", "name", "version", "size", "sha256")?;
    for row in rows.iter().filter(|row| row.kind != Kind::Blob) {
        let kind = format!("{:?}", row.kind).to_lowercase();
        let mb = row.size as f64 / 1e6;
        writeln!(out, "{kind:<11} {:<42} {:<20} {mb:>8.1} MB  {:<12}  {}", row.name, row.version, &row.sha256[..12], row.licence)?;
    }
    let (mut blobs, mut size) = (0u64, 0);
    for row in rows.iter().filter(|row| row.kind == Kind::Blob) {
        (blobs, size) = (blobs + 1, size + row.size);
    }
    if blobs > 0 {
        writeln!(out, "{:<11} {:<42} {:<20} {:>8.1} MB", "blobs", format!("{blobs} layers and configurations of the images"), "", size as f64 / 1e6)?;
    }
    Ok(())
}

fn list(common: &Common, context: &Context) -> anyhow::Result<ExitCode> {
    let payload = common.payload.open(context, &common.data.layout()?.data)?;
    let rows: Vec<Row<'_>> = payload.parts.iter().flat_map(|part| part.items.iter().map(|item| Row::of(&part.origin, item))).collect();
    print(&rows, common.json)?;
    Ok(ExitCode::SUCCESS)
}

fn verify(common: &Common, context: &Context) -> anyhow::Result<ExitCode> {
    let payload = common.payload.open(context, &common.data.layout()?.data)?;
    let entries = payload.parts.iter().map(|part| part.items.len()).sum::<usize>();
    let bytes = payload.verify(&|_, _| {}).map_err(Problem::from)?;
    let mut out = std::io::stdout().lock();
    if common.json {
        let said = serde_json::json!({"whole": true, "parts": payload.parts.len(), "entries": entries, "bytes": bytes, "unpacked": need(&payload)});
        writeln!(out, "{said}")?;
    } else {
        writeln!(out, "Whole: {entries} entries in {} parts, {:.1} MB read and compared.", payload.parts.len(), bytes as f64 / 1e6)?;
    }
    Ok(ExitCode::SUCCESS)
}
