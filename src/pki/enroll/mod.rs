//! Keys, certificates and TLS of enrollment: token key, device key, the hub's authority, pinned connections.

pub mod authority;
pub mod device;
pub mod seed;
pub mod tls_client;
pub mod tls_server;

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// Failures of keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File { path: std::path::PathBuf, source: std::io::Error },
    /// A key or certificate cannot be read.
    #[error("cannot read {what}")]
    Unreadable { what: &'static str },
    /// The request for a certificate is not one of ours.
    #[error("certificate request refused: {why}")]
    Request { why: &'static str },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The host name cannot stand in a certificate.
    #[error("{name:?} is not a host name")]
    Name { name: String },
}

/// What the hub reads in a node's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCertificate {
    /// Identifier of the node, from `spiffe://<geography>/node/<identifier>`.
    pub node: String,
    /// Geography, lower case.
    pub geography: String,
    /// SHA-256 of the subject public key info.
    pub spki: [u8; 32],
    /// End of validity, seconds since 1970.
    pub not_after: i64,
}

/// SHA-256 of the subject public key info of a certificate: what a pin is.
pub fn spki_hash(cert: &[u8]) -> Option<[u8; 32]> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    Some(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into())
}

/// Begin and end of validity of a certificate, seconds since 1970.
pub fn validity(cert: &[u8]) -> Option<(i64, i64)> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    Some((parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()))
}

/// The common name of a certificate's subject.
pub fn common_name(cert: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned)
}

/// The organisations of a certificate's subject.
pub fn organisations(cert: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else { return Vec::new() };
    parsed.subject().iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect()
}

/// Reads the certificate of a node; `None` if it names none.
pub fn node_certificate(cert: &[u8]) -> Option<NodeCertificate> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    let uri = parsed.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().find_map(|n| match n {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        }),
        _ => None,
    })?;
    let (geography, node) = uri.strip_prefix("spiffe://")?.split_once("/node/")?;
    Some(NodeCertificate {
        node: node.into(),
        geography: geography.into(),
        spki: Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

/// The certificates of a PEM text, in order.
pub fn certificates(pem: &str) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Error> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Error::Unreadable { what: "a certificate" })
}

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &std::path::Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path: path.into(), source }),
    }
}
