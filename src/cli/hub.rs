//! `antihate hub`: the upstream half for a geography: serve, tokens, nodes.

use super::Context;
use crate::enroll::hub::admin::{Admin, NewToken, NodeView, TokenView};
use crate::enroll::hub::{Error, Settings, serve};
use crate::status::Problem;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Runs a hub of a geography, gives tokens, and manages the nodes that enrolled.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate hub serve --listen 0.0.0.0:8443 --name hub.example.org --geo DE\n  antihate hub token create --ttl 2h --site north\n  antihate hub node list")]
pub struct Hub {
    #[command(subcommand)]
    command: Sub,
}

#[derive(clap::Subcommand)]
enum Sub {
    Serve(Serve),
    /// Makes, lists and withdraws tokens.
    #[command(subcommand, after_help = "Example: antihate hub token create")]
    Token(TokenSub),
    /// Lists, shows, accepts, rejects and revokes nodes.
    #[command(subcommand, after_help = "Example: antihate hub node list")]
    Node(NodeSub),
}

#[derive(clap::Args)]
struct HubData {
    /// Folder of the hub: database and root key. Keep a backup of it.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/antihate-hub", env = "ANTIHATE_HUB_DATA")]
    data: PathBuf,
}

/// Serves until it is asked to stop.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate hub serve --listen 0.0.0.0:8443 --name hub.example.org --geo DE")]
struct Serve {
    #[command(flatten)]
    hub: HubData,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Host name or address under which nodes reach this hub; it stands in tokens and certificate.
    #[arg(long, value_name = "HOST")]
    name: String,
    /// Geography: 2 to 8 letters, digits or hyphens.
    #[arg(long, value_name = "GEO")]
    geo: String,
    /// Seconds between two heartbeats of a node; a revocation is noticed by the node within this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    heartbeat: u64,
}

#[derive(clap::Subcommand)]
enum TokenSub {
    /// Makes a token and prints it once; the hub keeps no secret of it.
    #[command(after_help = "Example: antihate hub token create --ttl 2h --site north --approve")]
    Create {
        #[command(flatten)]
        hub: HubData,
        /// How long it is good: a number with s, m, h or d, at most 7d.
        #[arg(long, default_value = "24h", value_parser = seconds)]
        ttl: i64,
        /// Geography; must be the hub's.
        #[arg(long, value_name = "GEO")]
        geo: Option<String>,
        /// Limits the token to a site.
        #[arg(long)]
        site: Option<String>,
        /// A person must accept the node: antihate hub node accept.
        #[arg(long)]
        approve: bool,
    },
    /// Lists tokens, never their secrets.
    #[command(after_help = "Example: antihate hub token list --json")]
    List {
        #[command(flatten)]
        hub: HubData,
    },
    /// Withdraws a token that was not used.
    #[command(after_help = "Example: antihate hub token revoke 7K3M9QXD21")]
    Revoke {
        #[command(flatten)]
        hub: HubData,
        /// The token's identifier: its third part.
        id: String,
    },
}

#[derive(clap::Subcommand)]
enum NodeSub {
    /// Lists nodes with their state and last sign of life.
    #[command(after_help = "Example: antihate hub node list --json")]
    List {
        #[command(flatten)]
        hub: HubData,
    },
    /// Shows everything that is known of a node.
    #[command(after_help = "Example: antihate hub node show 4c1f0d2e")]
    Show(One),
    /// Accepts a node that waits, after its four words were compared.
    #[command(after_help = "Example: antihate hub node accept 4c1f0d2e")]
    Accept(One),
    /// Rejects a node that waits.
    #[command(after_help = "Example: antihate hub node reject 4c1f0d2e --reason 'not ours'")]
    Reject(One),
    /// Withdraws a node: its next request is refused.
    #[command(after_help = "Example: antihate hub node revoke 4c1f0d2e --reason stolen")]
    Revoke(One),
}

#[derive(clap::Args)]
struct One {
    #[command(flatten)]
    hub: HubData,
    /// The node's identifier, or an unambiguous beginning of it.
    node: String,
    /// Why, or by whom.
    #[arg(long, default_value = "the hub's operator")]
    reason: String,
}

impl Hub {
    /// Runs the command.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Sub::Serve(serve) => serve.run(context.json),
            Sub::Token(token) => token.run(context).map_err(told),
            Sub::Node(node) => node.run(context.json).map_err(told),
        }
    }
}

