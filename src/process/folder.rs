//! Hears of files that come and go in a folder, as the kernel tells it.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A folder that is listened to.
pub struct Folder {
    events: AsyncFd<Events>,
}

impl Folder {
    /// Listens from now on; the folder has to exist. Needs a tokio runtime.
    pub fn listen(path: &Path) -> std::io::Result<Folder> {
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let of_files = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_DELETE;
        events.add_watch(path, of_files | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ONLYDIR)?;
        // SAFETY: the descriptor belongs to `Events`, which keeps it open and the same as long as it lives.
        let events = unsafe { AsyncFd::register_with_interest(Events(events), Interest::READABLE) }?;
        Ok(Folder { events })
    }

    /// Returns once a file was written, came or went since the last call; false once the folder itself is no more.
    pub async fn changed(&self) -> bool {
        loop {
            let Ok(mut ready) = self.events.readable().await else { return false };
            match self.events.get_ref().0.read_events() {
                Ok(all) => {
                    let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_UNMOUNT;
                    return !all.iter().any(|e| e.mask.intersects(gone));
                }
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_file_that_comes_or_goes_is_heard_of_and_so_is_the_end_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results");
        assert!(Folder::listen(&path).is_err());
        std::fs::create_dir(&path).unwrap();
        let folder = Folder::listen(&path).unwrap();
        let silent = async |folder: &Folder| tokio::time::timeout(Duration::from_millis(20), folder.changed()).await.is_err();
        assert!(silent(&folder).await);
        std::fs::write(path.join("a"), "1").unwrap();
        assert!(folder.changed().await);
        assert!(silent(&folder).await, "told once");
        std::fs::remove_file(path.join("a")).unwrap();
        assert!(folder.changed().await);
        std::fs::remove_dir(&path).unwrap();
        assert!(!folder.changed().await);
    }
}
