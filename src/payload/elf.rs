//! Where an ELF file ends by its own headers, so that what follows is known to be packs and a cut tail is noticed.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The first byte behind the ELF image, or `None` when the file is not a 64-bit little-endian ELF. It lies behind the
/// end of the file when the ELF itself is cut off.
pub fn end(file: &File) -> std::io::Result<Option<u64>> {
    let mut head = [0u8; 64];
    if file.read_exact_at(&mut head, 0).is_err() || &head[..6] != b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let (segments, segment_size, segment_count) = (u64_at(&head, 32), u16_at(&head, 54), u16_at(&head, 56));
    let (sections, section_size, section_count) = (u64_at(&head, 40), u16_at(&head, 58), u16_at(&head, 60));
    let mut end = sections.saturating_add(section_size * section_count);
    let tables = end.max(segments.saturating_add(segment_size * segment_count));
    if tables > file.metadata()?.len() {
        return Ok(Some(tables)); // cut off: the caller sees that it ends behind the file
    }
    for i in 0..segment_count {
        let mut one = [0u8; 56];
        file.read_exact_at(&mut one, segments.saturating_add(i * segment_size))?;
        end = end.max(u64_at(&one, 8).saturating_add(u64_at(&one, 32)));
    }
    for i in 0..section_count {
        let mut one = [0u8; 64];
        file.read_exact_at(&mut one, sections.saturating_add(i * section_size))?;
        const NOBITS: u32 = 8; // takes no room in the file
        let kind = u32::from_le_bytes(one[4..8].try_into().expect("4 bytes"));
        if kind != NOBITS {
            end = end.max(u64_at(&one, 24).saturating_add(u64_at(&one, 32)));
        }
    }
    Ok(Some(end))
}

fn u64_at(raw: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(raw[at..at + 8].try_into().expect("8 bytes"))
}

fn u16_at(raw: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes(raw[at..at + 2].try_into().expect("2 bytes")))
}
