//! The hub's end of TLS 1.3: certificates of nodes are welcome, not needed; what they may do is decided by state.

use super::{Error, NodeCertificate, authority::Authority, certificates, node_certificate, provider, validity};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection of a node.
pub type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// Who a client's certificate says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its common name.
    pub name: String,
    /// Its organisations.
    pub groups: Vec<String>,
}

/// Accepts connections under one certificate; make a new one before that ends (90 days).
#[derive(Clone)]
pub struct Acceptor(tokio_rustls::TlsAcceptor);

impl Acceptor {
    /// A fresh certificate for `name`, signed by `authority`.
    pub fn new(authority: &Authority, name: &str) -> Result<Acceptor, Error> {
        let (chain, key) = authority.server(name)?;
        Acceptor::of(&chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into(), authority.root_pem())
    }

    /// Under a certificate of another family: chain and roots as PEM.
    pub fn of(chain: &str, key: PrivateKeyDer<'static>, roots_pem: &str) -> Result<Acceptor, Error> {
        let mut roots = RootCertStore::empty();
        for root in certificates(roots_pem)? {
            roots.add(root)?;
        }
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|e| Error::Tls(rustls::Error::General(e.to_string())))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(ExpiredToo(inner)))
            .with_single_cert(certificates(chain)?, key)?;
        config.send_tls13_tickets = 0; // no resumption: each session has its own keying material
        Ok(Acceptor(tokio_rustls::TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands; returns the connection, its keying material and who the client's certificate says it is, if it showed one that
    /// these roots vouch for.
    pub async fn accept_named(&self, tcp: TcpStream, label: &[u8]) -> std::io::Result<(Stream, [u8; 32], Option<Caller>)> {
        let stream = self.0.accept(tcp).await?;
        let session = stream.get_ref().1;
        let exporter = session.export_keying_material([0; 32], label, None).map_err(std::io::Error::other)?;
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let caller = shown.and_then(|c| Some(Caller { name: super::common_name(c)?, groups: super::organisations(c) }));
        Ok((stream, exporter, caller))
    }

    /// Shakes hands; returns the connection, its keying material and the node's certificate, if it showed one.
    pub async fn accept(&self, tcp: TcpStream, label: &[u8]) -> std::io::Result<(Stream, [u8; 32], Option<NodeCertificate>)> {
        let stream = self.0.accept(tcp).await?;
        let session = stream.get_ref().1;
        let exporter = session.export_keying_material([0; 32], label, None).map_err(std::io::Error::other)?;
        let node = session.peer_certificates().and_then(|chain| chain.first()).and_then(|c| node_certificate(c));
        Ok((stream, exporter, node))
    }
}

/// Lets a certificate of ours in after its end as well: a node that was cut off for long may then ask for
/// a new one, and for nothing else. The holder has proved possession of the key either way.
#[derive(Debug)]
struct ExpiredToo(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ExpiredToo {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(&self, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<ClientCertVerified, rustls::Error> {
        match self.0.verify_client_cert(leaf, chain, now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
                let (_, end) = validity(leaf).ok_or(rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
                let then = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(end).unwrap_or(0).saturating_sub(1)));
                self.0.verify_client_cert(leaf, chain, then)
            }
            other => other,
        }
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
