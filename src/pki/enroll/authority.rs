//! The hub's authority: the root whose key is pinned in every token, the hub's own certificate, those of the nodes.

use super::{Error, read};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Usual life of a node's certificate, in seconds: 7 days.
pub const NODE_LIFE_S: i64 = 7 * 86_400;
/// How far before its issue a certificate begins, for nodes whose clock is a little behind.
pub const BACKDATE_MIN: i64 = 10;
const ROOT_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 90;

/// The root with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    pin: [u8; 32],
}

/// A certificate for a node.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Certificate and root, PEM.
    pub chain: String,
    /// 128-bit serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the device's subject public key info.
    pub spki: [u8; 32],
    /// Begin, seconds since 1970.
    pub not_before: i64,
    /// End, seconds since 1970.
    pub not_after: i64,
}

/// A checked certificate request: the key's holder signed it.
pub struct Request(CertificateSigningRequestParams);

impl Request {
    /// Reads a PKCS #10 request; refuses a wrong self-signature and any key but ECDSA P-256.
    pub fn read(der: &[u8]) -> Result<Request, Error> {
        let request = CertificateSigningRequestParams::from_der(&der.into()).map_err(|_| Error::Request { why: "it is damaged or not signed by its key" })?;
        if PublicKeyData::algorithm(&request.public_key) != &PKCS_ECDSA_P256_SHA256 {
            return Err(Error::Request { why: "its key is not ECDSA P-256" });
        }
        Ok(Request(request))
    }

    /// The subject public key info, DER.
    pub fn spki(&self) -> Vec<u8> {
        self.0.public_key.subject_public_key_info()
    }

    /// SHA-256 of the subject public key info.
    pub fn spki_hash(&self) -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::digest(self.spki()).into()
    }
}

impl Authority {
    /// Reads the root in `dir`, or makes it once. A key without its certificate gets a new one: the pin stays.
    pub fn load_or_create(dir: &Path, geography: &str) -> Result<Authority, Error> {
        let (key_path, cert_path) = (dir.join("root.key"), dir.join("root.crt"));
        let save = |path: &PathBuf, text: &str, mode| {
            crate::files::replace(path, text.as_bytes(), mode).map_err(|source| Error::File { path: path.clone(), source })
        };
        let key = match read(&key_path)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|_| Error::Unreadable { what: "the hub's root key" })?,
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                save(&key_path, &key.serialize_pem(), 0o600)?;
                key
            }
        };
        let params = root_params(geography);
        let cert_pem = match read(&cert_path)? {
            Some(pem) => pem,
            None => {
                let pem = params.self_signed(&key)?.pem();
                save(&cert_path, &pem, 0o644)?;
                pem
            }
        };
        let root = super::certificates(&cert_pem)?;
        let pin = root.first().and_then(|c| super::spki_hash(c)).ok_or(Error::Unreadable { what: "the hub's root certificate" })?;
        let issuer = Issuer::from_ca_cert_pem(&cert_pem, key)?;
        Ok(Authority { issuer, cert_pem, pin })
    }

    /// SHA-256 of the root's subject public key info.
    pub fn pin(&self) -> [u8; 32] {
        self.pin
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> &str {
        &self.cert_pem
    }

    /// A certificate for the hub itself under `name` (host name or address): chain and key for TLS.
    pub(super) fn server(&self, name: &str) -> Result<(String, KeyPair), Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let mut params = CertificateParams::new(vec![bare.to_string()]).map_err(|_| Error::Name { name: name.into() })?;
        params.distinguished_name = common_name("antihate hub");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        dates(&mut params, Duration::days(1), Duration::days(SERVER_DAYS));
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok((format!("{}{}", cert.pem(), self.cert_pem), key))
    }

    /// A certificate for a node: client authentication only, named by its SPIFFE identifier, whatever was asked for.
    /// It lives `life_s` seconds from now.
    pub fn issue(&self, request: &Request, geography: &str, node: &str, life_s: i64) -> Result<Issued, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(node);
        let uri = format!("spiffe://{}/node/{node}", geography.to_ascii_lowercase());
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(|_| Error::Name { name: geography.into() })?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = serial();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        dates(&mut params, Duration::minutes(BACKDATE_MIN), Duration::seconds(life_s));
        let cert = params.signed_by(&request.0.public_key, &self.issuer)?;
        Ok(Issued {
            chain: format!("{}{}", cert.pem(), self.cert_pem),
            serial: hex::encode(serial),
            spki: request.spki_hash(),
            not_before: params.not_before.unix_timestamp(),
            not_after: params.not_after.unix_timestamp(),
        })
    }
}

fn root_params(geography: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("antihate hub {geography} root"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&serial()));
    dates(&mut params, Duration::days(1), Duration::days(ROOT_DAYS));
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn dates(params: &mut CertificateParams, before: Duration, after: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - before;
    params.not_after = now + after;
}

/// 128 random bits, positive and not zero.
fn serial() -> [u8; 16] {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::enroll::{certificates, device::DeviceKey, node_certificate, spki_hash};

    #[test]
    fn the_pin_survives_a_reissue_of_the_root_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let pin = Authority::load_or_create(dir.path(), "DE").unwrap().pin();
        std::fs::remove_file(dir.path().join("root.crt")).unwrap();
        assert_eq!(Authority::load_or_create(dir.path(), "DE").unwrap().pin(), pin);
    }

    #[test]
    fn a_node_certificate_names_the_node_and_serves_for_client_authentication_only() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), "DE").unwrap();
        let key = DeviceKey::load_or_create(&dir.path().join("device.key")).unwrap();
        let issued = authority.issue(&Request::read(&key.request().unwrap()).unwrap(), "DE", "4c1f", NODE_LIFE_S).unwrap();
        let chain = certificates(&issued.chain).unwrap();
        let node = node_certificate(&chain[0]).unwrap();
        assert_eq!((node.node.as_str(), node.geography.as_str(), node.spki), ("4c1f", "de", key.spki_hash()));
        assert_eq!(issued.not_after - issued.not_before, NODE_LIFE_S + BACKDATE_MIN * 60);
        assert_eq!(spki_hash(&chain[1]), Some(authority.pin()));
        let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert_eq!(parsed.raw_serial().len(), 16);
        assert!(!parsed.is_ca());
    }

    #[test]
    fn a_request_that_was_changed_after_signing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::load_or_create(&dir.path().join("device.key")).unwrap();
        let mut der = key.request().unwrap();
        let at = der.len() - 5;
        der[at] ^= 1;
        assert!(Request::read(&der).is_err());
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let der = CertificateParams::default().serialize_request(&other).unwrap().der().to_vec();
        assert!(Request::read(&der).is_err());
    }

    #[test]
    fn the_device_key_is_made_once_and_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity/device.key");
        let first = DeviceKey::load_or_create(&path).unwrap().spki_hash();
        assert_eq!(DeviceKey::load_or_create(&path).unwrap().spki_hash(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
