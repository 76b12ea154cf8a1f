//! The repository's own invariants: layers, crate fences, module heads, sizes, README paths, top level, privacy of the tree.

use regex::Regex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

const VOCABULARY: &[&str] = &["config", "domain", "manifests", "policy", "status", "wire"];
const MECHANISMS: &[&str] =
    &["cluster", "device", "discovery", "fetch", "files", "inference", "payload", "pki", "process", "queue", "store", "task", "telemetry", "web"];
const ROLES: &[&str] = &["analyze", "console", "enroll", "host", "join", "observe", "operate", "preview", "record", "setup", "support"];
/// Mechanisms that every mechanism may use.
const COMMON: &[&str] = &["files", "task", "telemetry"];
/// Arrows between roles; everything else is forbidden.
const ROLE_ARROWS: &[(&str, &[&str])] = &[
    ("host", &["setup", "enroll", "join", "operate", "record", "support"]),
    ("preview", &["observe", "analyze", "record", "setup"]),
    ("analyze", &["record"]),
    // The console shows what these publish and starts what they offer; nothing of it is decided there.
    ("console", &["host", "setup", "support"]),
];
/// Heavy crates and their only home.
const FENCES: &[(&str, &[&str])] = &[
    ("kube", &["cluster"]),
    ("rdkafka", &["queue"]),
    ("rusqlite", &["store"]),
    ("tokio_postgres", &["store"]),
    ("tract_onnx", &["inference"]),
    ("ort", &["inference"]),
    ("tokenizers", &["inference"]),
    ("rcgen", &["pki"]),
    ("reqwest", &["fetch"]),
    ("rtnetlink", &["process"]),
    ("x25519_dalek", &["pki"]),
    ("axum_server", &["web"]),
    ("tonic", &["device"]),
    ("prost", &["device"]),
    ("argon2", &["setup"]),
    ("zxcvbn", &["setup"]),
    ("age", &["support"]),
    ("mdns_sd", &["discovery"]),
    ("ratatui", &["console"]),
    ("signal_hook", &["console"]),
    ("anyhow", &["cli"]),
];
const LINES_A_FILE: usize = 400;
const LINES_A_FUNCTION: usize = 80;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Tracked files and new ones that git does not ignore, relative to the root.
fn files() -> Vec<String> {
    let out = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output().expect("git runs");
    let list = String::from_utf8(out.stdout).expect("names are UTF-8");
    let mut all: Vec<String> = list.lines().filter(|l| root().join(l).is_file()).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    assert!(all.len() > 10, "the list of files is implausibly short");
    all
}

fn rust_sources() -> Vec<(String, String)> {
    let rust = |f: &String| f.starts_with("src/") && f.ends_with(".rs");
    files().into_iter().filter(rust).map(|f| (f.clone(), std::fs::read_to_string(root().join(&f)).expect("readable"))).collect()
}

/// `src/host/up.rs` -> `host`; the doors have none.
fn module(path: &str) -> Option<&str> {
    let top = path.strip_prefix("src/")?.split('/').next()?;
    (!top.ends_with(".rs") && top != "bin").then_some(top)
}

/// Without comments and without the `#[cfg(test)]` module, which may use what it needs.
fn product_code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    product.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn may_use(from: &str, to: &str) -> bool {
    if from == to || from == "cli" || VOCABULARY.contains(&to) {
        return true;
    }
    if VOCABULARY.contains(&from) {
        return false;
    }
    if MECHANISMS.contains(&from) {
        return COMMON.contains(&to);
    }
    MECHANISMS.contains(&to) || ROLE_ARROWS.iter().any(|(role, uses)| *role == from && uses.contains(&to))
}

#[test]
fn arrows_between_modules_point_down_the_layers() {
    let uses = Regex::new(r"crate::([a-z_]+)").expect("pattern");
    let mut broken = Vec::new();
    for (path, text) in rust_sources() {
        let Some(from) = module(&path) else { continue };
        for found in uses.captures_iter(&product_code(&text)) {
            let to = found.get(1).expect("group").as_str();
            let known = [VOCABULARY, MECHANISMS, ROLES, &["cli"]].iter().any(|l| l.contains(&to));
            if known && !may_use(from, to) {
                broken.push(format!("{path}: {from} -> {to}"));
            }
        }
    }
    broken.dedup();
    assert!(broken.is_empty(), "broken arrows:\n{}", broken.join("\n"));
}

