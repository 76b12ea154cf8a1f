//! Memory that a process holds without need.

/// Lets the kernel take back the pages through which `bytes`, a constant of this program, was read: they are a copy of what the
/// program's file holds and are read from there again when they are wanted. Does nothing where the kernel refuses.
pub fn release(bytes: &'static [u8]) {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |n| n as usize);
    let begin = (bytes.as_ptr() as usize).next_multiple_of(page);
    let end = (bytes.as_ptr() as usize + bytes.len()) / page * page;
    if !is_file_mapping(begin, end) {
        return;
    }
    // SAFETY: the range lies in one private, never written mapping of a file, so that its pages come back with the same bytes.
    let done = nix::errno::Errno::result(unsafe { nix::libc::madvise(begin as *mut _, end - begin, nix::libc::MADV_DONTNEED) });
    if let Err(e) = done {
        tracing::debug!(error = %e, "pages of the program stay in memory");
    }
}

/// Whether `begin..end` lies in one mapping of a file that this process cannot write to.
fn is_file_mapping(begin: usize, end: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    begin < end && maps.lines().any(|line| holds(line, begin, end))
}

/// A line is `from-to perms offset device inode path`.
fn holds(line: &str, begin: usize, end: usize) -> bool {
    let mut fields = line.split_whitespace();
    let (Some(range), Some(perms), Some(path)) = (fields.next(), fields.next(), fields.nth(3)) else { return false };
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let (Some(from), Some(to)) = range.split_once('-').map_or((None, None), |(a, b)| (address(a), address(b))) else { return false };
    path.starts_with('/') && perms.starts_with("r-") && from <= begin && end <= to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mapping_of_a_file_that_nobody_writes_to_is_let_go() {
        let line = "7f0000000000-7f0000010000 r--p 00001000 fe:00 42 /usr/bin/antihate";
        assert!(holds(line, 0x7f00_0000_1000, 0x7f00_0000_2000));
        assert!(!holds(line, 0x7f00_0000_1000, 0x7f00_0001_1000), "it reaches beyond");
        assert!(!holds(&line.replace("r--p", "rw-p"), 0x7f00_0000_1000, 0x7f00_0000_2000));
        assert!(!holds("7f0000000000-7f0000010000 r--p 00000000 00:00 0", 0x7f00_0000_1000, 0x7f00_0000_2000), "memory of its own");
    }

    #[test]
    fn a_constant_reads_the_same_after_it_was_let_go() {
        static LARGE: [u8; 1 << 16] = [7; 1 << 16];
        release(&LARGE);
        assert!(LARGE.iter().all(|b| *b == 7));
    }
}
