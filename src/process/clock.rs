//! What the kernel knows of its clock: whether somebody keeps it right, and how far it may be off.

/// Whether the clock is kept right, and by how many seconds it may be off; nothing where the kernel does not tell.
pub fn kept() -> Option<(bool, f64)> {
    // SAFETY: an all-zero timex is valid and asks to change nothing.
    let mut now: nix::libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes into the structure, which lives until the call returns.
    let state = unsafe { nix::libc::adjtimex(&raw mut now) };
    (state >= 0).then(|| (now.status & nix::libc::STA_UNSYNC == 0, now.maxerror as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_clock_is_asked_without_being_set() {
        // Whether it is kept depends on the machine; that it may be asked does not.
        assert!(super::kept().is_none_or(|(_, off)| off >= 0.0));
    }
}
