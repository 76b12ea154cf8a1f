//! The test hosts themselves: two of them reach each other, and a cut link is cut.

use crate::support::testhost::{Switch, can_run};

#[test]
fn two_test_hosts_reach_each_other_until_the_link_is_cut() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (one, two) = (switch.host(), switch.host());
    let serve = "python3 -c 'import socket;s=socket.socket();s.bind((\"0.0.0.0\",8080));s.listen();c=s.accept()[0];c.send(b\"x\")'";
    let mut server = one.command("sh").args(["-c", serve]).spawn().expect("a server");
    let ask = |seconds: u32| {
        let script = format!("import socket;s=socket.create_connection(('{}',8080),{seconds});print(s.recv(1))", one.address);
        two.command("python3").args(["-c", &script]).output().expect("a client").status.success()
    };
    one.link(false);
    assert!(!ask(1), "a cut link carries nothing");
    one.link(true);
    crate::support::until("the link is back", std::time::Duration::from_secs(30), || ask(1).then_some(()));
    drop(server.kill());
    drop(server.wait());
}