impl Serve {
    fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        crate::telemetry::init(json);
        let settings = Settings { heartbeat_s: self.heartbeat, ..Settings::new(self.hub.data, &self.name, &self.geo.to_ascii_uppercase()) };
        let listen = self.listen;
        let served = super::block_on(async move {
            let bind = |source| Error::Io { doing: format!("listening on {listen}"), source };
            let listener = tokio::net::TcpListener::bind(listen).await.map_err(bind)?;
            let stop = CancellationToken::new();
            let ready = |port| match json {
                true => println!("{}", serde_json::json!({"geography": self.geo, "name": self.name, "port": port})),
                false => eprintln!("hub of geography {} answers at {}:{port}; make a token with: antihate hub token create", self.geo, self.name),
            };
            let serving = serve(settings, listener, stop.clone(), ready);
            tokio::pin!(serving);
            tokio::select! {
                ended = &mut serving => return ended,
                () = asked_to_stop() => stop.cancel(),
            }
            serving.await
        })?;
        served.map_err(|e| anyhow::Error::from(e.problem()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Ends with the first SIGTERM or SIGINT.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

impl TokenSub {
    fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let now = Utc::now().timestamp();
        match self {
            TokenSub::Create { hub, ttl, geo, site, approve } => {
                let new = NewToken { geography: geo, site, ttl_s: ttl, approve };
                let (token, view) = Admin::open(&hub.data)?.create_token(&new, now)?;
                if context.json {
                    let mut value = serde_json::to_value(&view)?;
                    value["token"] = serde_json::Value::from(token.as_str());
                    println!("{}", serde_json::to_string_pretty(&value)?);
                } else {
                    println!("{}", *token);
                    eprintln!("good until {} for one node; on the node: antihate enroll TOKEN", day(view.expires_at));
                }
            }
            TokenSub::List { hub } => {
                let tokens = Admin::open(&hub.data)?.tokens(now)?;
                show(&tokens, context.json, &["TOKEN", "STATE", "SITE", "EXPIRES", "NODE"], token_row)?;
            }
            TokenSub::Revoke { hub, id } => {
                if !Admin::open(&hub.data)?.revoke_token(&id, now)? {
                    return Err(missing("unused token", &id, "antihate hub token list"));
                }
                context.say(&serde_json::json!({"id": id, "state": "revoked"}), &format!("revoked {id}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl NodeSub {
    fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let now = Utc::now().timestamp();
        match self {
            NodeSub::List { hub } => {
                let nodes = Admin::open(&hub.data)?.nodes()?;
                show(&nodes, json, &["NODE", "STATE", "SITE", "HEALTHY", "POSTS", "LAST SEEN", "WORDS"], node_row)?;
            }
            NodeSub::Show(one) => {
                let (admin, node) = one.find()?;
                let events = admin.events(&node.id)?;
                let mut value = serde_json::to_value(&node)?;
                value["events"] = events.into_iter().map(|(at, what)| serde_json::json!({ "at": at, "what": what })).collect();
                println!("{}", if json { serde_json::to_string_pretty(&value)? } else { plain(&value) });
            }
            NodeSub::Accept(one) => one.act(json, "accepted", |admin, id, why| admin.accept_node(id, why, now))?,
            NodeSub::Reject(one) => one.act(json, "rejected", |admin, id, why| admin.reject_node(id, why, now))?,
            NodeSub::Revoke(one) => one.act(json, "revoked", |admin, id, why| admin.revoke_node(id, why, now))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl One {
    fn find(&self) -> anyhow::Result<(Admin, NodeView)> {
        let admin = Admin::open(&self.hub.data)?;
        let node = admin.node(&self.node)?.ok_or_else(|| missing("single node", &self.node, "antihate hub node list"))?;
        Ok((admin, node))
    }

    fn act(&self, json: bool, done: &str, change: impl Fn(&Admin, &str, &str) -> Result<bool, Error>) -> anyhow::Result<()> {
        let (admin, node) = self.find()?;
        if !change(&admin, &node.id, &self.reason)? {
            let cause = format!("It is {}.", node.state);
            return Err(Problem::new("HUB-108", format!("Node {} cannot be {done}", node.id), cause, "See: antihate hub node list").into());
        }
        match json {
            true => println!("{}", serde_json::to_string_pretty(&admin.node(&node.id)?)?),
            false => println!("{done} {}", node.id),
        }
        Ok(())
    }
}

fn told(e: anyhow::Error) -> anyhow::Error {
    match e.downcast::<Error>() {
        Ok(e) => e.problem().into(),
        Err(e) => e,
    }
}

fn missing(what: &str, id: &str, list: &str) -> anyhow::Error {
    Problem::new("HUB-107", format!("No {what} {id:?}"), "The identifier fits none, or several.", format!("Look it up with: {list}")).into()
}

/// A number with s, m, h or d.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a number with s, m, h or d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<i64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)
}

fn token_row(t: &TokenView) -> Vec<String> {
    vec![t.id.clone(), t.state.clone(), t.site.clone().unwrap_or_else(|| "-".into()), day(t.expires_at), t.node.clone().unwrap_or_else(|| "-".into())]
}

fn node_row(n: &NodeView) -> Vec<String> {
    let healthy = n.report["healthy"].as_bool().map_or("-", |h| if h { "yes" } else { "no" });
    let posts = n.report["pipeline"]["stored"].as_u64().map_or_else(|| "-".into(), |p| p.to_string());
    let seen = n.last_seen.map_or_else(|| "never".into(), day);
    vec![n.id.clone(), n.state.clone(), n.site.clone().unwrap_or_else(|| "-".into()), healthy.into(), posts, seen, n.words.clone()]
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Prints a table, or JSON.
fn show<T: Serialize>(items: &[T], json: bool, head: &[&str], row: impl Fn(&T) -> Vec<String>) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(items)?);
        return Ok(());
    }
    let mut rows = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    rows.extend(items.iter().map(row));
    let width = |at: usize| rows.iter().map(|r| r[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.join("  ").trim_end());
    }
    Ok(())
}

/// The first level as lines, the rest as JSON.
fn plain(value: &serde_json::Value) -> String {
    let fields = value.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null());
    let line = |(key, value): (&String, &serde_json::Value)| format!("{key:<18}{}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    fields.map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_with_a_unit() {
        assert_eq!((seconds("90s"), seconds("2h"), seconds("7d")), (Ok(90), Ok(7_200), Ok(604_800)));
        for wrong in ["", "h", "2", "-", "2w", "1.5h", "99999999999999999999d", "2é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
