//! Does what was decided: with the payload's `cryptsetup` and `mke2fs`, each step so that a kill before or after it does no harm.

use super::disk;
use super::{Facts, Found, Record, State, Step, Wish, decide, no_key};
use crate::config::layout::Layout;
use crate::files;
use crate::host::storage::{Place, encryption, place};
use crate::host::survey;
use crate::process::{mounts, once};
use crate::status::Problem;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Bytes of the key: both halves of AES-256-XTS twice over.
const KEY: usize = 64;
/// No program here takes so long, on whatever disk.
const LIMIT: Duration = Duration::from_secs(600);
/// What used the volumes may take so long to let go of them.
const CLOSING: Duration = Duration::from_secs(20);

fn key_file(layout: &Layout) -> PathBuf {
    layout.data.join("secrets/volumes.key")
}

fn header_file(layout: &Layout) -> PathBuf {
    layout.data.join("encrypted.header")
}

/// Name of the opened disk among the kernel's.
fn name(layout: &Layout) -> String {
    format!("{}-volumes", layout.cgroup())
}

fn opened(layout: &Layout) -> PathBuf {
    Path::new("/dev/mapper").join(name(layout))
}

fn failed(what: &str, cause: impl std::fmt::Display) -> Problem {
    Problem::new("STG-115", what, cause.to_string(), "See that the disk is whole (`dmesg` tells of its errors); it is tried again.")
}

/// Runs one of the payload's programs; the outcome says whether it worked.
fn run(layout: &Layout, program: &str, args: &[&str]) -> Result<once::Outcome, Problem> {
    // Nodes below /dev/mapper are made by the program itself: a host's udev without rules for it would be waited for without end.
    let env = [("DM_DISABLE_UDEV".to_string(), "1".to_string())];
    once::answer(&layout.current().join(program), program, args, &env, LIMIT).map_err(|e| failed(&format!("{program} cannot be run"), e))
}

fn must(layout: &Layout, what: &str, program: &str, args: &[&str]) -> Result<(), Problem> {
    let outcome = run(layout, program, args)?;
    if outcome.ok { Ok(()) } else { Err(failed(what, outcome.stderr)) }
}

fn text(path: &Path) -> Result<&str, Problem> {
    path.to_str().ok_or_else(|| failed("a name cannot be used", format!("{} is not text", path.display())))
}

fn is_mounted(layout: &Layout) -> bool {
    // The kernel names the place without links on the way to it.
    std::fs::canonicalize(layout.encrypted()).is_ok_and(|point| mounts::now(&point).contains(&point))
}

/// Reads everything that the decision depends on; nothing is written.
pub fn look(layout: &Layout, wish: &Wish) -> Result<Facts, Problem> {
    let record = Record::load(layout)?;
    // One that holds posts is found under any name; until then the settings may be changed.
    let on = record.as_ref().filter(|r| r.ready).and_then(|r| disk::locate(&wish.on, r.uuid)).unwrap_or_else(|| wish.on.clone());
    let prepared = record.as_ref().filter(|r| !r.ready).and_then(|_| std::fs::read(header_file(layout)).ok());
    let found = disk::find(&on, prepared.as_deref()).map_err(|e| failed(&format!("{} cannot be read", on.display()), e))?;
    let state = if is_mounted(layout) {
        State::Mounted
    } else if opened(layout).exists() {
        State::Open
    } else {
        State::Closed
    };
    let elsewhere = match place(layout) {
        Place::Empty => false,
        Place::Folder => true,
        Place::Link(target, _) => !target.starts_with(layout.encrypted()),
    };
    Ok(Facts { key: key_file(layout).is_file(), dm_crypt: encryption::has_dm_crypt(Path::new("/")), record, on, found, state, elsewhere })
}

