//! Pass phrases and recovery codes: made, weighed, and turned into what they are compared with.
//!
//! Argon2id with 19 MiB and two passes (OWASP's first recommendation); codes have 60 random bits, so their plain hash tells nothing.

use crate::setup::crockford;
use crate::status::Problem;
use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

/// Characters of a pass phrase, least and most.
const SHORTEST: usize = 12;
const LONGEST: usize = 256;
/// Recovery codes of one person, and characters of each.
const CODES: usize = 8;
const CODE: usize = 12;
/// Characters of a pass phrase that serves once: 80 bits.
const ONE_TIME: usize = 16;

/// A secret as it is shown once, and what is kept of it.
pub struct Spare {
    /// For the person.
    pub shown: Zeroizing<String>,
    /// For the file.
    pub kept: String,
}

/// Whether a pass phrase is good enough; the problem never repeats it. `name` and the node's name are no help in it.
pub fn strong(pass: &str, known: &[&str]) -> Result<(), Problem> {
    let weak = |cause: String| Problem::new("USR-110", "This pass phrase is too weak", cause, "Take four or five words that do not belong together; blanks are welcome.");
    let length = pass.chars().count();
    if length < SHORTEST {
        return Err(weak(format!("it has {length} characters; {SHORTEST} are the least")));
    }
    if length > LONGEST {
        return Err(weak(format!("it has more than {LONGEST} characters")));
    }
    let guess = zxcvbn(pass, known);
    if guess.score() >= Score::Three {
        return Ok(());
    }
    let why = guess.feedback().and_then(|f| f.warning()).map_or("it is made of what is tried first".to_owned(), |w| w.to_string().trim_end_matches('.').to_lowercase());
    Err(weak(format!("it would be guessed in about 10^{:.0} tries: {why}", guess.guesses_log10())))
}

/// What a pass phrase is compared with, salted. Takes tens of milliseconds and 19 MiB.
pub fn hash(pass: &str) -> Result<String, Problem> {
    let salt = SaltString::generate(&mut OsRng);
    let failed = |e: argon2::password_hash::Error| Problem::new("USR-109", "The pass phrase cannot be kept", e.to_string(), "Try again.");
    Argon2::default().hash_password(pass.as_bytes(), &salt).map(|h| h.to_string()).map_err(failed)
}

/// Whether `pass` is the pass phrase behind `kept`. Without one it takes the same time, so that an answer does not tell who exists.
pub fn check(pass: &str, kept: Option<&str>) -> bool {
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5$NffT4mFcdZEWU2Km9oUPLEWBhdSJvVCRxrQNtFxGzDY";
    let parsed = PasswordHash::new(kept.unwrap_or(NOBODY));
    let same = parsed.is_ok_and(|p| Argon2::default().verify_password(pass.as_bytes(), &p).is_ok());
    same && kept.is_some()
}

/// A pass phrase that serves once, in groups as it is to be typed.
pub fn one_time() -> Zeroizing<String> {
    Zeroizing::new(crockford::grouped(&crockford::fresh(ONE_TIME)))
}

/// Fresh recovery codes.
pub fn recovery_codes() -> Vec<Spare> {
    let one = |_| {
        let plain = crockford::fresh(CODE);
        Spare { kept: code_hash(&plain), shown: Zeroizing::new(crockford::grouped(&plain)) }
    };
    (0..CODES).map(one).collect()
}

/// What is kept of a recovery code, however it is typed.
pub fn code_hash(typed: &str) -> String {
    hex::encode(Sha256::digest(crockford::normal(typed).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_phrase_is_known_again_and_no_other_is() {
        let kept = hash("correct horse battery").expect("hashed");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains("horse"));
        assert_ne!(kept, hash("correct horse battery").expect("hashed"), "salted");
        assert!(check("correct horse battery", Some(&kept)));
        for wrong in ["", "correct horse batter", "Correct horse battery", "correct horse battery "] {
            assert!(!check(wrong, Some(&kept)), "{wrong}");
        }
        assert!(!check("anything", None) && !check("anything", Some("damaged")));
    }

    #[test]
    fn nobodys_pass_phrase_costs_what_a_real_one_costs() {
        // The constant parses, with the parameters of a real one; otherwise an unknown name would answer at once.
        let real = hash("x").expect("hashed");
        let parameters = |phc: &str| phc.split('$').nth(3).map(str::to_owned);
        let source = include_str!("secret.rs");
        let nobody = source.lines().find_map(|l| l.split('"').nth(1).filter(|t| t.starts_with("$argon2id"))).expect("constant");
        assert_eq!(parameters(nobody), parameters(&real));
        assert!(PasswordHash::new(nobody).is_ok());
    }

    #[test]
    fn weak_ones_are_refused_with_their_reason_and_never_repeated() {
        for weak in ["short", "password1234", "aaaaaaaaaaaaaaaa", "qwertyuiop12", "ada-lovelace", "123456789012345", &"x".repeat(257)] {
            let problem = strong(weak, &["ada", "lovelace"]).expect_err(weak);
            assert_eq!(problem.code, "USR-110");
            assert!(!problem.render().contains(weak), "{weak}");
        }
        for good in ["four tall birds whistle", "Zug-Lampe-Regen-Tisch", "9f!Kd0w%Lq2z", "нет дождя над рекой"] {
            strong(good, &["ada"]).unwrap_or_else(|p| panic!("{good}: {}", p.render()));
        }
    }

    #[test]
    fn codes_are_many_and_only_their_hashes_are_kept() {
        let codes = recovery_codes();
        assert_eq!(codes.len(), 8);
        for code in &codes {
            assert_eq!(code_hash(&code.shown.to_lowercase()), code.kept);
            assert!(!code.kept.to_uppercase().contains(&code.shown[..4]) || code.kept.len() == 64);
        }
        assert_eq!(one_time().len(), 19);
    }
}
