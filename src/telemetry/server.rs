//! The small HTTP server of every pod: `/health`, `/ready`, `/metrics`.
//!
//! *Health* says that the process turns; *ready* says that its last round worked. A pod that is not ready is
//! left alone to try again; a pod that is not healthy is restarted.

use super::Registry;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What a role tells about itself; clones share it.
#[derive(Clone)]
pub struct Health(Arc<Mutex<Turn>>);

struct Turn {
    last: Instant,
    limit: Duration,
    ready: Result<(), String>,
}

impl Health {
    /// Starts not ready; unhealthy once no [`Health::turn`] came for `limit`.
    pub fn new(limit: Duration) -> Self {
        Health(Arc::new(Mutex::new(Turn { last: Instant::now(), limit, ready: Err("starting".into()) })))
    }

    fn get(&self) -> std::sync::MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Says that the main loop turns.
    pub fn turn(&self) {
        self.get().last = Instant::now();
    }

    /// Says whether the last round worked; the reason is shown by `/ready`.
    pub fn ready(&self, outcome: Result<(), String>) {
        let mut turn = self.get();
        turn.last = Instant::now();
        turn.ready = outcome;
    }

    fn health(&self) -> Result<(), String> {
        let turn = self.get();
        let idle = turn.last.elapsed();
        if idle > turn.limit { Err(format!("no turn for {} s", idle.as_secs())) } else { Ok(()) }
    }

    fn readiness(&self) -> Result<(), String> {
        self.health()?;
        self.get().ready.clone()
    }
}

/// Serves on an already bound listener until `stop`.
pub async fn serve(listener: tokio::net::TcpListener, registry: Registry, health: Health, stop: CancellationToken) -> Result<(), String> {
    let say = |r: Result<(), String>| match r {
        Ok(()) => (StatusCode::OK, "ok\n".to_string()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    };
    let app = axum::Router::new()
        .route("/health", axum::routing::get(move |State((_, h)): State<(Registry, Health)>| async move { say(h.health()) }))
        .route("/ready", axum::routing::get(move |State((_, h)): State<(Registry, Health)>| async move { say(h.readiness()) }))
        .route("/metrics", axum::routing::get(metrics))
        .with_state((registry, health));
    axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await.map_err(|e| e.to_string())
}

async fn metrics(State((registry, _)): State<(Registry, Health)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], registry.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_ready_only_after_a_round_that_worked() {
        let h = Health::new(Duration::from_secs(60));
        assert_eq!(h.readiness(), Err("starting".into()));
        h.ready(Ok(()));
        assert_eq!(h.readiness(), Ok(()));
        h.ready(Err("topic unreachable".into()));
        assert_eq!(h.readiness(), Err("topic unreachable".into()));
        assert_eq!(h.health(), Ok(()));
    }

    #[test]
    fn a_role_that_stands_still_is_not_healthy() {
        let h = Health::new(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(h.health().is_err());
    }
}