#[test]
fn each_heavy_crate_has_one_home() {
    let mut broken = Vec::new();
    for (name, homes) in FENCES {
        let named = Regex::new(&format!(r"(^|[^A-Za-z0-9_:.]){name}::")).expect("pattern");
        for (path, text) in rust_sources() {
            let home = module(&path).unwrap_or("main");
            if !homes.contains(&home) && product_code(&text).lines().any(|l| named.is_match(l)) {
                broken.push(format!("{path} uses {name}, whose home is {homes:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn tasks_are_spawned_in_one_place() {
    let broken: Vec<String> = rust_sources()
        .into_iter()
        .filter(|(path, text)| !path.starts_with("src/task/") && product_code(text).contains("tokio::spawn("))
        .map(|(path, _)| path)
        .collect();
    assert!(broken.is_empty(), "tokio::spawn outside task: {broken:?}");
}

#[test]
fn every_module_opens_with_its_purpose_and_none_is_an_orphan() {
    let sources: BTreeMap<String, String> = rust_sources().into_iter().collect();
    let mut broken = Vec::new();
    for (path, text) in &sources {
        if !text.starts_with("//! ") {
            broken.push(format!("{path}: no purpose in the first line"));
        }
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let Some((parent, name)) = stem.rsplit_once('/') else { continue };
        if parent == "src/bin" || ["main", "lib"].contains(&name) {
            continue;
        }
        let heads = if parent == "src" { vec!["src/lib.rs".to_owned()] } else { vec![format!("{parent}/mod.rs"), format!("{parent}.rs")] };
        let declared = Regex::new(&format!(r"(?m)^\s*(pub(\([a-z]+\))? )?mod {name};")).expect("pattern");
        if !heads.iter().any(|h| sources.get(h).is_some_and(|t| declared.is_match(t))) {
            broken.push(format!("{path}: no module declares it"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_and_functions_stay_within_their_room() {
    let mut broken = Vec::new();
    for (path, text) in rust_sources() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > LINES_A_FILE && !text.contains("//! Long because") {
            broken.push(format!("{path}: {} lines", lines.len()));
        }
        broken.extend(long_functions(&path, &lines));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Functions whose closing brace, at the indent of their `fn`, comes after more than the allowed lines.
fn long_functions(path: &str, lines: &[&str]) -> Vec<String> {
    let head = Regex::new(r"^(\s*)(pub(\([a-z]+\))? )?(async )?(unsafe )?fn ([a-z0-9_]+)").expect("pattern");
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(at) = head.captures(line) else { continue };
        let end = format!("{}}}", &at[1]);
        if let Some(length) = lines[start..].iter().position(|l| *l == end)
            && length > LINES_A_FUNCTION
        {
            found.push(format!("{path}:{}: {} has {length} lines", start + 1, &at[6]));
        }
    }
    found
}

#[test]
fn the_door_is_small() {
    let lines = std::fs::read_to_string(root().join("src/main.rs")).expect("main").lines().count();
    assert!(lines <= 60, "src/main.rs has {lines} lines");
}

#[test]
fn the_top_level_is_what_the_customer_fixed() {
    let allowed = ["Cargo.toml", "Cargo.lock", "src", "appliance", "models", "images", "web", "tests", "README.md"];
    let strange: Vec<String> = files()
        .into_iter()
        .filter(|f| {
            let top = f.split('/').next().expect("a name");
            !top.starts_with('.') && !allowed.contains(&top)
        })
        .collect();
    assert!(strange.is_empty(), "outside the fixed top level: {strange:?}");
}

#[test]
fn paths_in_the_readme_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let quoted = Regex::new(r"`((?:src|appliance|models|images|web|tests)/[A-Za-z0-9_./-]*)").expect("pattern");
    let missing: Vec<String> = quoted
        .captures_iter(&readme)
        .map(|c| c[1].trim_end_matches('.').to_owned())
        .filter(|p| !root().join(p).exists())
        .collect();
    assert!(missing.is_empty(), "the README names what is not there: {missing:?}");
}

#[test]
fn nothing_in_the_tree_names_the_place_where_it_was_built() {
    let pattern = ["/wo", "rk/(main|wt|shared|cache|brief|\\.library)|BEGIN (EC |RSA |OPENSSH )?PRIV", "ATE KEY-----\\n[A-Za-z0-9+/]"].concat();
    let forbidden = Regex::new(&pattern).expect("pattern");
    let broken: Vec<String> = files()
        .into_iter()
        .filter(|f| !f.ends_with(".onnx") && !f.ends_with(".bin"))
        .filter(|f| std::fs::read_to_string(root().join(f)).is_ok_and(|text| forbidden.is_match(&text)))
        .collect();
    assert!(broken.is_empty(), "a path of the build machine or a private key: {broken:?}");
}
