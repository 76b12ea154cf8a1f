//! The device key: P-256, made once on the node, never sent anywhere.

use super::{Error, read};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The key of this node.
pub struct DeviceKey(KeyPair);

impl DeviceKey {
    /// Reads the key at `path`, or makes it, durable and readable by its owner only, before it is used.
    pub fn load_or_create(path: &Path) -> Result<DeviceKey, Error> {
        if let Some(pem) = read(path)? {
            return Ok(DeviceKey(KeyPair::from_pem(&pem).map_err(|_| Error::Unreadable { what: "the device key" })?));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        crate::files::replace(path, key.serialize_pem().as_bytes(), 0o600)
            .map_err(|source| Error::File { path: path.into(), source })?;
        Ok(DeviceKey(key))
    }

    /// A certificate request (PKCS #10 DER) signed by this key. It asks for nothing: the hub decides all names.
    pub fn request(&self) -> Result<Vec<u8>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    /// SHA-256 of the subject public key info.
    pub fn spki_hash(&self) -> [u8; 32] {
        Sha256::digest(self.spki()).into()
    }

    /// The subject public key info, DER.
    pub fn spki(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    pub(super) fn private(&self) -> rustls::pki_types::PrivateKeyDer<'static> {
        rustls::pki_types::PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}
