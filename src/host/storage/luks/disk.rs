//! Reads what lies on a disk, and writes the two things that are written to it as a whole: a prepared header, and nothing at all.

use super::Found;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a LUKS2 header takes at the beginning, bytes (cryptsetup's default); as much is looked at and emptied at the end.
pub const AREA: u64 = 16 << 20;
/// Least size of a disk for volumes, bytes.
pub const LEAST: u64 = 2 << 30;
/// What is read and written at once, bytes.
const BLOCK: usize = 1 << 20;
/// The first bytes, which make the rest a header: written last.
const HEAD: usize = 4096;
/// Magic of LUKS 1 and 2, and where both have their name (on-disk format, LUKS2 2.1).
const MAGIC: &[u8] = b"LUKS\xba\xbe";
const NAME: std::ops::Range<usize> = 168..208;

/// The name in a header.
pub fn name(head: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(head.get(NAME)?).ok()?;
    head.starts_with(MAGIC).then(|| Uuid::parse_str(text.trim_end_matches('\0')).ok())?
}

/// Size of a disk or file, bytes.
pub fn size(path: &Path) -> io::Result<u64> {
    File::open(path)?.seek(SeekFrom::End(0))
}

/// What lies on the disk or in the file at `path`. `prepared` is the header that was made for it.
pub fn find(path: &Path, prepared: Option<&[u8]>) -> io::Result<Found> {
    let kind = match std::fs::metadata(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Found::Missing),
        other => other?.file_type(),
    };
    if !kind.is_block_device() && !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a disk nor a file"));
    }
    // The kernel opens a disk for one owner alone only where no mount and no other volume has it.
    let alone = if kind.is_block_device() { nix::libc::O_EXCL } else { 0 };
    let file = match OpenOptions::new().read(true).custom_flags(alone).open(path) {
        Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => return Ok(Found::Busy),
        // A card reader without a card, for one.
        Err(e) if e.raw_os_error() == Some(nix::libc::ENOMEDIUM) => return Ok(Found::Missing),
        other => other?,
    };
    let size = (&file).seek(SeekFrom::End(0))?;
    if size < LEAST {
        return Ok(Found::Small(size));
    }
    content(&file, size, prepared)
}

fn content(file: &File, size: u64, prepared: Option<&[u8]>) -> io::Result<Found> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    if let Some(name) = name(&head) {
        return Ok(Found::Luks(name));
    }
    let (mut blank, mut ours) = (true, true);
    for at in both_ends(size) {
        let mut block = vec![0; BLOCK];
        file.read_exact_at(&mut block, at)?;
        for (n, part) in block.chunks(HEAD).enumerate().filter(|(_, part)| part.iter().any(|b| *b != 0)) {
            let at = at as usize + n * HEAD;
            blank = false;
            ours &= prepared.and_then(|p| p.get(at..at + part.len())).is_some_and(|p| p == part);
        }
    }
    Ok(match (blank, ours) {
        (true, _) => Found::Blank,
        (false, true) => Found::Begun,
        (false, false) => Found::Data,
    })
}

/// Where the blocks of both ends begin. `size` is larger than both.
fn both_ends(size: u64) -> impl Iterator<Item = u64> {
    let blocks = |from: u64| (0..AREA / BLOCK as u64).map(move |n| from + n * BLOCK as u64);
    blocks(0).chain(blocks(size - AREA))
}

/// Writes a prepared header; what makes it one comes last, so that a disk with a header has all of it.
pub fn write_header(path: &Path, header: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&header[HEAD..], HEAD as u64)?;
    file.sync_all()?;
    file.write_all_at(&header[..HEAD], 0)?;
    file.sync_all()
}

/// Makes a disk empty that is ours: without the keys in its header nothing on it can be read, by whomever.
pub fn wipe(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let size = (&file).seek(SeekFrom::End(0))?;
    let zeros = vec![0; BLOCK];
    both_ends(size).try_for_each(|at| file.write_all_at(&zeros, at))?;
    file.sync_all()
}

/// The disk whose header has this name: `first` is looked at first, then every disk that the kernel knows.
pub fn locate(first: &Path, name: Uuid) -> Option<PathBuf> {
    let has = |path: &PathBuf| {
        let mut head = [0; HEAD];
        File::open(path).and_then(|f| f.read_exact_at(&mut head, 0)).is_ok() && self::name(&head) == Some(name)
    };
    let known = std::fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    // What lies on other disks of the kernel (dm-*) would be found a second time.
    let disks = known.filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with("dm-")).map(|n| Path::new("/dev").join(n));
    std::iter::once(first.to_path_buf()).chain(disks).find(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = LEAST + 4096;

    fn empty(dir: &Path) -> (PathBuf, File) {
        let path = dir.join("disk");
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        file.set_len(SIZE).unwrap();
        (path, file)
    }

    fn header() -> Vec<u8> {
        let mut header: Vec<u8> = (0..AREA).map(|n| (n / 511) as u8 | 1).collect();
        header[..6].copy_from_slice(MAGIC);
        header[NAME].fill(0);
        header[168..204].copy_from_slice(Uuid::from_u128(7).to_string().as_bytes());
        header
    }

    #[test]
    fn a_single_byte_at_either_end_is_data() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = empty(dir.path());
        assert_eq!(find(&path, None).unwrap(), Found::Blank);
        for at in [0, 510, 1080, 65_600, AREA - 1, SIZE - AREA, SIZE - 512, SIZE - 1] {
            file.write_all_at(&[1], at).unwrap();
            assert_eq!(find(&path, None).unwrap(), Found::Data, "{at}");
            file.write_all_at(&[0], at).unwrap();
        }
        assert_eq!(find(&path, None).unwrap(), Found::Blank);
        file.set_len(LEAST - 1).unwrap();
        assert_eq!(find(&path, None).unwrap(), Found::Small(LEAST - 1));
        assert_eq!(find(&dir.path().join("none"), None).unwrap(), Found::Missing);
        assert!(find(dir.path(), None).is_err(), "a folder is no disk");
    }

    #[test]
    fn a_header_that_was_half_written_is_known_and_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let ((path, file), header) = (empty(dir.path()), header());
        for written in [HEAD + 1, 3 * BLOCK + 5000, AREA as usize] {
            // As far as a kill let it come; whole pages, as the kernel writes them.
            let end = written.next_multiple_of(HEAD).min(AREA as usize);
            file.write_all_at(&header[HEAD..end], HEAD as u64).unwrap();
            assert_eq!(find(&path, Some(&header)).unwrap(), Found::Begun, "{written}");
            assert_eq!(find(&path, None).unwrap(), Found::Data, "{written}");
        }
        file.write_all_at(&[9], SIZE - 9).unwrap();
        assert_eq!(find(&path, Some(&header)).unwrap(), Found::Data, "somebody else's bytes");
        file.write_all_at(&[0], SIZE - 9).unwrap();
        write_header(&path, &header).unwrap();
        assert_eq!(find(&path, None).unwrap(), Found::Luks(Uuid::from_u128(7)));
        assert_eq!(locate(&path, Uuid::from_u128(7)), Some(path.clone()));
        assert_eq!(locate(&path, Uuid::from_u128(8)), None);
        wipe(&path).unwrap();
        assert_eq!(find(&path, None).unwrap(), Found::Blank);
    }
}
