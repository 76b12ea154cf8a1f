//! The arguments `--k3s` and `--k3s-sha256`, common to the commands that look at an operator's k3s binary.

use crate::config::Valid;
use crate::host::k3s::binary::Wish;
use std::path::PathBuf;

/// Which k3s binary, if any.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct K3sArg {
    /// A k3s binary that runs Kubernetes instead of the embedded distribution; without it, that of settings.toml, then what the node was made with.
    #[arg(long, value_name = "FILE")]
    k3s: Option<PathBuf>,
    /// The SHA-256 sum that the k3s binary must have.
    #[arg(long, value_name = "SUM", value_parser = sum)]
    k3s_sha256: Option<String>,
}

fn sum(text: &str) -> Result<String, String> {
    let good = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    if good { Ok(text.to_ascii_lowercase()) } else { Err("a SHA-256 sum is 64 hexadecimal digits".into()) }
}

impl K3sArg {
    /// The command line's words over those of the settings. A sum belongs to the file that stands beside it.
    pub fn wish(&self, settings: &Valid) -> std::io::Result<Wish> {
        let given = self.k3s.as_ref().map(std::path::absolute).transpose()?;
        let set = given.is_none().then(|| settings.k3s_sha256.clone()).flatten();
        Ok(Wish { file: given.or_else(|| settings.k3s.clone()), sha256: self.k3s_sha256.clone().or(set) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_the_settings_does_not_hold_for_another_file_of_the_command_line() {
        let text = format!("k3s = \"/opt/k3s\"\nk3s_sha256 = \"{}\"\n", "a".repeat(64));
        let settings = Valid::parse(&text).unwrap();
        let none = K3sArg::default().wish(&settings).unwrap();
        assert_eq!((none.file, none.sha256), (Some("/opt/k3s".into()), Some("a".repeat(64))));
        let other = K3sArg { k3s: Some("/tmp/k3s".into()), k3s_sha256: None }.wish(&settings).unwrap();
        assert_eq!((other.file, other.sha256), (Some("/tmp/k3s".into()), None));
        let named = K3sArg { k3s: None, k3s_sha256: Some("b".repeat(64)) }.wish(&settings).unwrap();
        assert_eq!(named.sha256, Some("b".repeat(64)));
        assert!(sum("abc").is_err());
    }
}
