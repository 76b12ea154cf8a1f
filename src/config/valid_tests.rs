//! What is accepted, what is refused, and with which code.

use super::valid::*;

fn code(text: &str) -> String {
    Valid::parse(text).expect_err(text).code
}

#[test]
fn an_empty_file_is_the_defaults_with_the_figures_of_the_guide() {
    let valid = Valid::parse("").unwrap();
    assert_eq!(valid, Valid::default());
    assert_eq!((valid.analyzer.batch_size, valid.analyzer.max_sequence_length), (32, 512));
    assert!(!valid.sample && valid.sources.import.enabled);
}

#[test]
fn a_full_file_is_read_and_written_again_alike() {
    let text = include_str!("../../tests/fixtures/settings-full.toml");
    let valid = Valid::parse(text).unwrap();
    assert_eq!(valid.sources.hashtags, ["hate-speech-en", "hate-speech-es"]);
    assert_eq!(valid.languages, ["en", "pt-br"]);
    assert_eq!(Valid::parse(&save_text(&valid)).unwrap(), valid);
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let problem = Valid::parse("sample = true\n\n[node]\nnam = \"x\"\n").unwrap_err();
    assert_eq!(problem.code, "CFG-101");
    assert!(problem.what.contains("line 4"), "{}", problem.what);
    assert!(problem.cause.contains("nam"), "{}", problem.cause);
}

#[test]
fn each_fault_has_its_own_code() {
    for (text, want) in [
        ("sample = 3", "CFG-101"),
        ("[node]\nname = \"Leaf One\"", "CFG-102"),
        ("[node]\nname = \"-a\"", "CFG-102"),
        ("[node]\ngeography = \" \"", "CFG-103"),
        ("[[sources.rss]]\nurl = \"ftp://a.example/f\"", "CFG-104"),
        ("[[sources.mastodon]]\nserver = \"https://a.example/web\"", "CFG-104"),
        ("[[sources.rss]]\nurl = \"http://a.example/f\"\n[[sources.rss]]\nurl = \"http://a.example/f\"", "CFG-105"),
        ("retention_days = 0", "CFG-106"),
        ("[analyzer]\nmax_sequence_length = 4096", "CFG-106"),
        ("[sources]\nhashtags = [\"a b\"]", "CFG-107"),
        ("languages = [\"english\"]", "CFG-108"),
        ("[network]\nstack = \"ipv6\"", "CFG-101"),
        ("[network]\nstack = \"dual\"\nbetween = \"open\"", "CFG-114"),
        ("[storage]\nencrypt = \"sdb\"", "CFG-112"),
        ("[storage]\nencrypt = \"/srv/../dev/sdb\"", "CFG-112"),
        ("[storage]\nencrypt = \"/dev/sdb\"\nfolder = \"/srv/disk\"", "CFG-112"),
        ("[storage]\nencrypt = \"/dev/sdb\"\nencrypt_gib = 8", "CFG-112"),
        ("[storage]\nencrypt = \"/srv/disk/v\"", "CFG-112"),
        ("[storage]\nencrypt = \"/srv/disk/v\"\nencrypt_gib = 7", "CFG-112"),
        ("[storage]\nencrypt_gib = 8", "CFG-112"),
    ] {
        assert_eq!(code(text), want, "{text}");
    }
}

#[test]
fn credentials_in_an_address_are_refused_and_not_repeated() {
    let problem = Valid::parse("[[sources.rss]]\nurl = \"http://u:topsecret@a.example/f\"").unwrap_err();
    assert_eq!(problem.code, "CFG-104");
    assert!(!problem.render().contains("topsecret"));
}

#[test]
fn a_missing_file_is_the_defaults_and_a_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(&dir.path().join("settings.toml")).unwrap(), Valid::default());
    assert_eq!(load(dir.path()).unwrap_err().code, "CFG-100");
}
