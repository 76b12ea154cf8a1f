//! The page's own certificate: an authority of this node (P-256, held to its names) and a leaf of 90 days.
//!
//! Both live in one file each, key and certificate together, so that a power cut cannot separate them.
//! A leaf is made anew when a third of its life is left or when names or addresses have changed.

use crate::files;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

const LEAF_LIFE: Duration = Duration::days(90);
const CA_LIFE: Duration = Duration::days(3650);
/// Clocks of clients may lag behind.
const SLACK: Duration = Duration::days(1);
/// Ranges that the authority may always speak for: an address given by DHCP moves within them.
const PRIVATE: &[(&str, u8)] =
    &[("10.0.0.0", 8), ("172.16.0.0", 12), ("192.168.0.0", 16), ("100.64.0.0", 10), ("127.0.0.0", 8), ("169.254.0.0", 16), ("fc00::", 7), ("::1", 128)];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PageCertificateError {
    /// A file cannot be written.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] std::io::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// What the server needs and what a person compares.
pub struct PageCertificate {
    /// Leaf and authority, DER.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key, PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The authority's certificate, to be imported by who wants to.
    pub ca_pem: String,
    /// SHA-256 of the leaf, `9C:41:…`, as browsers show it.
    pub fingerprint: String,
}

struct Pair {
    key: KeyPair,
    der: Vec<u8>,
    pem: String,
}

/// Reads the certificate in `dir`, or makes what is missing, unreadable, near its end or for other names.
pub fn ensure(dir: &Path, names: &[String], addresses: &[IpAddr], now: OffsetDateTime) -> Result<PageCertificate, PageCertificateError> {
    let mut sans = sans(names, addresses);
    sans.sort();
    let ca_file = dir.join("authority.pem");
    let ca = match read(&ca_file).filter(|p| lives(&p.der, now) && speaks_for(&p.der, names, addresses)) {
        Some(ca) => ca,
        None => write(&ca_file, make_ca(names, addresses, now)?)?,
    };
    let leaf_file = dir.join("page.pem");
    let leaf = match read(&leaf_file).filter(|p| lives(&p.der, now) && issued_by(&p.der, &ca.der) && names_of(&p.der) == sans) {
        Some(leaf) => leaf,
        None => write(&leaf_file, make_leaf(&ca, names, addresses, now)?)?,
    };
    Ok(PageCertificate {
        fingerprint: fingerprint(&leaf.der),
        key: Zeroizing::new(leaf.key.serialize_der()),
        chain: vec![leaf.der, ca.der],
        ca_pem: ca.pem,
    })
}

/// `9C:41:…` of the SHA-256 of a certificate.
fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

fn sans(names: &[String], addresses: &[IpAddr]) -> Vec<String> {
    names.iter().cloned().chain(addresses.iter().map(IpAddr::to_string)).collect()
}

fn make_ca(names: &[String], addresses: &[IpAddr], now: OffsetDateTime) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let name = names.first().map_or("node", String::as_str);
    params.distinguished_name.push(DnType::CommonName, format!("Anti-Hate node {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - SLACK;
    params.not_after = now + CA_LIFE;
    let ranges = PRIVATE.iter().filter_map(|(net, bits)| Some((net.parse().ok()?, *bits)));
    let own = addresses.iter().map(|ip| (*ip, if ip.is_ipv4() { 32 } else { 128 }));
    let subnets = ranges.chain(own.filter(|(ip, _)| !is_private(*ip))).map(|(ip, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, bits)));
    let permitted = names.iter().flat_map(|n| alternatives(n)).map(GeneralSubtree::DnsName).chain(subnets).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    let made = params.self_signed(&key)?;
    Ok(Pair { der: made.der().to_vec(), pem: made.pem(), key })
}

/// A name and, for one of the local network, what it is called where another host has it already: who has imported the authority keeps it.
fn alternatives(name: &str) -> Vec<String> {
    let numbered = name.strip_suffix(".local").map(|label| (2..=9).map(move |n| format!("{label}-{n}.local")));
    std::iter::once(name.to_owned()).chain(numbered.into_iter().flatten()).collect()
}

fn make_leaf(ca: &Pair, names: &[String], addresses: &[IpAddr], now: OffsetDateTime) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("node", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - SLACK;
    params.not_after = now + LEAF_LIFE;
    let issuer = Issuer::from_ca_cert_der(&ca.der.clone().into(), &ca.key)?;
    let made = params.signed_by(&key, &issuer)?;
    Ok(Pair { der: made.der().to_vec(), pem: made.pem(), key })
}

fn write(path: &Path, pair: Pair) -> Result<Pair, PageCertificateError> {
    let both = Zeroizing::new(format!("{}{}", pair.key.serialize_pem(), pair.pem));
    files::replace(path, both.as_bytes(), 0o600).map_err(|e| PageCertificateError::Write(path.to_owned(), e))?;
    Ok(pair)
}

/// What cannot be read is made anew, so every error here is an absence.
fn read(path: &Path) -> Option<Pair> {
    let text = Zeroizing::new(std::fs::read_to_string(path).ok()?);
    let at = text.find("-----BEGIN CERTIFICATE-----")?;
    let key = KeyPair::from_pem(&text[..at]).ok()?;
    let pem = text[at..].to_owned();
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let own = block.parse_x509().ok()?.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
    own.then_some(Pair { key, der: block.contents, pem })
}

fn lives(der: &[u8], now: OffsetDateTime) -> bool {
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return false };
    let (from, to) = (cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp());
    let now = now.unix_timestamp();
    now >= from && to - now > (to - from) / 3
}

