//! Brings the payload's images into containerd, once: what is there with the right digest is left alone.

use super::settings::Settings;
use crate::payload::{PackError, Payload, image_names, write_layout};
use crate::process::once;
use crate::process::supervisor::MARK;
use crate::status::Problem;
use std::collections::BTreeMap;
use std::io::BufWriter;

/// Label by which containerd's CRI keeps an image from being collected.
const PINNED: &str = "io.cri-containerd.pinned=pinned";

fn ctr(s: &Settings, args: &[&str], feed: impl FnOnce(&mut dyn std::io::Write) -> Result<(), PackError>) -> Result<Vec<u8>, Problem> {
    let ctr = s.distribution.ctr(s);
    let all: Vec<&str> = ctr.first.iter().map(String::as_str).chain(args.iter().copied()).collect();
    let mut env = vec![("PATH".to_string(), s.path()), (MARK.to_string(), s.layout.data.display().to_string())];
    env.extend(s.distribution.environment(&s.layout).into_iter().map(|(name, value)| (name.to_string(), value)));
    let failed = |cause: String| Problem::new("IMG-201", format!("containerd refused `{}`", args.join(" ")), cause, "read `antihate logs containerd`; it is tried again");
    let (outcome, fed) = once::run(&ctr.program, ctr.name, &all, &env, feed).map_err(|e| failed(e.to_string()))?;
    match (outcome.ok, fed) {
        (true, Ok(())) => Ok(outcome.stdout),
        // When the reader has ended, its own words say more than our broken pipe.
        (false, _) if !outcome.stderr.is_empty() => Err(failed(outcome.stderr)),
        (_, Err(e)) => Err(e.problem()),
        (false, Ok(())) => Err(failed("it said nothing".into())),
    }
}

/// Names and digests in the listing of `ctr images ls`.
fn listed(listing: &str) -> BTreeMap<String, (String, bool)> {
    let rows = listing.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>()).filter(|f| f.len() >= 3);
    rows.map(|f| (f[0].to_string(), (f[2].to_string(), f.iter().any(|x| x.contains(PINNED))))).collect()
}

/// What is wanted and not there, or there with another digest.
fn missing(wanted: &[(String, String)], there: &BTreeMap<String, (String, bool)>) -> Vec<String> {
    wanted.iter().filter(|(name, digest)| there.get(name).is_none_or(|(d, _)| d != digest)).map(|(name, _)| name.clone()).collect()
}

fn present(s: &Settings) -> Result<BTreeMap<String, (String, bool)>, Problem> {
    let listing = ctr(s, &["images", "ls"], |_| Ok(()))?;
    Ok(listed(&String::from_utf8_lossy(&listing)))
}

/// Imports what is missing, pins everything, and returns the names of what was imported; blocks.
/// `progress` hears the bytes sent so far.
pub fn import(s: &Settings, payload: &Payload, progress: &mut dyn FnMut(u64)) -> Result<Vec<String>, Problem> {
    let wanted = image_names(payload);
    let lacking = missing(&wanted, &present(s)?);
    if !lacking.is_empty() {
        ctr(s, &["images", "import", "-"], |pipe| {
            let mut out = BufWriter::with_capacity(1 << 20, pipe);
            write_layout(payload, &|name| lacking.iter().any(|l| l == name), &mut out, progress).map(drop)
        })?;
    }
    let there = present(s)?;
    let still = missing(&wanted, &there);
    if !still.is_empty() {
        return Err(Problem::new("IMG-202", "images are missing after the import", still.join(", "), "read `antihate logs containerd`; it is tried again"));
    }
    for (name, (_, pinned)) in there.iter().filter(|(name, _)| wanted.iter().any(|(w, _)| w == *name)) {
        if !pinned {
            ctr(s, &["images", "label", name, PINNED], |_| Ok(()))?;
        }
    }
    Ok(lacking)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "REF TYPE DIGEST SIZE PLATFORMS LABELS\na.local/x:1 application/vnd.oci.image.manifest.v1+json sha256:aa 1.0 MiB linux/amd64 io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned\na.local/y:1 t sha256:bb 1 KiB linux/amd64 -\n";

    #[test]
    fn an_image_with_another_digest_counts_as_missing() {
        let there = listed(LISTING);
        let wanted = |d: &str| vec![("a.local/x:1".to_string(), "sha256:aa".to_string()), ("a.local/y:1".to_string(), d.to_string())];
        assert!(missing(&wanted("sha256:bb"), &there).is_empty());
        assert_eq!(missing(&wanted("sha256:cc"), &there), ["a.local/y:1"]);
        assert!(there["a.local/x:1"].1 && !there["a.local/y:1"].1);
    }
}