/// Says whether what is wished for, or that nothing is, fits what is there; nothing is written. Blocks.
pub fn judge(layout: &Layout, wish: Option<&Wish>) -> Result<(), Problem> {
    match (wish, Record::load(layout)?) {
        (None, None) => Ok(()),
        (None, Some(record)) => decide(None, &look(layout, &Wish { on: record.on, size: None })?).map(drop),
        (Some(wish), _) => decide(Some(wish), &look(layout, wish)?).map(drop),
    }
}

/// Brings the encrypted disk up; returns whether something was to be done. Blocks.
pub fn ensure(layout: &Layout, wish: &Wish) -> Result<bool, Problem> {
    let facts = look(layout, wish)?;
    let step = decide(Some(wish), &facts)?;
    match step {
        Step::Go => return Ok(false),
        Step::Mount => {}
        Step::Open => open(layout, &facts.on)?,
        Step::Format => format(layout, wish, &facts)?,
    }
    mount_it(layout)?;
    // Of no use any more, and a copy of it would keep opening the disk if its key were changed.
    drop(std::fs::remove_file(header_file(layout)));
    tracing::info!(disk = %facts.on.display(), "the encrypted disk of the volumes is open");
    Ok(true)
}

fn format(layout: &Layout, wish: &Wish, facts: &Facts) -> Result<(), Problem> {
    let begun = facts.record.clone().filter(|_| facts.key && header_file(layout).is_file());
    let record = match begun {
        Some(record) => {
            // Killed somewhere in between: from the header on once more. Nobody had anything on it.
            close(layout)?;
            record
        }
        None => begin(layout, wish)?,
    };
    tracing::info!(disk = %wish.on.display(), "an empty disk is formatted for the volumes, encrypted");
    let header = std::fs::read(header_file(layout)).map_err(|e| failed("the prepared header cannot be read", e))?;
    disk::write_header(&facts.on, &header).map_err(|e| failed(&format!("{} cannot be written", facts.on.display()), e))?;
    open(layout, &facts.on)?;
    let device = opened(layout);
    must(layout, "no file system can be made on the encrypted disk", "mke2fs", &["-q", "-F", "-t", "ext4", "-L", "antihate", "-m", "1", text(&device)?])?;
    let ready = Record { on: wish.on.clone(), ready: true, ..record };
    ready.save(layout).map_err(|e| failed("what was done cannot be written down", e))
}

/// Everything that is made before the disk is touched: the file where there is to be one, key, header, record.
fn begin(layout: &Layout, wish: &Wish) -> Result<Record, Problem> {
    if let Some(size) = wish.size {
        reserve(&wish.on, size).map_err(|e| failed(&format!("{} cannot be made", wish.on.display()), e))?;
    }
    let key: [u8; KEY] = std::array::from_fn(|_| rand::random());
    files::replace(&key_file(layout), &key, 0o600).map_err(|e| failed("the key cannot be written", e))?;
    let record = Record { on: wish.on.clone(), uuid: Uuid::new_v4(), ready: false };
    prepare(layout, &record)?;
    record.save(layout).map_err(|e| failed("what is to be done cannot be written down", e))?;
    Ok(record)
}

/// A file of that size, all of it reserved: a disk that fills up otherwise must not look like a broken one to the volumes.
fn reserve(path: &Path, size: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let length = i64::try_from(size).map_err(std::io::Error::other)?;
    let done = nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, length);
    done.map_err(|e| std::io::Error::from(e)).and_then(|()| file.sync_all()).inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// Makes the header in a file. The key has all of its 512 bits, so that the slow derivation for pass phrases gains nothing.
