//! What a bare host may lack or hold against us, each provoked on a test host: one clear error, and no effect.

use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use antihate::host::storage::encryption;
use std::process::{Output, Stdio};
use std::time::Duration;

/// `up` must end with exit code 1 and exactly this code, with cause and next step, for a person and as JSON.
fn refused(out: &Output, code: &str) {
    let text = said(out);
    assert_eq!(out.status.code(), Some(1), "{code}: {text}");
    let line = text.lines().rfind(|l| l.contains(code)).unwrap_or_else(|| panic!("no {code}: {text}"));
    let problem: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    for part in ["what", "cause", "next"] {
        assert!(problem[part].as_str().is_some_and(|p| !p.is_empty()), "{code} has no {part}: {line}");
    }
}

fn up(host: &TestHost) -> Output {
    host.antihate(&["--json", "up", "--node-ip", &host.address])
}

/// Nothing was unpacked and no process runs.
fn untouched(host: &TestHost) {
    assert!(!host.data().join("current").exists(), "something was unpacked");
    assert_eq!(host.processes(), Vec::<i32>::new());
}

/// Runs a script inside the host's own network and mounts.
fn sh(host: &TestHost, script: &str) {
    let out = host.command("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(out.status.success(), "{script}: {}", said(&out));
}

#[test]
fn an_occupied_port_a_full_disk_and_a_kernel_without_overlay_are_each_told_and_change_nothing() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();

    let listen = "import socket,time\ns=socket.socket()\ns.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\ns.bind((\"0.0.0.0\",6443))\ns.listen()\nprint(1,flush=True)\ntime.sleep(600)";
    let mut squatter = host.command("python3").args(["-c", listen]).stdout(Stdio::piped()).spawn().expect("a squatter");
    until("the port is taken", Duration::from_secs(60), || host.command("python3").args(["-c", "import socket;socket.create_connection((\"127.0.0.1\",6443),1)"]).status().ok().filter(|s| s.success()));
    let out = up(&host);
    drop(squatter.kill());
    drop(squatter.wait());
    refused(&out, "CHK-110");
    assert!(said(&out).contains("6443 (kube-apiserver)"), "{}", said(&out));
    untouched(&host);

    let data = host.data().display().to_string();
    sh(&host, &format!("mkdir -p {data}; mount -t tmpfs -o size=300m none {data}"));
    refused(&up(&host), "CHK-111");
    untouched(&host);
    sh(&host, &format!("umount {data}"));

    let fake = host.folder().join("filesystems").display().to_string();
    sh(&host, &format!("grep -v overlay /proc/filesystems >{fake}; mount --bind {fake} /proc/filesystems"));
    refused(&up(&host), "CHK-108");
    sh(&host, "umount /proc/filesystems");
    untouched(&host);
}

#[test]
fn a_bare_test_host_is_judged_by_every_check_within_ten_seconds_and_none_fails() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let began = std::time::Instant::now();
    let out = host.antihate(&["check", "--json"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
    assert!(checks.len() >= 80, "{}", checks.len());
    let failed: Vec<&serde_json::Value> = checks.iter().filter(|c| c["verdict"] == "failure").collect();
    assert!(failed.is_empty() && matches!(out.status.code(), Some(0 | 2)), "{failed:#?}");
    let told = said(&host.antihate(&["check", "--group", "network"]));
    assert!(told.contains("network.way-out") && !told.contains("[disk."), "a test host has no way out, and only that group was asked for: {told}");
}

#[test]
fn who_is_not_root_is_told_so_first() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    // The data root of another would not even be readable: the answer must still be the one that helps.
    // The file may lie where nobody else may look: it is opened first and started through the open file.
    let script = "exec 9<\"$0\"; exec setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 --json up --data /var/lib/antihate-nobody";
    let out = host.command("sh").args(["-ec", script]).arg(crate::support::antihate()).output().expect("sh runs");
    refused(&out, "CHK-101");
}

#[test]
fn settings_with_a_fault_and_a_second_host_process_are_refused() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    std::fs::create_dir_all(host.data()).expect("a data root");
    std::fs::write(host.data().join("settings.toml"), "sampel = true\n").expect("written");
    let out = up(&host);
    refused(&out, "CFG-");
    assert!(said(&out).contains("sampel"), "{}", said(&out));
    std::fs::remove_file(host.data().join("settings.toml")).expect("removed");

    let held = std::fs::File::create(host.data().join("lock")).expect("a lock");
    fs2::FileExt::lock_exclusive(&held).expect("held");
    refused(&up(&host), "PRE-105");
    untouched(&host);
}

#[test]
fn a_file_that_holds_something_is_never_encrypted_nor_is_anything_where_the_kernel_cannot() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let letters = host.folder().join("letters");
    std::fs::create_dir_all(host.data()).expect("a data root");
    std::fs::write(&letters, "mine").expect("written");
    // Large enough for volumes, so that its content is what counts.
    std::fs::File::options().write(true).open(&letters).and_then(|f| f.set_len(9 << 30)).expect("a large file");
    std::fs::write(host.data().join("settings.toml"), format!("[storage]\nencrypt = {:?}\nencrypt_gib = 9\n", letters.display())).expect("written");
    let code = if encryption::has_dm_crypt(std::path::Path::new("/")) { "STG-112" } else { "STG-110" };
    let checks: serde_json::Value = serde_json::from_slice(&host.antihate(&["check", "--json"]).stdout).expect("JSON");
    let disk = checks.as_array().expect("a list").iter().find(|c| c["title"] == "Disk of the volumes").expect("it is judged");
    assert_eq!((&disk["verdict"], &disk["problem"]["code"]), (&"failure".into(), &code.into()), "{disk}");
    let mut node = host.start_antihate(&["up", "--node-ip", &host.address], "up.log");
    let summary = || serde_json::from_slice::<serde_json::Value>(&host.antihate(&["status", "--json"]).stdout).ok()?["summary"].as_str().map(str::to_owned);
    let told = until("the node says why it waits", Duration::from_secs(120), || summary().filter(|s| s.contains(code)));
    println!("{told}");
    drop(host.antihate(&["stop"]));
    drop(node.wait());
    let head = std::process::Command::new("head").args(["-c", "5"]).arg(&letters).output().expect("head");
    assert_eq!(head.stdout, b"mine\0", "the file is as it was");
    assert!(!host.data().join("secrets/volumes.key").exists() && !host.data().join("current").exists(), "nothing was made");
}

#[test]
fn a_model_folder_with_a_missing_file_is_named_by_the_preview() {
    let dir = tempfile::tempdir().expect("temp");
    let tree = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/text");
    for file in ["model.toml", "tokenizer.json", "golden.json"] {
        std::fs::copy(tree.join(file), dir.path().join(file)).expect("copied");
    }
    let data = dir.path().join("data").display().to_string();
    let model = dir.path().display().to_string();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_antihate"))
        .args(["--json", "preview", "--model", &model, "--data", &data, "--page", "127.0.0.1:0"]).stdin(Stdio::null()).output().expect("it starts");
    refused(&out, "MOD-");
    assert!(said(&out).contains("ngrams.bin"), "{}", said(&out));
}
