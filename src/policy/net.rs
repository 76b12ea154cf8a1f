//! Addresses as numbers: blocks, ranges, and the little algebra that sets of ranges need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Whether these are IPv6 addresses.
    pub v6: bool,
    /// First address.
    pub from: u128,
    /// Last address.
    pub to: u128,
}

/// A block in the notation `address/length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    first: IpAddr,
    length: u8,
}

/// Text that is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no block of addresses")]
pub struct NotANet(pub String);

/// Family and number of an address.
pub fn number(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(v4) => (false, u32::from(v4).into()),
        IpAddr::V6(v6) => (true, u128::from(v6)),
    }
}

fn address(v6: bool, number: u128) -> IpAddr {
    if v6 { Ipv6Addr::from(number).into() } else { Ipv4Addr::from(number as u32).into() }
}

fn bits(v6: bool) -> u32 {
    if v6 { 128 } else { 32 }
}

impl FromStr for Net {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Net, NotANet> {
        let wrong = || NotANet(text.to_owned());
        let (ip, length) = text.split_once('/').ok_or_else(wrong)?;
        let (ip, length) = (ip.parse::<IpAddr>().map_err(|_| wrong())?, length.parse::<u8>().map_err(|_| wrong())?);
        let (v6, at) = number(ip);
        if u32::from(length) > bits(v6) {
            return Err(wrong());
        }
        let rest = (bits(v6) - u32::from(length)).min(128);
        let first = if rest == 128 { 0 } else { at >> rest << rest };
        Ok(Net { first: address(v6, first), length })
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl Net {
    /// Whether these are IPv6 addresses.
    pub fn is_v6(&self) -> bool {
        self.first.is_ipv6()
    }

    /// Whether an address lies in the block.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.span().contains(ip)
    }

    /// The block as a range.
    pub fn span(&self) -> Span {
        let (v6, from) = number(self.first);
        let rest = bits(v6) - u32::from(self.length);
        let size = if rest == 128 { u128::MAX } else { (1u128 << rest) - 1 };
        Span { v6, from, to: from + size }
    }
}

impl Span {
    /// One address.
    pub fn one(ip: IpAddr) -> Span {
        let (v6, at) = number(ip);
        Span { v6, from: at, to: at }
    }

    /// Every address of a family.
    pub fn all(v6: bool) -> Span {
        Span { v6, from: 0, to: if v6 { u128::MAX } else { u32::MAX.into() } }
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (v6, at) = number(ip);
        self.v6 == v6 && (self.from..=self.to).contains(&at)
    }

    /// Whether it is a single address.
    pub fn is_one(&self) -> bool {
        self.from == self.to
    }
}

impl std::fmt::Display for Span {
    /// As nft reads it: an address, a block where the range is one, otherwise both ends.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_one() {
            return write!(f, "{}", address(self.v6, self.from));
        }
        // A block has a size that is a power of two (of all IPv6 addresses the size overflows to zero), at a multiple of it.
        let size = (self.to - self.from).wrapping_add(1);
        let length = if size == 0 { 0 } else { bits(self.v6) - size.trailing_zeros() };
        if size == 0 || (size.is_power_of_two() && self.from.is_multiple_of(size)) {
            return write!(f, "{}/{length}", address(self.v6, self.from));
        }
        write!(f, "{}-{}", address(self.v6, self.from), address(self.v6, self.to))
    }
}

/// The same addresses in as few ranges as possible, sorted.
pub fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut all: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match all.last_mut() {
            Some(last) if last.v6 == span.v6 && span.from <= last.to.saturating_add(1) => last.to = last.to.max(span.to),
            _ => all.push(span),
        }
    }
    all
}

/// `span` without the addresses of `holes`.
pub fn without(span: Span, holes: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut next = Some(span.from);
    for hole in merged(holes.iter().copied().filter(|h| h.v6 == span.v6 && h.to >= span.from && h.from <= span.to).collect()) {
        let Some(from) = next else { break };
        if hole.from > from {
            left.push(Span { from, to: hole.from - 1, ..span });
        }
        next = hole.to.checked_add(1).filter(|n| *n <= span.to);
    }
    left.extend(next.map(|from| Span { from, ..span }));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse::<Net>().unwrap().span()
    }

    #[test]
    fn a_block_begins_at_its_first_address_and_is_written_as_nft_reads_it() {
        assert_eq!("10.1.2.3/8".parse::<Net>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(["0.0.0.0/0", "::/0", "10.0.0.4/30", "fd00::/64", "10.0.0.7/32"].map(|t| span(t).to_string()), ["0.0.0.0/0", "::/0", "10.0.0.4/30", "fd00::/64", "10.0.0.7"]);
        assert_eq!(Span { v6: false, from: 1, to: 2 }.to_string(), "0.0.0.1-0.0.0.2");
        for wrong in ["10.0.0.1", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/"] {
            assert!(wrong.parse::<Net>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn holes_are_cut_out_even_at_the_ends_and_where_they_overlap() {
        let cut = |all: &str, holes: &[&str]| without(span(all), &holes.iter().map(|h| span(h)).collect::<Vec<_>>()).iter().map(Span::to_string).collect::<Vec<_>>();
        assert_eq!(cut("10.0.0.0/30", &["10.0.0.1/32"]), ["10.0.0.0", "10.0.0.2/31"]);
        assert_eq!(cut("0.0.0.0/0", &["0.0.0.0/1", "64.0.0.0/2"]), ["128.0.0.0/1"]);
        assert_eq!(cut("::/0", &["8000::/1"]), ["::/1"]);
        assert_eq!(cut("10.0.0.0/30", &["10.0.0.0/8"]), Vec::<String>::new());
        assert_eq!(cut("255.255.255.252/30", &["255.255.255.255/32"]), ["255.255.255.252-255.255.255.254"]);
    }

    #[test]
    fn ranges_that_touch_become_one_and_families_stay_apart() {
        let all = merged(["10.0.0.0/31", "10.0.0.2/31", "::/127", "10.0.0.1/32"].map(span).to_vec());
        assert_eq!(all.iter().map(Span::to_string).collect::<Vec<_>>(), ["10.0.0.0/30", "::/127"]);
    }
}
