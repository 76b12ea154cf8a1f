//! Who may use the page: names, roles, what a pass phrase is compared with. Decisions only; `keep` holds the file.
//!
//! The first user claims the node and is its owner. From then on there is always an owner: nobody can remove the last one.

mod acts;
mod keep;
mod secret;

pub use acts::Codes;
pub use keep::Keep;
pub use secret::strong;

use crate::domain::{Role, is_user_name};
use crate::status::Problem;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Users of one node.
const ROOM: usize = 100;

/// One person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// The name, as it was first written; compared without regard to case.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// What the pass phrase is compared with: Argon2id, in the PHC format.
    pub pass: String,
    /// Somebody else has chosen the pass phrase: it serves once, to choose another.
    pub one_time: bool,
    /// SHA-256 of the recovery codes that were not used yet, hex.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// All users of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Users {
    /// In the order in which they came; the first has claimed the node.
    users: Vec<User>,
}

impl Users {
    /// All, in the order in which they came.
    pub fn all(&self) -> &[User] {
        &self.users
    }

    /// Who has claimed the node, if somebody has.
    pub fn claimed(&self) -> Option<&User> {
        self.users.first()
    }

    /// The user of that name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name.eq_ignore_ascii_case(name))
    }

    /// Makes the first user, the owner.
    pub fn claim(&mut self, name: &str, (pass, codes): (String, Vec<String>), now: DateTime<Utc>) -> Result<(), Problem> {
        if let Some(first) = self.claimed() {
            return Err(taken(first));
        }
        named(name)?;
        self.users.push(User { name: name.to_owned(), role: Role::Owner, pass, one_time: false, codes, since: now });
        Ok(())
    }

    /// Adds a person with a one-time pass phrase.
    pub fn add(&mut self, name: &str, role: Role, pass: String, now: DateTime<Utc>) -> Result<(), Problem> {
        named(name)?;
        if self.users.is_empty() && role != Role::Owner {
            return Err(Problem::new("USR-114", "The first user is an owner", "without an owner nobody could say who may use the node", "Add an owner first, or claim the node on its page."));
        }
        if self.find(name).is_some() {
            return Err(Problem::new("USR-103", "There is a user of this name", "names are compared without regard to case", "Choose another name."));
        }
        if self.users.len() >= ROOM {
            return Err(Problem::new("USR-104", "No more users fit in", format!("a node has {ROOM} at most"), "Remove one who needs it no more."));
        }
        self.users.push(User { name: name.to_owned(), role, pass, one_time: true, codes: Vec::new(), since: now });
        Ok(())
    }

    /// Changes a person's role.
    pub fn set_role(&mut self, name: &str, role: Role) -> Result<(), Problem> {
        if role != Role::Owner {
            self.not_the_last_owner(name)?;
        }
        self.of(name)?.role = role;
        Ok(())
    }

    /// Takes a person out.
    pub fn remove(&mut self, name: &str) -> Result<(), Problem> {
        self.not_the_last_owner(name)?;
        self.of(name)?;
        self.users.retain(|u| !u.name.eq_ignore_ascii_case(name));
        Ok(())
    }

    /// Sets a pass phrase that the person chose, or that serves once.
    pub fn set_pass(&mut self, name: &str, pass: String, one_time: bool) -> Result<(), Problem> {
        let user = self.of(name)?;
        (user.pass, user.one_time) = (pass, one_time);
        Ok(())
    }

    /// Replaces the recovery codes.
    pub fn set_codes(&mut self, name: &str, codes: Vec<String>) -> Result<(), Problem> {
        self.of(name)?.codes = codes;
        Ok(())
    }

    /// Uses a recovery code up, given by its hash; false when it is none of the person's.
    pub fn use_code(&mut self, name: &str, hash: &str) -> bool {
        let Ok(user) = self.of(name) else { return false };
        let before = user.codes.len();
        user.codes.retain(|c| c != hash);
        user.codes.len() < before
    }

    fn of(&mut self, name: &str) -> Result<&mut User, Problem> {
        let none = || Problem::new("USR-105", "There is no user of this name", "the name is mistyped, or the user was removed", "Look at the list of users.");
        self.users.iter_mut().find(|u| u.name.eq_ignore_ascii_case(name)).ok_or_else(none)
    }

    fn not_the_last_owner(&self, name: &str) -> Result<(), Problem> {
        let other = self.users.iter().any(|u| u.role == Role::Owner && !u.name.eq_ignore_ascii_case(name));
        let this = self.find(name).is_some_and(|u| u.role == Role::Owner);
        if this && !other {
            return Err(Problem::new("USR-106", "The last owner stays", "without an owner nobody could say who may use the node", "Make another user an owner first."));
        }
        Ok(())
    }
}

