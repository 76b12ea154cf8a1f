//! Asks components how they are: a socket that answers, a link that is there, or an HTTP path that says 200.

use crate::pki::rotation;
use crate::process::netlink;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How a component tells that it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A unix socket accepts a connection.
    Socket(PathBuf),
    /// A link of this name is there.
    Link(&'static str),
    /// `http://127.0.0.1:port/path` answers 200.
    Http(u16, &'static str),
    /// `https://127.0.0.1:port/path` answers 200 with a certificate of the cluster's authority.
    Https(u16, &'static str),
}

/// Why an answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody answered, or the connection broke.
    #[error("no answer: {0}")]
    Connection(#[from] std::io::Error),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// The answer was not 200.
    #[error("answered {0}")]
    Status(u16),
    /// Certificates could not be read.
    #[error("certificates: {0}")]
    Tls(String),
}

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Longest answer that is read, bytes.
const MAX_BODY: u64 = 4 << 20;

/// Asks; `tls` is needed for [`Probe::Https`].
pub async fn ask(probe: &Probe, tls: &Tls) -> Result<(), ProbeError> {
    let work = async {
        match probe {
            Probe::Socket(path) => tokio::net::UnixStream::connect(path).await.map(drop).map_err(Into::into),
            Probe::Link(name) => if netlink::exists(name) { Ok(()) } else { Err(std::io::Error::from(std::io::ErrorKind::NotFound).into()) },
            Probe::Http(port, path) => get(tokio::net::TcpStream::connect(("127.0.0.1", *port)).await?, path).await.map(drop),
            Probe::Https(port, path) => tls.get(*port, path).await.map(drop),
        }
    };
    tokio::time::timeout(LIMIT, work).await.map_err(|_| ProbeError::Late)?
}

/// The body that `http://127.0.0.1:port/path` answers.
pub async fn plain(port: u16, path: &str) -> Result<Vec<u8>, ProbeError> {
    let work = async { get(tokio::net::TcpStream::connect(("127.0.0.1", port)).await?, path).await };
    tokio::time::timeout(LIMIT, work).await.map_err(|_| ProbeError::Late)?
}

/// Files that say whom to trust and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities.
    pub trust: PathBuf,
    /// The certificate that is shown.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Credentials {
    /// The administrator's in the cluster's key folder.
    pub fn of(pki: &Path) -> Credentials {
        Credentials::named(pki, "admin")
    }

    /// Another client's in the cluster's key folder.
    pub fn named(pki: &Path, client: &str) -> Credentials {
        Credentials { trust: rotation::trust(pki), certificate: pki.join(format!("{client}.crt")), key: pki.join(format!("{client}.key")) }
    }
}

/// A TLS client with the administrator's certificate, for this host's own components.
#[derive(Clone)]
pub struct Tls {
    credentials: Credentials,
    config: Arc<OnceLock<Arc<rustls::ClientConfig>>>,
    /// By port: who was asked before is asked by what it gave for coming back, which spares both ends most of a handshake, and
    /// they are all called localhost.
    of: Arc<Mutex<BTreeMap<u16, Arc<rustls::ClientConfig>>>>,
}

impl Tls {
    /// Reads authority and certificate from the cluster's key folder.
    pub fn new(pki: &Path) -> Result<Tls, ProbeError> {
        let tls = Tls::later(Credentials::of(pki));
        tls.config().map(|_| tls)
    }

    /// Reads them when it is asked first, and again until they are there: somebody else makes them.
    pub fn later(credentials: Credentials) -> Tls {
        Tls { credentials, config: Arc::default(), of: Arc::default() }
    }

    fn config(&self) -> Result<Arc<rustls::ClientConfig>, ProbeError> {
        if let Some(known) = self.config.get() {
            return Ok(known.clone());
        }
        let made = Arc::new(client(&self.credentials)?);
        Ok(self.config.get_or_init(|| made).clone())
    }

    fn config_of(&self, port: u16) -> Result<Arc<rustls::ClientConfig>, ProbeError> {
        let base = self.config()?;
        let mut of = self.of.lock().expect("not poisoned");
        let own = of.entry(port).or_insert_with(|| {
            let mut own = (*base).clone();
            own.resumption = Resumption::in_memory_sessions(1);
            Arc::new(own)
        });
        Ok(own.clone())
    }

    /// GET on this host's loopback; the body of a 200.
    pub async fn get(&self, port: u16, path: &str) -> Result<Vec<u8>, ProbeError> {
        let config = self.config_of(port)?;
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost").expect("a valid name");
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?;
        get(stream, path).await
    }
}

fn client(credentials: &Credentials) -> Result<rustls::ClientConfig, ProbeError> {
    let wrong = |e: &dyn std::fmt::Display| ProbeError::Tls(e.to_string());
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(&credentials.trust).map_err(|e| wrong(&e))? {
        roots.add(authority.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    }
    let certificate = CertificateDer::from_pem_file(&credentials.certificate).map_err(|e| wrong(&e))?;
    let key = PrivateKeyDer::from_pem_file(&credentials.key).map_err(|e| wrong(&e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(|e| wrong(&e))
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> Result<Vec<u8>, ProbeError> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    match stream.take(MAX_BODY).read_to_end(&mut raw).await {
        Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => return Err(e.into()),
        _ => {}
    }
    split(&raw)
}

/// Status line and body of an HTTP/1.0 answer (no chunks are sent to such a client).
fn split(raw: &[u8]) -> Result<Vec<u8>, ProbeError> {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(64)]);
    let status: u16 = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    if status != 200 {
        return Err(ProbeError::Status(status));
    }
    let body = raw.windows(4).position(|w| w == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    Ok(raw[body..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        assert_eq!(split(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nok").unwrap(), b"ok");
        assert!(matches!(split(b"HTTP/1.0 503 No\r\n\r\n"), Err(ProbeError::Status(503))));
        assert!(matches!(split(b""), Err(ProbeError::Status(0))));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        crate::pki::cluster::ensure(dir.path(), &names(), time::OffsetDateTime::now_utc()).unwrap();
        let tls = Tls::new(dir.path()).unwrap();
        assert!(ask(&Probe::Socket(path.clone()), &tls).await.is_err());
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        ask(&Probe::Socket(path), &tls).await.unwrap();
    }

    fn names() -> crate::pki::cluster::ClusterNames {
        crate::pki::cluster::ClusterNames { node: "n".into(), node_ip: [10, 0, 0, 1].into(), service_ip: [10, 100, 0, 1].into(), api_port: 6443, id: "1".into() }
    }
}
