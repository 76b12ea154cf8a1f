//! The node's end of TLS 1.3: nothing is trusted but the pinned key of the hub's root.

use super::{Error, certificates, device::DeviceKey, provider, spki_hash, validity};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection to the hub.
pub type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// What makes a connection safe.
pub struct Trust<'a> {
    /// SHA-256 of the subject public key info of the other side's root, or its first 15 bytes or more.
    pub pin: &'a [u8],
    /// Device key and certificate chain (PEM), once the node has one.
    pub identity: Option<(&'a DeviceKey, &'a str)>,
    /// What is added to this machine's clock, in seconds; other than 0 in tests.
    pub clock_offset_s: i64,
    /// Takes a certificate whose only fault is its dates; for asking the time and nothing else.
    pub any_time: bool,
}

/// Why there is no safe connection.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Another key or another name: not the hub, or somebody in between.
    #[error("not the pinned hub")]
    NotTheHub(#[source] std::io::Error),
    /// Key and name are right, the dates are not.
    #[error("the certificate is not valid now")]
    Time(#[source] std::io::Error),
    /// Anything else.
    #[error("no TLS connection")]
    Broken(#[source] std::io::Error),
    /// This side could not even begin.
    #[error("TLS cannot be set up")]
    Setup(#[source] Error),
}

/// Shakes hands with `host` (name or address) over `tcp`; returns the connection and its keying material.
pub async fn connect(tcp: TcpStream, host: &str, trust: &Trust<'_>, label: &[u8]) -> Result<(Stream, [u8; 32]), Refused> {
    let config = config(trust).map_err(Refused::Setup)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_string();
    let name = ServerName::try_from(bare).map_err(|_| Refused::Setup(Error::Name { name: host.into() }))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(classify)?;
    let exporter = stream.get_ref().1.export_keying_material([0; 32], label, None).map_err(|e| Refused::Setup(e.into()))?;
    Ok((stream, exporter))
}

fn config(trust: &Trust<'_>) -> Result<ClientConfig, Error> {
    assert!(trust.pin.len() >= 15, "a pin has 120 bits at least");
    let verifier = Pinned { pin: trust.pin.to_vec(), any_time: trust.any_time };
    let clock = Arc::new(Shifted(trust.clock_offset_s));
    let builder = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match trust.identity {
        Some((key, chain)) => builder.with_client_auth_cert(certificates(chain)?, key.private())?,
        None => builder.with_no_client_auth(),
    };
    // Each session has keying material of its own, and a revoked node has no old session to resume.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn classify(e: std::io::Error) -> Refused {
    let certificate = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match certificate {
        Some(rustls::Error::InvalidCertificate(c)) if is_time(c) => Refused::Time(e),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => Refused::NotTheHub(e),
        _ => Refused::Broken(e),
    }
}

fn is_time(error: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(error, Expired | NotValidYet | ExpiredContext { .. } | NotValidYetContext { .. })
}

#[derive(Debug)]
struct Shifted(i64);

impl TimeProvider for Shifted {
    fn current_time(&self) -> Option<UnixTime> {
        let now = UnixTime::now().as_secs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now.saturating_add_signed(self.0))))
    }
}

/// The chain must end in a CA whose key has the pinned hash, and the name must match.
#[derive(Debug)]
struct Pinned {
    pin: Vec<u8>,
    any_time: bool,
}

impl Pinned {
    fn check(&self, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], name: &ServerName<'_>, now: UnixTime) -> Result<(), rustls::Error> {
        let root = chain.iter().find(|c| spki_hash(c).is_some_and(|hash| hash.starts_with(&self.pin)));
        let root = root.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let cert = rustls::server::ParsedCertificate::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&cert, &roots, chain, now, algorithms)?;
        rustls::client::verify_server_name(&cert, name)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.check(leaf, chain, name, now) {
            Err(rustls::Error::InvalidCertificate(e)) if is_time(&e) => {
                // Only if everything but the dates is right, it is the clock.
                let (begin, _) = validity(leaf).ok_or(rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
                let then = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(begin).unwrap_or(0) + 60));
                self.check(leaf, chain, name, then)?;
                if self.any_time { Ok(ServerCertVerified::assertion()) } else { Err(rustls::Error::InvalidCertificate(e)) }
            }
            other => other.map(|()| ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
