//! `antihate payload`: what this program carries, and whether it is whole.

use super::{Context, DataArg};
use crate::payload::{Item, Kind, Payload, Places, image_names, need, verify_unpacked, write_layout};
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
    /// Writes images as an OCI layout archive to standard output.
    #[command(after_help = "Example: antihate payload export antihate.local/worker:0.1.0 > worker.tar")]
    Export {
        /// Image references; without any, all images.
        images: Vec<String>,
        #[command(flatten)]
        payload: PayloadArg,
        #[command(flatten)]
        data: DataArg,
    },
}

#[derive(clap::Args)]
struct Common {
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
            Sub::Export { images, payload, data } => export(&images, &payload.open(context, &data.layout()?.data)?),
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
    print(&rows, context.json)?;
    Ok(ExitCode::SUCCESS)
}

fn verify(common: &Common, context: &Context) -> anyhow::Result<ExitCode> {
    let data = common.data.layout()?.data;
    let payload = common.payload.open(context, &data)?;
    let entries = payload.parts.iter().map(|part| part.items.len()).sum::<usize>();
    let bytes = payload.verify(&|_, _| {}).map_err(Problem::from)?;
    let unpacked = verify_unpacked(&payload, &data).map_err(Problem::from)?;
    let mut out = std::io::stdout().lock();
    if context.json {
        let (parts, needs) = (payload.parts.len(), need(&payload));
        writeln!(out, "{}", serde_json::json!({"whole": true, "parts": parts, "entries": entries, "bytes": bytes, "unpacked": unpacked, "needs": needs}))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "Whole: {entries} entries in {} parts, {:.1} MB read and compared.", payload.parts.len(), bytes as f64 / 1e6)?;
    if let Some(bytes) = unpacked {
        writeln!(out, "What is unpacked under {} is unaltered, {:.1} MB.", data.display(), bytes as f64 / 1e6)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn export(images: &[String], payload: &Payload) -> anyhow::Result<ExitCode> {
    let known = image_names(payload);
    if let Some(name) = images.iter().find(|name| !known.iter().any(|(known, _)| known == *name)) {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let cause = format!("This program carries: {}", if names.is_empty() { "none".into() } else { names.join(", ") });
        return Err(Problem::new("UNP-104", format!("there is no image {name:?}"), cause, "Name one of these images.").into());
    }
    let wanted = |name: &str| images.is_empty() || images.iter().any(|one| one == name);
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    write_layout(payload, &wanted, &mut out, &mut |_| {}).map_err(Problem::from)?;
    Ok(ExitCode::SUCCESS)
}
