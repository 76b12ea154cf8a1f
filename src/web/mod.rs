//! The HTTP server's base: TLS, limits, headers. Sole home of axum-server.
//!
//! It knows nothing of pages: a role hands it a router. TLS 1.3 only, HTTP/1.1 only, at most
//! [`MAX_CONNECTIONS`] connections, 10 s for a handshake, for headers and for a body.
//! It never reads a body that is longer than allowed and never answers to a name that is not ours.

pub mod address;
mod capped;
pub mod guard;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Connections that are served at one time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 256;
/// For a handshake, for a request's headers, for its body.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Open requests get this long after stop was asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a server does not stand.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// Certificate and key do not make a TLS configuration.
    #[error("the certificate cannot be used")]
    Tls(#[source] rustls::Error),
    /// The accept loop ended.
    #[error("the server ended")]
    Serve(#[source] std::io::Error),
}

/// A TLS configuration that can be replaced while the server runs.
#[derive(Clone)]
pub struct Tls(RustlsConfig);

impl Tls {
    /// From a chain, leaf first, and its PKCS#8 key, both DER.
    pub fn new(chain: &[Vec<u8>], key: &[u8]) -> Result<Tls, WebError> {
        Ok(Tls(RustlsConfig::from_config(Arc::new(server_config(chain, key)?))))
    }

    /// New connections get the new certificate; open ones keep theirs.
    pub fn replace(&self, chain: &[Vec<u8>], key: &[u8]) -> Result<(), WebError> {
        self.0.reload_from_config(Arc::new(server_config(chain, key)?));
        Ok(())
    }
}

fn server_config(chain: &[Vec<u8>], key: &[u8]) -> Result<rustls::ServerConfig, WebError> {
    let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(WebError::Tls)?
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.to_vec()).into())
        .map_err(WebError::Tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Listens on `address`; port 0 takes a free one.
pub fn listen(address: SocketAddr) -> Result<TcpListener, WebError> {
    TcpListener::bind(address).map_err(|e| WebError::Bind(address, e))
}

/// Serves `router` until `stop`, then lets open requests end. The client's address is in `ConnectInfo`.
pub async fn serve(listener: TcpListener, tls: Tls, router: Router, stop: CancellationToken) -> Result<(), WebError> {
    let handle = axum_server::Handle::<SocketAddr>::new();
    let acceptor = RustlsAcceptor::new(tls.0).handshake_timeout(PATIENCE).acceptor(capped::Capped::new(MAX_CONNECTIONS));
    let mut server = axum_server::from_tcp(listener)
        .map_err(WebError::Serve)?
        .acceptor(acceptor)
        .http1_only()
        .first_request_timeout(PATIENCE)
        .handle(handle.clone());
    server.http_builder().http1().header_read_timeout(PATIENCE).max_buf_size(32 * 1024);
    let running = server.serve(router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended.map_err(WebError::Serve),
        () = stop.cancelled() => handle.graceful_shutdown(Some(DRAIN)),
    }
    running.await.map_err(WebError::Serve)
}
