//! The database as the host process reaches it: by the service's fixed address, for the host has no cluster DNS.

use super::credentials::credentials;
use crate::config::layout::Layout;
use crate::manifests::network;
use crate::status::Problem;
use crate::store::{PgConfig, Postgres};

/// The node's store; connects when it is first asked.
pub fn store(layout: &Layout) -> Result<Postgres, Problem> {
    Ok(Postgres::new(PgConfig {
        host: network::POSTGRES_IP.into(),
        port: 5432,
        user: network::POSTGRES_USER.into(),
        password: credentials(layout)?.postgres_password,
        database: network::POSTGRES_DB.into(),
    }))
}
