//! Brings a stream to the disk while it is still being decoded: decoding and checking on the caller's thread, writing on a
//! second, and the disk kept busy by a third, so that the last sync finds little left to do.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const PIECE: usize = 1 << 20;
/// Pieces that may wait between decoding and writing.
const WAITING: usize = 8;
/// Bytes after which the disk is told to begin.
const BURST: u64 = 32 << 20;

/// Copies all of `reader` into `file` and syncs it; `progress` hears the bytes of each piece. The first error ends it: an error
/// of the reader is told before one that the file met meanwhile.
pub(super) fn copy(reader: &mut dyn Read, file: &File, progress: &mut dyn FnMut(u64)) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let (pieces, waiting) = sync_channel(WAITING);
        let writer = scope.spawn(move || write(file, &waiting));
        let decoded = decode(reader, &pieces, progress);
        drop(pieces);
        let written = writer.join().unwrap_or_else(|_| Err(std::io::Error::other("the writing thread panicked")));
        decoded.and(written)
    })?;
    file.sync_all()
}

/// Ends early and without an error when the writer is gone: then the writer has one.
fn decode(reader: &mut dyn Read, pieces: &SyncSender<Vec<u8>>, progress: &mut dyn FnMut(u64)) -> std::io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let n = reader.take(PIECE as u64).read_to_end(&mut piece)? as u64;
        if n == 0 || pieces.send(piece).is_err() {
            return Ok(());
        }
        progress(n);
    }
}

fn write(mut file: &File, pieces: &Receiver<Vec<u8>>) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let (begin, asked) = sync_channel::<()>(1);
        let disk = scope.spawn(move || asked.iter().try_for_each(|()| file.sync_data()));
        let mut since = 0;
        let written = pieces.iter().try_for_each(|piece| {
            since += piece.len() as u64;
            if since >= BURST {
                since = 0;
                // One that is still busy takes this part with its next.
                begin.try_send(()).ok();
            }
            file.write_all(&piece)
        });
        drop(begin);
        written.and(disk.join().unwrap_or_else(|_| Err(std::io::Error::other("the syncing thread panicked"))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Seek};

    #[test]
    fn everything_arrives_in_order_and_is_told() {
        let want: Vec<u8> = (0..(BURST as u32 / 4 + 300_000)).flat_map(u32::to_le_bytes).collect();
        let (mut file, mut told) = (tempfile::tempfile().unwrap(), 0);
        copy(&mut Cursor::new(&want), &file, &mut |n| told += n).unwrap();
        let mut got = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut got).unwrap();
        assert!(got == want, "the copy differs");
        assert_eq!(told, want.len() as u64);
    }

    #[test]
    fn an_error_of_either_side_ends_the_copy_and_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "damaged"))
            }
        }
        let file = tempfile::tempfile().unwrap();
        let mut some_then_broken = Cursor::new(vec![1; 3 * PIECE]).chain(Broken);
        assert_eq!(copy(&mut some_then_broken, &file, &mut |_| {}).unwrap_err().to_string(), "damaged");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = copy(&mut Cursor::new(vec![1; 64 * PIECE]), &full, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}
