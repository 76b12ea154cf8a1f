//! What is done with users, secrets made and all: the same for the page and for `antihate user`. Slow by design (Argon2id): not for a
//! thread that answers others.

use super::secret::{Spare, check, code_hash, hash, one_time, recovery_codes, strong};
use super::{Keep, User};
use crate::domain::Role;
use crate::status::Problem;
use chrono::Utc;
use zeroize::Zeroizing;

/// Recovery codes as they are shown once.
pub type Codes = Vec<Zeroizing<String>>;

fn apart(codes: Vec<Spare>) -> (Codes, Vec<String>) {
    codes.into_iter().map(|c| (c.shown, c.kept)).unzip()
}

impl Keep {
    /// Makes the first user, the owner; returns the recovery codes.
    pub fn claim(&self, name: &str, pass: &str) -> Result<Codes, Problem> {
        if let Some(first) = self.read()?.claimed() {
            return Err(super::taken(first));
        }
        strong(pass, &[name])?;
        let (shown, kept) = apart(recovery_codes());
        let pass = hash(pass)?;
        self.change(|users| users.claim(name, (pass, kept), Utc::now()))?;
        Ok(shown)
    }

    /// Adds a person; returns the pass phrase that serves once.
    pub fn invite(&self, name: &str, role: Role) -> Result<Zeroizing<String>, Problem> {
        let phrase = one_time();
        let pass = hash(&phrase)?;
        self.change(|users| users.add(name, role, pass, Utc::now()))?;
        Ok(phrase)
    }

    /// Gives a person another pass phrase that serves once; the old one and the recovery codes hold no more.
    pub fn renew(&self, name: &str) -> Result<Zeroizing<String>, Problem> {
        let phrase = one_time();
        let pass = hash(&phrase)?;
        self.change(|users| users.set_pass(name, pass, true).and_then(|()| users.set_codes(name, Vec::new())))?;
        Ok(phrase)
    }

    /// Sets the pass phrase that the person chose; who has no recovery codes yet gets some.
    pub fn choose(&self, name: &str, pass: &str) -> Result<Codes, Problem> {
        strong(pass, &[name])?;
        let pass = hash(pass)?;
        let (shown, kept) = apart(recovery_codes());
        self.change(|users| {
            let lacking = users.find(name).is_some_and(|u| u.codes.is_empty());
            users.set_pass(name, pass, false)?;
            if lacking {
                users.set_codes(name, kept)?;
            }
            Ok(if lacking { shown } else { Vec::new() })
        })
    }

    /// Sets a pass phrase, weighed before, with a recovery code, which is used up; false when the code is none of this person's.
    pub fn recover(&self, name: &str, code: &str, pass: &str) -> Result<bool, Problem> {
        let pass = hash(pass)?;
        let code = code_hash(code);
        if !self.read()?.find(name).is_some_and(|u| u.codes.contains(&code)) {
            return Ok(false);
        }
        self.change(|users| {
            let right = users.use_code(name, &code);
            if right { users.set_pass(name, pass, false).map(|()| true) } else { Ok(false) }
        })
    }

    /// The person whose name and pass phrase these are.
    pub fn known(&self, name: &str, pass: &str) -> Result<Option<User>, Problem> {
        let user = self.read()?.find(name).cloned();
        let right = check(pass, user.as_ref().map(|u| u.pass.as_str()));
        Ok(user.filter(|_| right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "four tall birds whistle";
    const OTHER: &str = "three old boats creak";

    #[test]
    fn a_person_is_invited_chooses_recovers_and_is_known_only_by_what_holds() {
        let dir = tempfile::tempdir().expect("dir");
        let keep = Keep::new(dir.path());
        let codes = keep.claim("ada", GOOD).expect("claimed");
        assert_eq!(keep.claim("eve", GOOD).expect_err("claimed").code, "USR-101");
        let phrase = keep.invite("bo", Role::Viewer).expect("invited");
        assert!(keep.known("bo", &phrase).expect("read").is_some_and(|u| u.one_time));
        assert_eq!(keep.choose("bo", GOOD).expect("chosen").len(), 8, "codes of its own");
        assert!(keep.choose("bo", OTHER).expect("chosen").is_empty(), "the codes stay");
        assert!(keep.known("bo", &phrase).expect("read").is_none() && keep.known("BO", OTHER).expect("read").is_some());
        assert!(!keep.recover("bo", &codes[0], GOOD).expect("read"), "another person's code");
        assert!(keep.recover("ada", &codes[0], OTHER).expect("read"));
        assert!(!keep.recover("ada", &codes[0], GOOD).expect("read"), "used up");
        assert!(keep.known("ada", OTHER).expect("read").is_some());
        let renewed = keep.renew("ada").expect("renewed");
        assert!(!keep.recover("ada", &codes[1], GOOD).expect("read"), "codes end with the pass phrase");
        assert!(keep.known("ada", OTHER).expect("read").is_none() && keep.known("ada", &renewed).expect("read").is_some());
    }
}
