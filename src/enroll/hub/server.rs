//! The hub's door: accepts, shakes hands, hands each request to the routes with what is known of its sender.

use super::{Error, Hub, Peer, Settings, limits::Limits, nonce::Nonces, routes};
use crate::enroll::protocol::EXPORTER_LABEL;
use crate::enroll::token::is_geography;
use crate::files::Lock;
use crate::pki::enroll::authority::Authority;
use crate::pki::enroll::tls_server::Acceptor;
use crate::store::hub as store;
use crate::task::group::Group;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Connections at a time.
const CONNECTIONS: usize = 1_024;
/// Longest handshake or head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// How often the hub's own certificate is made anew; it lives 90 days.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Serves until `stop`. `listener` is bound already, so that port 0 can be asked for; `ready` runs once all is prepared.
pub async fn serve(settings: Settings, listener: TcpListener, stop: CancellationToken, ready: impl FnOnce(u16)) -> Result<(), Error> {
    let port = listener.local_addr().map_err(|source| Error::Io { doing: "reading the port".into(), source })?.port();
    let (hub, _lock) = open(settings, port)?;
    let mut acceptor = Acceptor::new(&hub.authority, &hub.settings.name)?;
    let mut made = Instant::now();
    let router = routes::router(hub.clone());
    let mut connections = Group::new(CONNECTIONS);
    tracing::info!(name = hub.settings.name, port, geography = hub.settings.geography, "hub is ready");
    ready(port);
    loop {
        let (tcp, address) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of descriptors, most likely: those who are in shall leave first.
                    tracing::warn!(error = %e, "accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        if made.elapsed() > CERTIFICATE_LIFE {
            acceptor = Acceptor::new(&hub.authority, &hub.settings.name)?;
            made = Instant::now();
        }
        let work = connection(tcp, address, acceptor.clone(), router.clone(), stop.clone());
        connections.start(async move { drop(tokio::time::timeout(CONNECTION_LIFE, work).await) }).await;
    }
    connections.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Makes or reads everything that a hub keeps; the lock ends with the value.
fn open(settings: Settings, port: u16) -> Result<(Arc<Hub>, Lock), Error> {
    if !is_geography(&settings.geography) {
        return Err(Error::Value { what: format!("{:?} is no geography: 2 to 8 of A-Z, 0-9 and hyphen", settings.geography) });
    }
    let io = |doing: &str| {
        let doing = format!("{doing} {}", settings.data.display());
        move |source| Error::Io { doing, source }
    };
    super::admin::make_folder(&settings.data).map_err(io("making"))?;
    let lock = Lock::take(&settings.data.join("lock"), &format!("pid {}", std::process::id())).map_err(io("locking"))?;
    let lock = lock.map_err(|holder| Error::Busy { data: settings.data.clone(), holder })?;
    let store = store::Hub::open(&settings.data.join("hub.db"))?;
    if let Some(stored) = store.meta("geography")?.filter(|g| *g != settings.geography) {
        return Err(Error::Geography { stored, asked: settings.geography });
    }
    let authority = Authority::load_or_create(&settings.data.join("pki"), &settings.geography)?;
    store.set_meta("geography", &settings.geography)?;
    store.set_meta("name", &settings.name)?;
    store.set_meta("port", &port.to_string())?;
    store.set_meta("pin", &hex::encode(authority.pin()))?;
    Ok((Arc::new(Hub { settings, store, authority, nonces: Nonces::new(), limits: Limits::default() }), lock))
}

async fn connection(tcp: TcpStream, address: SocketAddr, acceptor: Acceptor, router: Router, stop: CancellationToken) {
    tcp.set_nodelay(true).ok();
    let (stream, exporter, node) = match tokio::time::timeout(PATIENCE, acceptor.accept(tcp, EXPORTER_LABEL)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(e)) => return tracing::debug!(%address, error = %e, "no handshake"),
        Err(_) => return tracing::debug!(%address, "handshake took too long"),
    };
    let service = router.layer(Extension(Peer { address, exporter, node }));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!(%address, error = %e, "connection ended");
    }
}
