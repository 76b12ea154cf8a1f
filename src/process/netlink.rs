//! What is asked of the kernel's network side without any program on the host: does it know nftables, is a link there, away with
//! a bridge, and a route for addresses that only the packet filter knows.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt};
use std::net::Ipv4Addr;
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
        Errno::result(unsafe { nix::libc::ioctl(fd.as_raw_fd(), number as _, argument) })
    };
    let down = ask(SIOCSIFFLAGS, (&raw const request).cast());
    match down.and_then(|_| ask(SIOCBRDELBR, request.ifr_name.as_ptr().cast())) {
        Ok(_) | Err(Errno::ENODEV | Errno::ENXIO) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The kernel's numbers for "a new route" and "remove a route" (linux/rtnetlink.h).
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
/// A request that is answered; one that makes what is not there (linux/netlink.h).
const ASK: u16 = 1 | 4;
const MAKE: u16 = 0x200 | 0x400;

/// Sends what goes to `network` and knows no other way to the loopback link, from where the packet filter takes it on. A packet
/// that it does not take is dropped there. A route that is there already is no error.
pub fn route_to_loopback(network: Ipv4Addr, length: u8) -> nix::Result<()> {
    match change_route(RTM_NEWROUTE, ASK | MAKE, network, length) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// Removes the route of `route_to_loopback`; one that is not there is no error.
pub fn remove_route_to_loopback(network: Ipv4Addr, length: u8) -> nix::Result<()> {
    match change_route(RTM_DELROUTE, ASK, network, length) {
        Err(Errno::ESRCH) => Ok(()),
        other => other,
    }
}

fn change_route(kind: u16, flags: u16, network: Ipv4Addr, length: u8) -> nix::Result<()> {
    let link = nix::net::if_::if_nametoindex("lo")?;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &nix::sys::time::TimeVal::new(2, 0))?;
    send(fd.as_raw_fd(), &route_request(kind, flags, network, length, link), MsgFlags::empty())?;
    let mut answer = [0u8; 256];
    let got = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // The answer is an error message, whose number is 0 for success.
    let error = answer[..got].get(16..20).and_then(|n| n.try_into().ok()).map(i32::from_ne_bytes);
    error.map_or(Err(Errno::EBADMSG), |n| if n == 0 { Ok(()) } else { Err(Errno::from_raw(-n)) })
}

/// `nlmsghdr`, `rtmsg` and two attributes: the network (1) and the link that it goes to (4).
fn route_request(kind: u16, flags: u16, network: Ipv4Addr, length: u8, link: u32) -> [u8; 44] {
    let mut request = [0u8; 44];
    request[0..4].copy_from_slice(&44u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request[8..12].copy_from_slice(&1u32.to_ne_bytes());
    // IPv4, prefix length; main table, set by an administrator, reached on the link itself, one way for all.
    request[16..18].copy_from_slice(&[nix::libc::AF_INET as u8, length]);
    request[20..24].copy_from_slice(&[254, 4, 253, 1]);
    for (at, number, value) in [(28, 1u16, network.octets()), (36, 4, link.to_ne_bytes())] {
        request[at..at + 2].copy_from_slice(&8u16.to_ne_bytes());
        request[at + 2..at + 4].copy_from_slice(&number.to_ne_bytes());
        request[at + 4..at + 8].copy_from_slice(&value);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_for_a_route_names_the_network_and_the_link() {
        let request = route_request(RTM_NEWROUTE, ASK | MAKE, Ipv4Addr::new(10, 43, 0, 0), 16, 1);
        assert_eq!(request[16..28], [2, 16, 0, 0, 254, 4, 253, 1, 0, 0, 0, 0]);
        assert_eq!(request[32..36], [10, 43, 0, 0]);
        assert_eq!(request[40..44], 1u32.to_ne_bytes());
    }

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
