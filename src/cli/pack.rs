//! `antihate pack`: making packs and adding them to the one file.

use super::payload::{Row, print};
use super::{Context, DataArg};
use crate::payload::{self, Key, SigningKey, Trust, collect};
use crate::status::Problem;
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Lists, makes and adds packs of images, models or files.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate pack key site.key\n  antihate pack create --key site.key --out models.pack models/\n  antihate pack add models.pack --key site.key.pub")]
pub struct PackCmd {
    #[command(subcommand)]
    command: Sub,
}

#[derive(clap::Subcommand)]
enum Sub {
    /// Lists the packs in a file: a pack, or a program with packs behind it.
    #[command(after_help = "Example: antihate pack list models.pack")]
    List {
        /// The file; without it, this program.
        file: Option<PathBuf>,
    },
    /// Adds a pack to this program, after its content and its signature were checked.
    #[command(after_help = "Example: antihate pack add models.pack --key vendor.pub")]
    Add(Add),
    /// Makes a pack from folders (Kubernetes payload, OCI layout, model) and files.
    #[command(after_help = "Example: antihate pack create --key build.key --out images.pack images/")]
    Create(Create),
    /// Makes a key to sign packs with: FILE, and FILE.pub for those who shall trust it.
    #[command(after_help = "Example: antihate pack key site.key")]
    Key {
        /// Where to write the private key; an existing one is kept.
        file: PathBuf,
    },
    /// Trusts a signer's packs on this host, for instance after the program was copied to it with a vendor's pack.
    #[command(after_help = "Example: antihate pack trust vendor.pub")]
    Trust {
        /// The signer's .pub file.
        key: PathBuf,
        #[command(flatten)]
        data: DataArg,
    },
}

#[derive(clap::Args)]
struct Add {
    /// The pack.
    pack: PathBuf,
    /// Trusts this signer on this host from now on: a .pub file.
    #[arg(long, value_name = "FILE.pub")]
    key: Option<PathBuf>,
    /// The program to extend; without it, this one.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: DataArg,
}

#[derive(clap::Args)]
struct Create {
    /// What to put into it.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The private key to sign with.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The pack to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How hard to compress, 1 to 19.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
}

impl PackCmd {
    /// Runs the chosen part.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Sub::List { file } => list(file, context.json)?,
            Sub::Add(add) => run_add(add, context)?,
            Sub::Create(create) => run_create(create, context)?,
            Sub::Key { file } => {
                if !file.exists() {
                    SigningKey::generate().store(&file).map_err(Problem::from)?;
                }
                let public = SigningKey::load(&file).map_err(Problem::from)?.public().to_string();
                context.say(&serde_json::json!({"file": file, "public": public}), &public)?;
            }
            Sub::Trust { key, data } => {
                let key = Key::load(&key).map_err(Problem::from)?;
                Trust::remember(&data.layout()?.data, key).map_err(Problem::from)?;
                context.say(&serde_json::json!({"trusted": key.to_string()}), &format!("Packs signed by {key} are trusted on this host."))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program lies")
}

fn list(file: Option<PathBuf>, json: bool) -> anyhow::Result<()> {
    let file = file.map_or_else(this_program, Ok)?;
    let packs = payload::open_packs(&file).map_err(Problem::from)?;
    let names: Vec<String> = (1..).zip(&packs).map(|(n, one)| format!("pack {n}, signed by {}", one.key)).collect();
    let rows: Vec<Row<'_>> = packs.iter().zip(&names).flat_map(|(one, name)| one.items.iter().map(|item| Row::of(name, item))).collect();
    if !json {
        names.iter().for_each(|name| eprintln!("{name}"));
    }
    print(&rows, json)
}

fn run_add(add: Add, context: &Context) -> anyhow::Result<()> {
    let data = add.data.layout()?.data;
    let mut trust = Trust::of_owner(&data).map_err(Problem::from)?;
    if let Some(raw) = context.embedded {
        trust.add(payload::embedded_key(raw).map_err(Problem::from)?);
    }
    let named = add.key.as_deref().map(Key::load).transpose().map_err(Problem::from)?;
    if let Some(key) = named {
        trust.add(key);
    }
    let target = add.to.map_or_else(this_program, Ok)?;
    let added = payload::append(&target, &add.pack, &trust).map_err(Problem::from)?;
    if let Some(key) = named {
        Trust::remember(&data, key).map_err(Problem::from)?;
    }
    let size = std::fs::metadata(&target)?.len();
    let sentence = match added {
        true => format!("Added: {} now has {:.1} MB.", target.display(), size as f64 / 1e6),
        false => format!("Nothing to do: {} holds this pack already.", target.display()),
    };
    Ok(context.say(&serde_json::json!({"file": target, "added": added, "bytes": size}), &sentence)?)
}

fn run_create(create: Create, context: &Context) -> anyhow::Result<()> {
    let key = SigningKey::load(&create.key).map_err(Problem::from)?;
    let mut items = Vec::new();
    for path in &create.paths {
        items.extend(collect(path).map_err(Problem::from)?);
    }
    let bar = indicatif::ProgressBar::new(0).with_style(indicatif::ProgressStyle::with_template("packing {bytes} of {total_bytes} {wide_bar}")?);
    let done = payload::create(&create.out, &items, &key, create.level, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let done = done.map_err(Problem::from)?;
    let said = serde_json::json!({"file": create.out, "entries": done.entries, "content": done.content, "stored": done.stored, "key": done.key.to_string()});
    let (content, stored) = (done.content as f64 / 1e6, done.stored as f64 / 1e6);
    Ok(context.say(&said, &format!("Packed {} entries, {content:.1} MB, into {stored:.1} MB at {}.", done.entries, create.out.display()))?)
}
