//! Random characters that a person reads off a screen or a sheet and types: no letter that is mistaken for another.
//! <https://www.crockford.com/base32.html>

use crate::pki::symbols;
pub use crate::pki::symbols::grouped;
use zeroize::Zeroizing;

/// Longest text that is looked at.
const LONGEST: usize = 64;

/// So many characters of five random bits each.
pub fn fresh(length: usize) -> Zeroizing<String> {
    Zeroizing::new(symbols::random(length))
}

/// What a person may have typed, made plain: small letters, O for 0, I or L for 1, hyphens and blanks anywhere.
pub fn normal(typed: &str) -> Zeroizing<String> {
    let one = |c: char| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    Zeroizing::new(typed.chars().take(LONGEST).filter(|c| !c.is_whitespace() && *c != '-').map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_however_it_is_typed() {
        let plain = fresh(12);
        let shown = grouped(&plain);
        assert_eq!(shown.len(), 14);
        let typed = format!(" {} ", shown.to_lowercase().replace('0', "o").replace('1', "l"));
        assert_eq!(*normal(&typed), *plain);
        assert_eq!(grouped("ABCDE"), "ABCD-E");
    }
}
