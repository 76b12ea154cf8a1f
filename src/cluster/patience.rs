//! Asks again while the API server does not answer: it starts anew with other keys or another list of hosts, and stands still while
//! a majority of the datastore is away.

use crate::status::Problem;
use std::time::Duration;
use tokio::time::Instant;

/// What a person at a terminal waits for an API server that is being started anew; a start takes a third of it on a slow machine.
pub const AT_A_TERMINAL: Duration = Duration::from_secs(60);
/// Between two questions.
const LOOK: Duration = Duration::from_secs(2);
/// Code of an API server that does not answer.
pub const SILENT: &str = "KUB-214";

/// The answer to `ask`, which is asked again for `limit` while the API server does not answer; every other problem is told at once.
/// `tell` hears once that it has to be waited. Without effect on what was done already: `ask` has to be idempotent.
pub async fn patiently<T>(limit: Duration, tell: &dyn Fn(&str), ask: impl AsyncFn() -> Result<T, Problem>) -> Result<T, Problem> {
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match ask().await {
            Err(problem) if problem.code == SILENT && begun.elapsed() < limit => {
                if !told {
                    tell(&format!("the API server does not answer; it is asked again for up to {} s", limit.as_secs()));
                    told = true;
                }
                tokio::time::sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_silent_api_server_is_asked_again_for_so_long_and_every_other_problem_is_told_at_once() {
        let (asked, told) = (Cell::new(0), Cell::new(0));
        let tell = |_: &str| told.set(told.get() + 1);
        let answer = |code: &'static str, silent: u32| {
            asked.set(asked.get() + 1);
            if asked.get() <= silent { Err(Problem::new(code, "what", "cause", "next")) } else { Ok(asked.get()) }
        };
        assert_eq!(patiently(AT_A_TERMINAL, &tell, async || answer(SILENT, 1)).await.expect("asked again"), 2);
        assert_eq!(told.get(), 1);
        asked.set(0);
        assert_eq!(patiently(AT_A_TERMINAL, &tell, async || answer("KUB-213", 1)).await.expect_err("told").code, "KUB-213");
        assert_eq!(asked.get(), 1);
        assert_eq!(patiently(Duration::ZERO, &tell, async || answer(SILENT, 9)).await.expect_err("told").code, SILENT);
    }
}