fn issued_by(leaf: &[u8], ca: &[u8]) -> bool {
    match (X509Certificate::from_der(leaf), X509Certificate::from_der(ca)) {
        (Ok((_, leaf)), Ok((_, ca))) => leaf.verify_signature(Some(ca.public_key())).is_ok(),
        _ => false,
    }
}

fn names_of(der: &[u8]) -> Vec<String> {
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(sans)) = cert.subject_alternative_name() else { return Vec::new() };
    let mut names: Vec<String> = sans.value.general_names.iter().filter_map(name_of).collect();
    names.sort();
    names
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the authority's constraints allow all names and addresses.
fn speaks_for(der: &[u8], names: &[String], addresses: &[IpAddr]) -> bool {
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(limits)) = cert.name_constraints() else { return false };
    let permitted: Vec<&GeneralName<'_>> = limits.value.permitted_subtrees.iter().flatten().map(|s| &s.base).collect();
    let has_name = |name: &String| permitted.iter().any(|p| matches!(p, GeneralName::DNSName(dns) if dns == name));
    let exact = |ip: &IpAddr| permitted.iter().any(|p| matches!(p, GeneralName::IPAddress(b) if b.starts_with(&octets(*ip)) && b.len() == 2 * octets(*ip).len()));
    names.iter().all(has_name) && addresses.iter().all(|ip| is_private(*ip) || exact(ip))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    PRIVATE.iter().any(|(net, bits)| match (net.parse::<IpAddr>(), ip) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(ip)) => (net.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(*bits)).unwrap_or(0) == 0,
        (Ok(IpAddr::V6(net)), IpAddr::V6(ip)) => (net.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(*bits)).unwrap_or(0) == 0,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["node-1.local".into(), "localhost".into()]
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    fn made(dir: &Path, addresses: &[IpAddr], now: OffsetDateTime) -> PageCertificate {
        ensure(dir, &names(), addresses, now).expect("certificate")
    }

    #[test]
    fn the_second_start_keeps_the_certificate() {
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        let first = made(dir.path(), &[ip("192.168.1.4")], now).fingerprint;
        assert_eq!(made(dir.path(), &[ip("192.168.1.4")], now).fingerprint, first);
    }

    #[test]
    fn a_new_private_address_makes_a_new_leaf_under_the_same_authority() {
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        let first = made(dir.path(), &[ip("192.168.1.4")], now);
        let second = made(dir.path(), &[ip("10.1.2.3")], now);
        assert_ne!(first.fingerprint, second.fingerprint);
        assert_eq!(first.ca_pem, second.ca_pem);
        assert!(issued_by(&second.chain[0], &second.chain[1]));
    }

    #[test]
    fn a_public_address_needs_an_authority_that_names_it() {
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        let first = made(dir.path(), &[ip("192.168.1.4")], now);
        let second = made(dir.path(), &[ip("203.0.113.9")], now);
        assert_ne!(first.ca_pem, second.ca_pem);
        assert!(speaks_for(&second.chain[1], &names(), &[ip("203.0.113.9")]));
    }

    #[test]
    fn another_name_on_the_local_network_needs_no_other_authority() {
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        let first = made(dir.path(), &[], now);
        let renamed = vec!["node-1-2.local".to_owned(), "localhost".into()];
        let second = ensure(dir.path(), &renamed, &[], now).expect("made");
        assert_eq!(first.ca_pem, second.ca_pem);
        assert!(issued_by(&second.chain[0], &second.chain[1]) && names_of(&second.chain[0]).contains(&"node-1-2.local".to_owned()));
    }

    #[test]
    fn a_leaf_is_renewed_when_a_third_of_its_life_is_left() {
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        let first = made(dir.path(), &[], now).fingerprint;
        assert_eq!(made(dir.path(), &[], now + Duration::days(50)).fingerprint, first);
        assert_ne!(made(dir.path(), &[], now + Duration::days(70)).fingerprint, first);
    }

    #[test]
    fn a_damaged_file_is_replaced_and_keys_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let now = OffsetDateTime::now_utc();
        made(dir.path(), &[], now);
        let file = dir.path().join("page.pem");
        std::fs::write(&file, b"torn").expect("write");
        made(dir.path(), &[], now);
        assert!(read(&file).is_some());
        assert_eq!(std::fs::metadata(&file).expect("metadata").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn private_ranges_are_told_from_public_ones() {
        for private in ["10.1.2.3", "172.31.0.1", "192.168.1.4", "127.0.0.1", "fd00::1", "::1"] {
            assert!(is_private(ip(private)), "{private}");
        }
        for public in ["203.0.113.9", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_private(ip(public)), "{public}");
        }
    }
}
