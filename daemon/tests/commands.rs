//! Commands that need no peers, as a user runs them: the configuration checked, completions, manual pages.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

use std::path::Path;
use std::process::{Command, Output};

fn btd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btd"));
    command.args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_good_configuration_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("btd.toml");
    std::fs::write(&file, "limits.upload_rate = \"1M\"\n").unwrap();
    let path = file.to_str().unwrap();
    let output = btd(&["check-config", "--config", path]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.starts_with(&format!("# ok: {path}\n")), "{printed}");
    assert!(printed.contains("upload_rate = 1000000\n") && printed.contains("[tracker]\n"), "{printed}");
    let output = btd(&["check-config", "--json", "--config", path]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["limits"]["upload_rate"], 1_000_000);
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("btd.toml");
    std::fs::write(&file, "[limits]\nratio = \"high\"\n").unwrap();
    for command in ["check-config", "run"] {
        let output = btd(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.starts_with(&format!("btd: {}:2:9: limits.ratio: ", file.display())), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn completions_and_manual_pages_are_generated() {
    for shell in ["bash", "fish", "zsh"] {
        let output = btd(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("check-config"), "{shell}");
    }
    assert_eq!(btd(&["completions", "tcsh"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    assert!(btd(&["man", folder.path().to_str().unwrap()]).status.success());
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("btd.1").contains("check\\-config"));
    assert!(page("btd-run.1").contains("metrics\\-listen"));
    assert!(!Path::new(&folder.path().join("btd-man.1")).exists(), "it is hidden");
    assert!(text(&btd(&["man"]).stdout).contains(".TH btd"));
}
