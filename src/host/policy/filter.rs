//! Writes rules with the payload's own `nft`: the host needs none.

use super::{NAME, ranges, ways};
use crate::host::settings::Settings;
use crate::policy::{self, RuleSet, TABLE, Ways};
use crate::process::log;
use crate::process::once::{self, Outcome};
use crate::status::Problem;

/// Closes the addresses of this node's pods, as far as no rules of an earlier process speak of them; blocks.
pub fn base(s: &Settings) -> Result<(), Problem> {
    write(s, &policy::base(&ranges(s), &ways(s, &s.place.hosts)))
}

/// Puts the rules in force in one transaction, whatever was there before; blocks.
pub fn apply(s: &Settings, rules: &RuleSet, ways: &Ways) -> Result<(), Problem> {
    let listed = nft(s, &["--json", "--terse", "list", "table", TABLE.0, TABLE.1], "")?;
    // No table, no list: then everything is made.
    let there = if listed.ok { policy::leftovers(&String::from_utf8_lossy(&listed.stdout)) } else { Vec::new() };
    write(s, &policy::transaction(rules, ways, &there))
}

/// One transaction. A table that refuses it (of another version of this program, or one that somebody edited) is replaced whole.
fn write(s: &Settings, script: &str) -> Result<(), Problem> {
    let first = nft(s, &["-f", "-"], script)?;
    if first.ok {
        return Ok(());
    }
    note(s, &format!("refused, the table is replaced whole: {}", first.stderr));
    let table = format!("{} {}", TABLE.0, TABLE.1);
    let second = nft(s, &["-f", "-"], &format!("add table {table}\ndelete table {table}\n{}", without_deletions(script)))?;
    let refused = || Problem::new("NPL-101", "the kernel does not take the rules of the network policies", second.stderr.clone(), "see `antihate logs network-policy`; until it does, pods that are not known yet are closed");
    if second.ok { Ok(()) } else { Err(refused()) }
}

/// In an empty table there is nothing to delete.
fn without_deletions(script: &str) -> String {
    script.lines().filter(|l| !l.starts_with("delete ")).map(|l| format!("{l}\n")).collect()
}

fn nft(s: &Settings, args: &[&str], input: &str) -> Result<Outcome, Problem> {
    let failed = |e: std::io::Error| Problem::new("NPL-104", "nft cannot be run", e.to_string(), "see that the data root is whole: `antihate payload verify`");
    let (outcome, fed) = once::run(&s.program("nft"), "nft", args, &[], |pipe| pipe.write_all(input.as_bytes())).map_err(failed)?;
    // A reader that ended before its whole input says why itself.
    if outcome.ok { fed.map_err(failed)? }
    Ok(outcome)
}

/// A line in the log of this component.
pub fn note(s: &Settings, line: &str) {
    log::note(&s.layout.log(NAME), line);
}
