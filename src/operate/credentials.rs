//! Credentials that are made once on this host and kept: they outlive a rebuilt cluster, as the data does.

use crate::config::layout::Layout;
use crate::files;
use crate::manifests::Credentials;
use crate::status::Problem;
use rand::Rng;
use std::path::Path;

/// Reads the node's credentials, and makes what is missing.
pub fn credentials(layout: &Layout) -> Result<Credentials, Problem> {
    let path = layout.data.join("secrets").join("postgres-password");
    let postgres_password = kept(&path).map_err(|e| {
        Problem::new("OPR-101", format!("{} cannot be read or written", path.display()), e.to_string(), "See that the data root is whole and writable.")
    })?;
    Ok(Credentials { postgres_password })
}

/// The content of `path`, made at random where there is none; only root can read it.
fn kept(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_string()),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let made: String = rand::rngs::OsRng.sample_iter(rand::distributions::Alphanumeric).take(32).map(char::from).collect();
    files::replace(path, made.as_bytes(), 0o600)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_is_made_once_kept_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let first = credentials(&layout).unwrap().postgres_password;
        assert_eq!(first.len(), 32);
        assert_eq!(credentials(&layout).unwrap().postgres_password, first);
        let mode = std::fs::metadata(dir.path().join("secrets/postgres-password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_unusable_place_is_a_problem_with_a_code() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secrets"), "in the way").unwrap();
        assert_eq!(credentials(&Layout::new(dir.path())).err().unwrap().code, "OPR-101");
    }
}
