//! The enrollment token: `AHN1.<GEO>.<ID10>.<SECRET26>.<PIN52>.<HOST:PORT>.<CHK7>`.
//!
//! It is read without any network: a typo, a missing part or another geography is told before the first packet.
//! No message and no `Debug` output ever contains the secret.

use crate::enroll::refusal::Refusal;
use crate::pki::symbols;
use zeroize::Zeroizing;

const PREFIX: &str = "AHN1";
const ID_LEN: usize = 10;
const SECRET_LEN: usize = 26;
const PIN_LEN: usize = 52;
const CHECK_LEN: usize = 7;
/// Longest text that is looked at, in bytes; a token has about 140.
const MAX_LEN: usize = 600;

/// The 130-bit seed of the token key; it is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The canonical characters, for key derivation only.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// A well-formed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Geography in upper case, 2 to 8 characters.
    pub geography: String,
    /// Public identifier, 10 characters; safe to log.
    pub id: String,
    /// The seed of the token key.
    pub secret: Secret,
    /// SHA-256 of the hub root's subject public key info.
    pub pin: [u8; 32],
    /// Host name or address of the hub, lower case, without port.
    pub host: String,
    /// Port of the hub.
    pub port: u16,
}

impl Token {
    /// A new token with random identifier and secret.
    pub fn generate(geography: &str, pin: [u8; 32], host: &str, port: u16) -> Result<Token, Refusal> {
        let token = Token {
            geography: geography.to_ascii_uppercase(),
            id: symbols::random(ID_LEN),
            secret: Secret(Zeroizing::new(symbols::random(SECRET_LEN))),
            pin,
            host: host.to_ascii_lowercase(),
            port,
        };
        Token::parse(&token.reveal())
    }

    /// Reads a token as typed, pasted or scanned: white space is ignored, letters may be of either case.
    pub fn parse(typed: &str) -> Result<Token, Refusal> {
        let text = tidy(typed)?;
        let (body, check) = text.rsplit_once('.').ok_or_else(|| format("it has no parts"))?;
        let parts: Vec<&str> = body.splitn(6, '.').collect();
        if parts[0] != PREFIX {
            return Err(format("it does not begin with AHN1"));
        }
        let [_, geography, id, secret, pin, address] = parts[..] else {
            return Err(format(&format!("{} of 7 parts are there", parts.len() + 1)));
        };
        for (name, part, want) in
            [("identifier", id, ID_LEN), ("secret", secret, SECRET_LEN), ("pin", pin, PIN_LEN), ("checksum", check, CHECK_LEN)]
        {
            if part.len() != want {
                return Err(format(&format!("its {name} has {} of {want} characters", part.len())));
            }
        }
        if subtle::ConstantTimeEq::ct_ne(symbols::checksum(body, CHECK_LEN).as_bytes(), check.as_bytes()).into() {
            return Err(Refusal::Checksum);
        }
        if !is_geography(geography) {
            return Err(format("its geography is not 2 to 8 letters, digits or hyphens"));
        }
        if !(symbols::only(id) && symbols::only(secret)) {
            return Err(format("it has a character that tokens never have"));
        }
        let pin = symbols::decode(pin).and_then(|p| <[u8; 32]>::try_from(p).ok());
        let pin = pin.ok_or_else(|| format("its pin cannot be read"))?;
        let (host, port) = split_address(address).ok_or_else(|| format("its hub address is not HOST:PORT"))?;
        Ok(Token { geography: geography.into(), id: id.into(), secret: Secret(Zeroizing::new(secret.into())), pin, host, port })
    }

    /// The whole token with its secret: printed once when it is created, never logged.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!(
            "{PREFIX}.{}.{}.{}.{}.{}:{}",
            self.geography,
            self.id,
            &*self.secret.0,
            symbols::encode(&self.pin),
            self.host.to_ascii_uppercase(),
            self.port
        ));
        let check = symbols::checksum(&text, CHECK_LEN);
        text.push('.');
        text.push_str(&check);
        text
    }

    /// Refuses a token of another geography than the node is configured for.
    pub fn check_geography(&self, configured: Option<&str>) -> Result<(), Refusal> {
        match configured {
            Some(own) if !own.eq_ignore_ascii_case(&self.geography) => {
                Err(Refusal::OtherGeography { token: self.geography.clone(), node: own.to_ascii_uppercase() })
            }
            _ => Ok(()),
        }
    }

    /// Four words that stand for the hub's root key, to compare with the person who gave the token.
    pub fn hub_words(&self) -> String {
        crate::enroll::words::of_hash(&self.pin)
    }

    /// `host:port` of the hub, as people write it.
    pub fn hub(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Whether `text` can name a geography: 2 to 8 of A-Z, 0-9 and hyphen.
pub fn is_geography(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
}

/// Splits `HOST:PORT`; an IPv6 address stands in brackets, which are taken off. The host comes back in lower case.
pub fn split_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|p| *p != 0)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let known = match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
    };
    known.then(|| (host.to_ascii_lowercase(), port))
}

