//! The two things that every family of certificates needs: an authority that is made once, and leaves that it signs.

use super::cluster::PkiError;
use crate::files;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// What a leaf certificate says; the same specification gives no new certificate while two thirds of its life last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// File name without ending.
    pub file: String,
    /// Common name: the user, for a client certificate.
    pub cn: String,
    /// Organisation: the group, for a client certificate.
    pub org: Option<String>,
    /// DNS names and addresses.
    pub sans: Vec<String>,
    /// May serve.
    pub server: bool,
    /// May call.
    pub client: bool,
}

/// An authority with its key in memory.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError + '_ {
    |source| PkiError::File { path: path.to_path_buf(), source }
}

/// Reads the authority `name` in `dir`, or makes it, valid for ten years. Key first, then certificate: a cut between
/// the two leaves a key without certificate, which the next call replaces. One whose files were damaged is made anew: what it
/// signed is then issued again, because its fingerprint differs.
pub fn authority(dir: &Path, name: &str, cn: &str, now: OffsetDateTime) -> Result<Authority, PkiError> {
    let (crt, key, record) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")), dir.join(format!("{name}.json")));
    if let (Ok(pem), Ok(key_pem)) = (std::fs::read_to_string(&crt), std::fs::read_to_string(&key)) {
        let sums = sums(&pem, &key_pem);
        let known: Option<Vec<String>> = std::fs::read(&record).ok().and_then(|raw| serde_json::from_slice(&raw).ok());
        let issuer = KeyPair::from_pem(&key_pem).and_then(|pair| Issuer::from_ca_cert_pem(&pem, pair));
        match issuer {
            Ok(issuer) if known.as_ref().is_none_or(|k| *k == sums) => {
                if known.is_none() {
                    files::replace(&record, &serde_json::to_vec(&sums).expect("plain data"), 0o644).map_err(io(&record))?;
                }
                return Ok(Authority { issuer, pem });
            }
            _ => tracing::warn!(authority = name, "an authority's files are damaged: it is made anew, with all that it signed"),
        }
    }
    drop(std::fs::remove_file(&crt));
    drop(std::fs::remove_file(&record));
    let wrong = |source| PkiError::Certificate { name: name.into(), source };
    let pair = KeyPair::generate().map_err(wrong)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, cn);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (now - Duration::days(1), now + Duration::days(3650));
    let pem = params.self_signed(&pair).map_err(|source| PkiError::Certificate { name: name.into(), source })?.pem();
    let key_pem = pair.serialize_pem();
    files::replace(&key, key_pem.as_bytes(), 0o600).map_err(io(&key))?;
    files::replace(&crt, pem.as_bytes(), 0o644).map_err(io(&crt))?;
    files::replace(&record, &serde_json::to_vec(&sums(&pem, &key_pem)).expect("plain data"), 0o644).map_err(io(&record))?;
    Ok(Authority { issuer: Issuer::new(params, pair), pem })
}

/// What was issued, beside the files, so that a later start can see whether it still fits.
#[derive(PartialEq, Serialize, Deserialize)]
struct Issued {
    leaf: Leaf,
    authority: String,
    not_after: i64,
    /// Sums of certificate and key, so that damage is seen.
    #[serde(default)]
    sums: Vec<String>,
}

fn sum(text: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(text.as_bytes()))
}

/// Sums of a certificate and its key, kept beside them.
fn sums(pem: &str, key_pem: &str) -> Vec<String> {
    vec![sum(pem), sum(key_pem)]
}

impl Authority {
    /// Makes sure that `dir` holds the leaf; returns whether it was (re)issued.
    pub fn ensure(&self, dir: &Path, leaf: &Leaf, life: Duration, now: OffsetDateTime) -> Result<bool, PkiError> {
        let at = |ending: &str| -> PathBuf { dir.join(format!("{}.{ending}", leaf.file)) };
        let (crt, key, record) = (at("crt"), at("key"), at("json"));
        let fits = std::fs::read(&record).ok().and_then(|raw| serde_json::from_slice::<Issued>(&raw).ok()).is_some_and(|old| {
            let whole = |pem: String| std::fs::read_to_string(&key).is_ok_and(|key_pem| old.sums == sums(&pem, &key_pem));
            std::fs::read_to_string(&crt).is_ok_and(whole) && old.leaf == *leaf && old.authority == self.fingerprint() && old.not_after > (now + Duration::seconds(life.whole_seconds() / 3)).unix_timestamp()
        });
        if fits {
            return Ok(false);
        }
        let (pem, key_pem, not_after) = self.issue(leaf, life, now)?;
        drop(std::fs::remove_file(&record));
        files::replace(&key, key_pem.as_bytes(), 0o600).map_err(io(&key))?;
        files::replace(&crt, pem.as_bytes(), 0o644).map_err(io(&crt))?;
        let issued = Issued { leaf: leaf.clone(), authority: self.fingerprint(), not_after: not_after.unix_timestamp(), sums: sums(&pem, &key_pem) };
        files::replace(&record, &serde_json::to_vec(&issued).expect("plain data"), 0o644).map_err(io(&record))?;
        Ok(true)
    }

    fn fingerprint(&self) -> String {
        sum(&self.pem)
    }

    fn issue(&self, leaf: &Leaf, life: Duration, now: OffsetDateTime) -> Result<(String, String, OffsetDateTime), PkiError> {
        let wrong = |source| PkiError::Certificate { name: leaf.file.clone(), source };
        let pair = KeyPair::generate().map_err(wrong)?;
        let mut params = CertificateParams::new(leaf.sans.clone()).map_err(wrong)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, leaf.cn.as_str());
        if let Some(org) = &leaf.org {
            params.distinguished_name.push(DnType::OrganizationName, org.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        if leaf.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if leaf.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let not_after = now + life;
        (params.not_before, params.not_after) = (now - Duration::days(1), not_after);
        let signed = params.signed_by(&pair, &self.issuer).map_err(wrong)?;
        Ok((signed.pem(), pair.serialize_pem(), not_after))
    }
}