fn prepare(layout: &Layout, record: &Record) -> Result<(), Problem> {
    let io = |e: std::io::Error| failed("the header cannot be prepared", e);
    let temp = tempfile::Builder::new().prefix(".tmp-").tempfile_in(&layout.data).map_err(io)?;
    temp.as_file().set_len(2 * disk::AREA).map_err(io)?;
    let (key, uuid) = (key_file(layout), record.uuid.to_string());
    let args = ["luksFormat", "--batch-mode", "--type", "luks2", "--uuid", &uuid, "--label", "antihate", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", text(&key)?, text(temp.path())?];
    must(layout, "the header cannot be prepared", "cryptsetup", &args)?;
    let whole = std::fs::read(temp.path()).map_err(io)?;
    files::replace(&header_file(layout), &whole[..disk::AREA as usize], 0o600).map_err(io)
}

fn open(layout: &Layout, on: &Path) -> Result<(), Problem> {
    if on.is_file() {
        survey::awaken_loop();
    }
    let (key, name) = (key_file(layout), name(layout));
    let outcome = run(layout, "cryptsetup", &["open", "--type", "luks2", "--key-file", text(&key)?, text(on)?, &name])?;
    if outcome.ok {
        return Ok(());
    }
    // Whether the key fits can be asked without opening anything.
    let fits = run(layout, "cryptsetup", &["open", "--test-passphrase", "--type", "luks2", "--key-file", text(&key)?, text(on)?])?;
    Err(if fits.ok { failed("the encrypted disk cannot be opened", outcome.stderr) } else { no_key("the key does not open the encrypted volumes", &fits.stderr) })
}

fn mount_it(layout: &Layout) -> Result<(), Problem> {
    let (device, point) = (opened(layout), layout.encrypted());
    let made = std::fs::create_dir_all(&point).map_err(|e| failed("the place of the encrypted volumes cannot be made", e));
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    made.and_then(|()| mount(Some(&device), &point, Some("ext4"), flags, None::<&str>).map_err(|e| failed("the encrypted disk cannot be mounted", e)))
}

/// Unmounts and closes it; what is closed already stays so. Blocks.
pub fn close(layout: &Layout) -> Result<(), Problem> {
    let (point, deadline) = (layout.encrypted(), Instant::now() + CLOSING);
    let stays = |cause: String| Problem::new("STG-117", "the encrypted volumes stay open", cause, "End what uses them (`fuser -m` names it), then `antihate stop` again; a restart of the host closes them, too.");
    while is_mounted(layout) {
        match umount2(&point, MntFlags::UMOUNT_NOFOLLOW) {
            Err(e) if e != Errno::EBUSY || Instant::now() > deadline => return Err(stays(format!("{}: {e}", point.display()))),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
            Ok(()) => {}
        }
    }
    while opened(layout).exists() {
        let outcome = run(layout, "cryptsetup", &["close", &name(layout)])?;
        if !outcome.ok && Instant::now() > deadline {
            return Err(stays(outcome.stderr));
        }
        if !outcome.ok {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(())
}

/// Closes it and makes the disk empty again; a file goes. Without key and header nobody can read what was on it, and a disk that
/// is away has lost its key. Blocks.
pub fn erase(layout: &Layout) -> Result<(), Problem> {
    let Some(record) = Record::load(layout)? else { return Ok(()) };
    close(layout)?;
    let prepared = std::fs::read(header_file(layout)).ok();
    let on = disk::locate(&record.on, record.uuid).unwrap_or_else(|| record.on.clone());
    let wrong = |e: std::io::Error| failed(&format!("{} cannot be emptied", on.display()), e);
    let ours = match disk::find(&on, prepared.as_deref()) {
        Ok(Found::Luks(uuid)) => uuid == record.uuid,
        Ok(Found::Begun) => true,
        // Reset once before, and killed since.
        Ok(Found::Blank) => on.is_file(),
        Ok(_) => false,
        Err(e) => return Err(wrong(e)),
    };
    if ours && on.is_file() {
        std::fs::remove_file(&on).map_err(wrong)?;
    } else if ours {
        disk::wipe(&on).map_err(wrong)?;
    } else {
        tracing::warn!(disk = %on.display(), "the encrypted disk is away: its key goes, so that nobody can read it");
    }
    for file in [key_file(layout), header_file(layout), Record::file(layout)] {
        drop(std::fs::remove_file(file));
    }
    Ok(())
}
