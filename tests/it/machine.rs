//! What only another kernel or an init can show, in an emulated machine: encrypted volumes, the kernel's own WireGuard, a clock
//! that is really set, systemd with version 2 of control groups, SCTP. Emulation is slow, so each is a command of its own.

use crate::support::needs_the_file;
use crate::support::vm::{CUT, Vm};

#[test]
#[ignore = "an emulated machine. `cargo test --release --test it -- --ignored --nocapture machine::volumes`"]
fn volumes_lie_encrypted_on_an_empty_disk_through_a_kill_a_power_cut_and_a_wrong_key() {
    if !needs_the_file() {
        return;
    }
    let vm = Vm::new(&["3G", "3G"]);
    assert_eq!(vm.boot("luks", &["--cut-at", "s  CUT", "--timeout", "3600"]), CUT, "formatted and in use until the power is cut");
    assert_eq!(vm.boot("luks", &["--timeout", "3600"]), 0, "opened again");
}

#[test]
#[ignore = "an emulated machine. `cargo test --release --test it -- --ignored --nocapture machine::the_kernels`"]
fn the_kernels_own_wireguard_serves_the_mesh() {
    if needs_the_file() {
        assert_eq!(Vm::new(&[]).boot("mesh", &["--timeout", "2400"]), 0);
    }
}

#[test]
#[ignore = "an emulated machine. `cargo test --release --test it -- --ignored --nocapture machine::a_clock`"]
fn a_clock_that_is_wrong_or_set_while_the_node_runs_is_followed() {
    if needs_the_file() {
        assert_eq!(Vm::new(&[]).boot("clock", &["--clock", "1970-01-02T00:00:00", "--timeout", "5400"]), 0);
    }
}

#[test]
#[ignore = "an emulated machine. `cargo test --release --test it -- --ignored --nocapture machine::systemd`"]
fn systemd_starts_the_installed_node_with_the_host() {
    if needs_the_file() {
        assert_eq!(Vm::new(&[]).boot("systemd", &["--systemd", "--timeout", "5400"]), 0);
    }
}

#[test]
#[ignore = "an emulated machine. `cargo test --release --test it -- --ignored --nocapture machine::sctp`"]
fn sctp_is_let_through_and_stopped_as_policies_say() {
    if needs_the_file() {
        assert_eq!(Vm::new(&[]).boot("sctp", &["--timeout", "2400"]), 0);
    }
}
