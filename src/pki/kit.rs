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
    /// Organisations: the groups, for a client certificate.
    pub orgs: Vec<String>,
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

/// Certificates begin so long before now: a clock may be set back a little afterwards.
const SLACK: Duration = Duration::days(1);
/// Number of the type "organisation" (X.520).
const ORGANISATION: [u64; 4] = [2, 5, 4, 10];
/// An authority whose rest is shorter is made anew: it has to outlive the leaves that it signs.
pub const AUTHORITY_REST: Duration = Duration::days(400);

/// True when the certificate holds now and for at least `rest` longer.
pub fn holds(pem: &str, rest: Duration, now: OffsetDateTime) -> bool {
    let Ok((_, block)) = x509_parser::pem::parse_x509_pem(pem.as_bytes()) else { return false };
    let Ok(certificate) = block.parse_x509() else { return false };
    let validity = certificate.validity();
    validity.not_before.timestamp() <= now.unix_timestamp() && validity.not_after.timestamp() > (now + rest).unix_timestamp()
}

/// What must be left of a leaf's life: a third.
pub fn leaf_rest(life: Duration) -> Duration {
    Duration::seconds(life.whole_seconds() / 3)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError + '_ {
    |source| PkiError::File { path: path.to_path_buf(), source }
}

/// The authority `name` in `dir`, if its files are whole and it holds now and longer than its leaves.
pub fn existing(dir: &Path, name: &str, now: OffsetDateTime) -> Option<Authority> {
    let at = |ending: &str| dir.join(format!("{name}.{ending}"));
    let (pem, key_pem) = (std::fs::read_to_string(at("crt")).ok()?, std::fs::read_to_string(at("key")).ok()?);
    let known: Option<Vec<String>> = std::fs::read(at("json")).ok().and_then(|raw| serde_json::from_slice(&raw).ok());
    let whole = known.is_none_or(|known| known == sums(&pem, &key_pem)) && holds(&pem, AUTHORITY_REST, now);
    let issuer = KeyPair::from_pem(&key_pem).and_then(|pair| Issuer::from_ca_cert_pem(&pem, pair)).ok().filter(|_| whole)?;
    Some(Authority { issuer, pem })
}

/// False when certificate or key of `name` in `dir` are not what was written there; an authority may have no record of that.
pub fn is_whole(dir: &Path, name: &str) -> bool {
    let text = |ending: &str| std::fs::read_to_string(dir.join(format!("{name}.{ending}")));
    let (Ok(pem), Ok(key_pem)) = (text("crt"), text("key")) else { return false };
    let known: Option<serde_json::Value> = text("json").ok().and_then(|raw| serde_json::from_str(&raw).ok());
    let known = known.and_then(|record| serde_json::from_value::<Vec<String>>(if record.is_array() { record } else { record["sums"].clone() }).ok());
    known.is_none_or(|known| known == sums(&pem, &key_pem))
}

/// Reads the authority `name` in `dir`, or makes it, valid for ten years. Key first, then certificate: a cut between
/// the two leaves a key without certificate, which the next call replaces. One whose files were damaged is made anew: what it
/// signed is then issued again, because its fingerprint differs. So is one that begins later than now, because it was made under a
/// wrong clock, and one whose rest is too short for its leaves.
pub fn authority(dir: &Path, name: &str, cn: &str, now: OffsetDateTime) -> Result<Authority, PkiError> {
    let (crt, key, record) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")), dir.join(format!("{name}.json")));
    let recorded = |pem: &str, key_pem: &str| files::replace(&record, &serde_json::to_vec(&sums(pem, key_pem)).expect("plain data"), 0o644).map_err(io(&record));
    if let Some(there) = existing(dir, name, now) {
        if !record.exists() {
            // Cut off before the last file: without it damage would not be seen.
            recorded(&there.pem, &std::fs::read_to_string(&key).map_err(io(&key))?)?;
        }
        return Ok(there);
    }
    if crt.exists() {
        tracing::warn!(authority = name, "an authority's files are damaged, or it does not hold at this time: it is made anew, with all that it signed");
    }
    drop(std::fs::remove_file(&crt));
    drop(std::fs::remove_file(&record));
    let wrong = |source| PkiError::Certificate { name: name.into(), source };
    let pair = KeyPair::generate().map_err(wrong)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, cn);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (now - SLACK, now + Duration::days(3650));
    let pem = params.self_signed(&pair).map_err(wrong)?.pem();
    let key_pem = pair.serialize_pem();
    files::replace(&key, key_pem.as_bytes(), 0o600).map_err(io(&key))?;
    files::replace(&crt, pem.as_bytes(), 0o644).map_err(io(&crt))?;
    recorded(&pem, &key_pem)?;
    Ok(Authority { issuer: Issuer::new(params, pair), pem })
}

/// What was issued, beside the files, so that a later start can see whether it still fits.
#[derive(PartialEq, Serialize, Deserialize)]
struct Issued {
    leaf: Leaf,
    authority: String,
    /// Sums of certificate and key, so that damage is seen.
    #[serde(default)]
    sums: Vec<String>,
}

fn named(leaf: &Leaf) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, leaf.cn.as_str());
    // rcgen keeps one value a type: the second organisation goes in by its number.
    let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANISATION.into())];
    assert!(leaf.orgs.len() <= types.len(), "a certificate names two groups at most");
    for (ty, org) in types.into_iter().zip(&leaf.orgs) {
        name.push(ty, org.as_str());
    }
    name
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
            let whole = |pem: String| holds(&pem, leaf_rest(life), now) && std::fs::read_to_string(&key).is_ok_and(|key_pem| old.sums == sums(&pem, &key_pem));
            old.leaf == *leaf && old.authority == self.fingerprint() && std::fs::read_to_string(&crt).is_ok_and(whole)
        });
        if fits {
            return Ok(false);
        }
        let (pem, key_pem) = self.issue(leaf, life, now)?;
        drop(std::fs::remove_file(&record));
        files::replace(&key, key_pem.as_bytes(), 0o600).map_err(io(&key))?;
        files::replace(&crt, pem.as_bytes(), 0o644).map_err(io(&crt))?;
        let issued = Issued { leaf: leaf.clone(), authority: self.fingerprint(), sums: sums(&pem, &key_pem) };
        files::replace(&record, &serde_json::to_vec(&issued).expect("plain data"), 0o644).map_err(io(&record))?;
        Ok(true)
    }

    fn fingerprint(&self) -> String {
        sum(&self.pem)
    }

    /// Signs a leaf and keeps nothing of it; certificate and key, PEM.
    pub fn issue(&self, leaf: &Leaf, life: Duration, now: OffsetDateTime) -> Result<(String, String), PkiError> {
        let wrong = |source| PkiError::Certificate { name: leaf.file.clone(), source };
        let pair = KeyPair::generate().map_err(wrong)?;
        let mut params = CertificateParams::new(leaf.sans.clone()).map_err(wrong)?;
        params.distinguished_name = named(leaf);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        if leaf.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if leaf.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        (params.not_before, params.not_after) = (now - SLACK, now + life);
        let signed = params.signed_by(&pair, &self.issuer).map_err(wrong)?;
        Ok((signed.pem(), pair.serialize_pem()))
    }
}