fn tidy(typed: &str) -> Result<Zeroizing<String>, Refusal> {
    if typed.len() > MAX_LEN {
        return Err(format("it is too long"));
    }
    if !typed.is_ascii() {
        return Err(format("it has a character that tokens never have"));
    }
    Ok(Zeroizing::new(typed.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_uppercase()).collect()))
}

fn format(detail: &str) -> Refusal {
    Refusal::Format { detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn token() -> Token {
        Token::generate("DE", [7; 32], "hub.example.org", 8443).unwrap()
    }

    #[test]
    fn a_token_survives_a_round_trip_and_fits_the_alphanumeric_mode_of_a_qr_code() {
        let token = token();
        let text = token.reveal();
        assert_eq!(Token::parse(&text).unwrap(), token);
        assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b".:-".contains(&b)), "{token:?}");
        assert!(text.len() < 150);
    }

    #[test]
    fn white_space_and_lower_case_do_not_matter() {
        let token = token();
        let text = token.reveal().to_ascii_lowercase();
        let (a, b) = text.split_at(40);
        assert_eq!(Token::parse(&format!("  {a}\n   {b}\r\n")).unwrap(), token);
    }

    #[test]
    fn none_of_ten_thousand_mutated_tokens_is_accepted_and_no_message_echoes_the_secret() {
        let mut random = rand::thread_rng();
        for _ in 0..10_000 {
            let token = token();
            let text = token.reveal();
            let mut bytes = text.as_bytes().to_vec();
            let at = random.gen_range(0..bytes.len());
            match random.gen_range(0..4) {
                0 => bytes[at] = random.gen_range(33..127),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, random.gen_range(33..127)),
                _ => {
                    let other = random.gen_range(0..bytes.len());
                    bytes.swap(at, other);
                }
            }
            let mutated = String::from_utf8(bytes).unwrap();
            if mutated.eq_ignore_ascii_case(&text) {
                continue;
            }
            let refusal = Token::parse(&mutated).expect_err("a mutated token was accepted");
            let told = format!("{refusal} {refusal:?} {}", refusal.problem().render());
            let secret = std::str::from_utf8(token.secret.expose()).unwrap();
            assert!(!told.contains(&secret[..8]) && !told.contains(&secret[18..]), "{told}");
            assert!(matches!(refusal.code(), "ENR-101" | "ENR-102"), "{told}");
        }
    }

    #[test]
    fn every_single_wrong_symbol_is_found_as_a_typo_before_any_network() {
        let token = token();
        let text = token.reveal();
        for at in text.find("DE.").unwrap()..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            if !bytes[at].is_ascii_alphanumeric() {
                continue;
            }
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(Token::parse(std::str::from_utf8(&bytes).unwrap()), Err(Refusal::Checksum), "symbol {at}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        let token = token();
        assert!(!format!("{token:?}").contains(std::str::from_utf8(token.secret.expose()).unwrap()));
    }

    #[test]
    fn a_token_of_another_geography_is_refused() {
        let token = token();
        assert!(token.check_geography(None).is_ok());
        assert!(token.check_geography(Some("de")).is_ok());
        assert_eq!(token.check_geography(Some("FR")).unwrap_err().code(), "ENR-103");
    }

    #[test]
    fn addresses_are_names_or_addresses_with_a_port() {
        assert_eq!(split_address("HUB.Example:8443"), Some(("hub.example".into(), 8443)));
        assert_eq!(split_address("10.0.0.1:1"), Some(("10.0.0.1".into(), 1)));
        assert_eq!(split_address("[FD00::1]:8443"), Some(("[fd00::1]".into(), 8443)));
        for wrong in ["hub", "hub:0", "hub:99999", ":1", "a b:1", "[x]:1", "fd00::1"] {
            assert_eq!(split_address(wrong), None, "{wrong}");
        }
    }
}