/// The node was claimed before.
pub fn taken(first: &User) -> Problem {
    let cause = format!("{} did it on {}", first.name, first.since.format("%Y-%m-%d at %H:%M UTC"));
    Problem::new("USR-101", "This node is claimed already", cause, "Log in, or ask an owner to add you. Root on the node can run `antihate user`.")
}

fn named(name: &str) -> Result<(), Problem> {
    if is_user_name(name) {
        return Ok(());
    }
    let cause = "it has 2 to 64 letters of A to Z, digits and - . _ @, and does not begin with system";
    Err(Problem::new("USR-102", "This name cannot be used", cause, "Choose another name."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed() -> Users {
        let mut users = Users::default();
        users.claim("Ada", ("phc".into(), vec!["aa".into(), "bb".into()]), DateTime::UNIX_EPOCH).expect("claimed");
        users
    }

    fn code(done: Result<(), Problem>) -> String {
        done.expect_err("refused").code
    }

    #[test]
    fn a_node_is_claimed_once_and_says_by_whom_and_when() {
        let refused = claimed().claim("eve", ("x".into(), vec![]), DateTime::UNIX_EPOCH).expect_err("claimed before");
        assert_eq!((refused.code.as_str(), refused.cause.as_str()), ("USR-101", "Ada did it on 1970-01-01 at 00:00 UTC"));
        assert_eq!(code(Users::default().claim("a b", ("x".into(), vec![]), DateTime::UNIX_EPOCH)), "USR-102");
    }

    #[test]
    fn there_is_always_an_owner() {
        let mut users = claimed();
        users.add("bo", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH).expect("added");
        assert_eq!(code(users.remove("ada")), "USR-106");
        assert_eq!(code(users.set_role("ADA", Role::Operator)), "USR-106");
        users.set_role("bo", Role::Owner).expect("a second owner");
        users.remove("ada").expect("removed");
        assert_eq!(code(users.set_role("bo", Role::Viewer)), "USR-106");
        assert_eq!(users.all().len(), 1);
        assert_eq!(code(Users::default().add("bo", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH)), "USR-114");
    }

    #[test]
    fn names_are_one_whatever_their_case() {
        let mut users = claimed();
        assert_eq!(code(users.add("ADA", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH)), "USR-103");
        assert_eq!(code(users.remove("nobody")), "USR-105");
        assert!(users.find("aDA").is_some_and(|u| u.name == "Ada"));
    }

    #[test]
    fn a_recovery_code_serves_once_and_only_its_owner() {
        let mut users = claimed();
        users.add("bo", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH).expect("added");
        assert!(!users.use_code("bo", "aa"));
        assert!(users.use_code("ada", "aa"));
        assert!(!users.use_code("ada", "aa"));
        assert!(users.use_code("ada", "bb"));
    }

    #[test]
    fn a_person_who_was_added_has_to_choose_a_pass_phrase() {
        let mut users = claimed();
        users.add("bo", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH).expect("added");
        assert!(users.find("bo").is_some_and(|u| u.one_time));
        users.set_pass("bo", "y".into(), false).expect("set");
        assert!(users.find("bo").is_some_and(|u| !u.one_time && u.pass == "y"));
    }
}
