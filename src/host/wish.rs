//! The settings file while the node runs: what a person, the setup or `antihate setup` writes into it is taken up within seconds.
//!
//! Only what the stack does can be taken up: languages, sources, retention, the analyzer, the sample site. What is decided when the
//! process starts (name, geography, volumes, network, the name on the local network, the Kubernetes) stays as it is until the next start. A file that is not understood changes
//! nothing and is logged once.

use crate::config::{Resolved, Valid, load};
use crate::files;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(1);

/// What is wanted now, from what was wanted and what the file says; `sample` is what the command line asks for besides.
pub fn wanted(before: &Resolved, file: Valid, sample: bool) -> Resolved {
    let (old, mut new) = (before.settings.clone().into_inner(), file.into_inner());
    new.sample |= sample;
    (new.node, new.storage, new.network, new.page) = (old.node, old.storage, old.network, old.page);
    (new.k3s, new.k3s_sha256) = (old.k3s, old.k3s_sha256);
    // Both halves were checked; the few rules that join them concern only what was kept.
    Valid::check(new).map_or_else(|_| before.clone(), |settings| Resolved { settings, ..before.clone() })
}

/// Follows the file for ever.
pub async fn follow(path: PathBuf, wish: watch::Sender<Resolved>, sample: bool) {
    follow_each(LOOK, path, wish, sample).await;
}

async fn follow_each(look: Duration, path: PathBuf, wish: watch::Sender<Resolved>, sample: bool) {
    let mut seen = None; // what was written since the process read it must not be missed
    loop {
        tokio::time::sleep(look).await;
        let now = files::version(&path).ok().flatten();
        if now == seen {
            continue;
        }
        seen = now;
        match load(&path) {
            Ok(file) => take(&wish, file, sample),
            Err(problem) => tracing::warn!(problem = %problem.render(), "the changed settings are not taken up"),
        }
    }
}

fn take(wish: &watch::Sender<Resolved>, file: Valid, sample: bool) {
    let changed = wish.send_if_modified(|before| {
        let after = wanted(before, file, sample);
        let differs = after != *before;
        *before = after;
        differs
    });
    if changed {
        tracing::info!("the changed settings are taken up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostFacts;

    fn before() -> Resolved {
        let text = "retention_days = 90\n[node]\nname = \"leaf-1\"\ngeography = \"Here\"\n[storage]\nfolder = \"/srv/disk\"\n";
        Resolved::new(Valid::parse(text).expect("valid"), HostFacts::example())
    }

    #[test]
    fn what_the_stack_does_is_taken_up_and_what_the_start_decides_stays() {
        let file = Valid::parse("retention_days = 7\nlanguages = [\"de\"]\n[node]\nname = \"other\"\n[network]\nstack = \"dual\"\n").expect("valid");
        let after = wanted(&before(), file, false);
        assert_eq!((after.settings.retention_days, after.settings.languages.as_slice()), (7, ["de".to_owned()].as_slice()));
        assert_eq!((after.node_name().as_str(), &after.settings.storage, after.stack), ("leaf-1", &before().settings.storage, before().stack));
    }

    #[test]
    fn the_sample_site_of_the_command_line_stays() {
        assert!(wanted(&before(), Valid::default(), true).settings.sample);
        assert!(!wanted(&before(), Valid::default(), false).settings.sample);
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_up_and_a_damaged_one_is_not() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("settings.toml");
        let (wish, seen) = watch::channel(before());
        let following = follow_each(Duration::from_millis(10), path.clone(), wish, false);
        let writing = async {
            for (text, days) in [("retention_days = 7", 7), ("retention_days = ", 7), ("retention_days = 8", 8)] {
                crate::files::replace(&path, text.as_bytes(), 0o600).expect("written");
                let taken = async { while seen.borrow().settings.retention_days != days { tokio::time::sleep(Duration::from_millis(5)).await } };
                tokio::time::timeout(Duration::from_secs(20), taken).await.unwrap_or_else(|_| panic!("{text}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(seen.borrow().settings.retention_days, days, "{text}");
            }
        };
        tokio::select! { () = following => unreachable!("it does not end"), () = writing => {} }
    }
}
