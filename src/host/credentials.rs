//! Credentials for the cluster, made for a person: by `antihate kubeconfig` and on the page.

use super::settings::API_PORT;
use super::{k3s, survey};
use crate::config::layout::Layout;
use crate::domain::{Role, is_user_name};
use crate::manifests::access::groups;
use crate::pki::cluster;
use crate::status::Problem;
use std::net::Ipv4Addr;
use time::{Duration, OffsetDateTime};

/// A kubeconfig for the person `name` with the rights of `role`, good for so many days. `server` is the address at which the person
/// reaches this host; without it, the node's own. Nobody can take it back before its end, and nothing of it is kept.
pub fn kubeconfig(layout: &Layout, (name, role): (&str, Role), server: Option<Ipv4Addr>, days: u16) -> Result<String, Problem> {
    k3s::not_here(layout, "a kubeconfig for a person", "Use `antihate kubectl`; its file of the administrator gives every right and is not to be handed on.")?;
    let lacking = |what: &str, cause: String, next: &str| Problem::new("CLI-104", what, cause, next);
    if !is_user_name(name) {
        let cause = "2 to 64 letters of A to Z, digits and - . _ @ are allowed, and it may not begin with system";
        return Err(lacking("this name cannot be used", cause.into(), "Choose another --name."));
    }
    let server = server.or_else(survey::address).ok_or_else(|| lacking("this host has no network address", "no link is up with an IPv4 address".into(), "Name one with --server."))?;
    let group = match role {
        Role::Viewer => groups::VIEWER,
        Role::Operator => groups::OPERATOR,
        Role::Owner => groups::OWNER,
    };
    let made = cluster::for_person(&layout.pki(), (name, group), &format!("{server}:{API_PORT}"), Duration::days(days.into()), OffsetDateTime::now_utc());
    made.map_err(|e| {
        let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        lacking(&e.to_string(), cause, "Start the node with `antihate up` first, and do this as root.")
    })
}
