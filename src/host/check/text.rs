//! Checks as text for a terminal: what fails first, then what is lost, then one line a group, and the sum at the end.

use super::{Check, Group, Verdict};
use crate::status::check::{counts, sentence};
use std::fmt::Write;

/// How they are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Every check has a line, not only those with a problem.
    pub all: bool,
    /// The terminal shows colours.
    pub colour: bool,
}

impl Style {
    fn word(self, verdict: &Verdict) -> String {
        let word = format!("{:<8}", verdict.word());
        let colour = match verdict {
            _ if !self.colour => return word,
            Verdict::Ok => 32,
            Verdict::NotApplicable { .. } => 2,
            Verdict::Warning { .. } => 33,
            Verdict::Failure { .. } => 31,
        };
        format!("\x1b[{colour}m{word}\x1b[0m")
    }
}

/// The whole text.
pub fn render(checks: &[Check], style: Style) -> String {
    let mut out = String::new();
    let told = |out: &mut String, wanted: fn(&Verdict) -> bool| checks.iter().filter(|c| wanted(&c.verdict)).for_each(|c| problem(out, c, style));
    told(&mut out, Verdict::is_failure);
    told(&mut out, Verdict::is_warning);
    for group in Group::ALL {
        let of_group: Vec<&Check> = checks.iter().filter(|c| c.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{:<16} {}", group.title(), counts(&of_group));
        for c in of_group.iter().filter(|_| style.all) {
            let seen = if let Verdict::NotApplicable { reason } = &c.verdict { reason } else { &c.seen };
            let _ = writeln!(out, "  {} {}: {seen}", style.word(&c.verdict), c.title);
        }
    }
    let _ = writeln!(out, "\n{}", sentence(checks));
    out
}

fn problem(out: &mut String, check: &Check, style: Style) {
    let Some(p) = check.problem() else { return };
    let _ = writeln!(out, "{} {}  {} [{}]", style.word(&check.verdict), p.code, p.what, check.id);
    let _ = writeln!(out, "         why:  {}\n         next: {}\n", p.cause, p.next);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        let of = |group: Group, id, bad, worse| group.check(id, "Title", "it matters", "seen").fails(worse, "CHK-1", "it is broken", "Mend it.").warns(bad, "CHK-2", "it is poor", "Better it.");
        vec![of(Group::System, "system.x", true, false), of(Group::Disk, "disk.x", false, true), of(Group::Disk, "disk.y", false, false).only_if(false, "not here")]
    }

    #[test]
    fn failures_come_first_and_the_sum_last() {
        let text = render(&checks(), Style::default());
        assert!(text.starts_with("failure  CHK-1  it is broken [disk.x]\n         why:  it matters\n         next: Mend it.\n\nwarning  CHK-2"), "{text}");
        assert!(text.contains("Disk             1 failure, 1 skipped\n") && !text.contains("not here"), "{text}");
        assert!(text.ends_with("\nThis host cannot carry a node before the failures are mended: 3 checks, 1 failure, 1 warning, 1 skipped.\n"), "{text}");
    }

    #[test]
    fn every_check_has_a_line_where_that_is_asked_for_and_colour_only_then() {
        let text = render(&checks(), Style { all: true, colour: false });
        assert!(text.contains("  skipped  Title: not here\n") && !text.contains('\x1b'), "{text}");
        assert!(render(&checks(), Style { all: false, colour: true }).contains("\x1b[31mfailure \x1b[0m CHK-1"));
    }
}
