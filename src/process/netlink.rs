//! What is asked of the kernel's network side without any program on the host: does it know nftables, is a link there, and
//! away with a bridge.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt};
use std::os::fd::AsRawFd;

/// `nlmsghdr` and `nfgenmsg` of a request for the generation of the nftables rule set (subsystem 10, message 16).
fn generation_request() -> [u8; 20] {
    let mut request = [0u8; 20];
    request[0..4].copy_from_slice(&20u32.to_ne_bytes());
    request[4..6].copy_from_slice(&((10u16 << 8) | 16).to_ne_bytes());
    request[6..8].copy_from_slice(&1u16.to_ne_bytes()); // a request
    request[8..12].copy_from_slice(&1u32.to_ne_bytes());
    request
}

/// Whether the kernel answers an nftables request; `None` where it could not be asked.
pub fn nftables() -> Option<bool> {
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter).ok()?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &nix::sys::time::TimeVal::new(2, 0)).ok()?;
    send(fd.as_raw_fd(), &generation_request(), MsgFlags::empty()).ok()?;
    let mut answer = [0u8; 256];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
    // Message 15 of the same subsystem is the answer; anything else is a refusal.
    Some(length >= 6 && u16::from_ne_bytes([answer[4], answer[5]]) == (10 << 8) | 15)
}

/// The kernel's numbers for "set a link's flags" and "remove a bridge" (linux/sockios.h).
const SIOCSIFFLAGS: u64 = 0x8914;
const SIOCBRDELBR: u64 = 0x89a1;

/// Whether a link of this name is there.
pub fn exists(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// Takes the bridge `name` down and removes it; one that is not there is no error.
pub fn remove_bridge(name: &str) -> nix::Result<()> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: an all-zero ifreq is valid; the name fits with its final zero, which is asserted.
    let mut request: nix::libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "a link's name has at most 15 bytes");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as nix::libc::c_char;
    }
    let ask = |number: u64, argument: *const nix::libc::c_void| {
        // SAFETY: the argument points into the request, which lives until the call returns.
        nix::errno::Errno::result(unsafe { nix::libc::ioctl(fd.as_raw_fd(), number as _, argument) })
    };
    let down = ask(SIOCSIFFLAGS, (&raw const request).cast());
    match down.and_then(|_| ask(SIOCBRDELBR, request.ifr_name.as_ptr().cast())) {
        Ok(_) | Err(nix::errno::Errno::ENODEV | nix::errno::Errno::ENXIO) => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_that_does_not_exist_is_gone_already() {
        if nix::unistd::geteuid().is_root() {
            remove_bridge("ah-nosuch").unwrap();
        }
        assert!(!exists("ah-nosuch"));
    }

    #[test]
    fn the_request_names_the_nftables_subsystem() {
        assert_eq!(generation_request()[4..6], 0x0a10u16.to_ne_bytes());
    }
}
