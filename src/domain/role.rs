//! What a person may do at a node: three roles, the same on the page and in the cluster.

use serde::{Deserialize, Serialize};

/// A person's role; a later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks at the node's state and at masked posts.
    Viewer,
    /// Also reads the text of posts.
    Operator,
    /// Also enrolls the node and says who may use it.
    Owner,
}

/// What is asked for on the page beyond looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The text of a post.
    Reveal,
    /// The link to the hub.
    Enroll,
    /// Users and their roles.
    Users,
    /// The support bundle.
    Support,
    /// The setup of the node.
    Setup,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Owner];

    /// Its name, as it is written and typed.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Owner => "owner",
        }
    }

    /// What it may do, for a person to choose by.
    pub fn words(self) -> &'static str {
        match self {
            Role::Viewer => "sees how the node is doing, and posts with their texts masked",
            Role::Operator => "also reads the texts of posts, one by one, and makes support bundles",
            Role::Owner => "also enrolls the node and says who may use it",
        }
    }

    /// Whether the role has a right.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Reveal | Right::Support => self >= Role::Operator,
            Right::Enroll | Right::Users | Right::Setup => self == Role::Owner,
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Role, String> {
        Role::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| "the roles are viewer, operator and owner".to_owned())
    }
}

/// Whether `name` can name a person: on the page, in the audit log, and as a user of the cluster.
pub fn is_user_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._@".contains(c);
    (2..=64).contains(&name.len()) && name.chars().all(good) && !name.to_ascii_lowercase().starts_with("system")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_more_than_the_one_before() {
        let rights = |role: Role| [Right::Reveal, Right::Support, Right::Enroll, Right::Users].map(|right| role.may(right));
        assert_eq!(Role::ALL.map(rights), [[false, false, false, false], [true, true, false, false], [true, true, true, true]]);
        assert!(Role::ALL.iter().all(|r| r.name().parse() == Ok(*r)));
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn names_are_plain_and_never_those_of_the_cluster_itself() {
        assert!(["jo", "jo.doe@example.org", "night-shift_2"].into_iter().all(is_user_name));
        assert!(["", "j", "system:node:a", "System", "jo doe", "jö", "a/b", "<b>"].into_iter().all(|n| !is_user_name(n)));
        assert!(!is_user_name(&"j".repeat(65)));
    }
}
