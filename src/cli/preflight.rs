//! What a start makes of the checks: it ends with what a node cannot do without, and goes on with every loss.

use crate::host::check::{CLOCK, Check};
use crate::status::Problem;

/// Ends with the first failure; tells the others in one line each, the losses in one line together.
pub fn decide(checks: Vec<Check>) -> Result<(), Problem> {
    let (failed, rest): (Vec<Check>, Vec<Check>) = checks.into_iter().partition(|c| c.verdict.is_failure());
    let lost: Vec<&str> = rest.iter().filter(|c| c.verdict.is_warning()).map(|c| c.id).collect();
    if !lost.is_empty() {
        tracing::warn!(checks = lost.join(", "), "the node works with {} losses: `antihate check` tells why they matter and how to mend them", lost.len());
    }
    let mut stops = None;
    for problem in failed.iter().filter_map(Check::problem) {
        // The node waits for its clock: a time server may answer later, and the page tells meanwhile.
        if problem.code == CLOCK || stops.is_some() {
            tracing::warn!(code = %problem.code, cause = %problem.cause, next = %problem.next, "{}", problem.what);
        } else {
            stops = Some(problem.clone());
        }
    }
    stops.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::check::Group;

    #[test]
    fn a_loss_and_a_wrong_clock_let_a_node_start_and_the_first_failure_does_not() {
        let check = |code: &str, fails| Group::Disk.check("disk.x", "x", "x", "x").fails(fails, code, "x", "x.").warns(!fails, code, "x", "x.");
        assert_eq!(decide(vec![]), Ok(()));
        assert_eq!(decide(vec![check("CHK-118", false), check(CLOCK, true)]), Ok(()));
        let refused = decide(vec![check(CLOCK, true), check("CHK-111", true), check("CHK-110", true)]).unwrap_err();
        assert_eq!(refused.code, "CHK-111");
    }
}
