//! Who comes in: claims, logins and recoveries, with their tries counted and their slow work off the threads that answer others.

use super::tries::Held;
use super::users::{Codes, Keep, User, Users, strong};
use crate::domain::Role;
use crate::status::Problem;
use crate::web::guard::network;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Pass phrases that are worked on at one time: each takes 19 MiB.
const AT_ONCE: usize = 2;

/// The users behind the page.
pub struct Door {
    keep: Arc<Keep>,
    held: Mutex<Held>,
    slow: Semaphore,
}

impl Door {
    /// The users of the node whose data root is `data`.
    pub fn new(data: &Path) -> Door {
        Door { keep: Arc::new(Keep::new(data)), held: Mutex::default(), slow: Semaphore::new(AT_ONCE) }
    }

    /// The users of this moment.
    pub fn users(&self) -> Result<Arc<Users>, Problem> {
        self.keep.read()
    }

    /// Whether somebody has claimed the node. Where that cannot be read it counts as claimed: a damaged disk opens nothing.
    pub fn is_claimed(&self) -> bool {
        self.users().map_or(true, |users| users.claimed().is_some())
    }

    /// Makes the owner; returns the recovery codes.
    pub async fn claim(&self, name: &str, pass: Zeroizing<String>) -> Result<Codes, Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.claim(&name, &pass)).await
    }

    /// The person whose name and pass phrase these are, if a try of `client` is taken.
    pub async fn log_in(&self, client: IpAddr, name: &str, pass: Zeroizing<String>) -> Result<User, Problem> {
        self.begin(client, name)?;
        let asked = name.to_owned();
        let user = self.slowly(move |keep| keep.known(&asked, &pass)).await?;
        if user.is_some() {
            self.right(client, name);
        }
        let next = "Try again. Who has forgotten the pass phrase uses a recovery code, or asks an owner for another.";
        user.ok_or_else(|| Problem::new("USR-111", "This name and pass phrase do not belong together", "one of them is mistyped, or the user was removed", next))
    }

    /// Sets a pass phrase with a recovery code, if a try of `client` is taken.
    pub async fn recover(&self, client: IpAddr, name: &str, code: Zeroizing<String>, pass: Zeroizing<String>) -> Result<(), Problem> {
        strong(&pass, &[name])?; // a weak one is no wrong try
        self.begin(client, name)?;
        let asked = name.to_owned();
        let right = self.slowly(move |keep| keep.recover(&asked, &code, &pass)).await?;
        if right {
            self.right(client, name);
        }
        let next = "Take the next code on your sheet. Without one, an owner or root on the node (`antihate user renew NAME`) can give you a pass phrase.";
        let wrong = || Problem::new("USR-113", "This recovery code does not serve", "it is mistyped, used up, or belongs to another name", next);
        right.then_some(()).ok_or_else(wrong)
    }

    /// Sets the pass phrase that a person chose; returns recovery codes where there were none.
    pub async fn choose(&self, name: &str, pass: Zeroizing<String>) -> Result<Codes, Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.choose(&name, &pass)).await
    }

    /// Adds a person; returns the pass phrase that serves once.
    pub async fn invite(&self, name: &str, role: Role) -> Result<Zeroizing<String>, Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.invite(&name, role)).await
    }

    /// Gives a person another pass phrase that serves once.
    pub async fn renew(&self, name: &str) -> Result<Zeroizing<String>, Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.renew(&name)).await
    }

    /// Changes a person's role.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<(), Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.change(|users| users.set_role(&name, role))).await
    }

    /// Takes a person out.
    pub async fn remove(&self, name: &str) -> Result<(), Problem> {
        let name = name.to_owned();
        self.slowly(move |keep| keep.change(|users| users.remove(&name))).await
    }

    /// The work ends even when the browser that asked for it goes away: nothing is half done.
    async fn slowly<T: Send + 'static>(&self, work: impl FnOnce(&Keep) -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
        let broken = |cause: String| Problem::new("USR-109", "The pass phrase cannot be worked on", cause, "Try again.");
        let _slot = self.slow.acquire().await.map_err(|e| broken(e.to_string()))?;
        let keep = self.keep.clone();
        tokio::task::spawn_blocking(move || work(&keep)).await.map_err(|e| broken(e.to_string()))?
    }

    /// Takes a try of `client` at the secret of `name`, which counts as wrong until [`Door::right`].
    fn begin(&self, client: IpAddr, name: &str) -> Result<(), Problem> {
        let known = self.users()?.find(name).is_some();
        let held = |seconds| Problem::new("USR-112", "No login is taken just now", "there were too many wrong ones", format!("Wait {seconds} s, then try again."));
        self.tries().of(name, known).begin(network(client), Instant::now()).map_err(held)
    }

    fn right(&self, client: IpAddr, name: &str) {
        self.tries().of(name, true).was_right(network(client));
    }

    fn tries(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
