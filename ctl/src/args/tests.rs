//! What is typed, and what it means. What is then sent is tested where it is sent.

use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;
use protocol::control::{ListQuery, State};

use super::*;

const HASH: &str = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once("btctl").chain(line.split(' ')))
}

fn command(line: &str) -> Command {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
}

/// Lines that are usage errors.
fn refused(lines: &[&str]) {
    for line in lines {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn global_options_stand_anywhere() {
    for line in ["--socket /s --json --color never list", "list --color never --json --socket /s"] {
        let global = parse(line).unwrap().global;
        assert_eq!(global, GlobalArgs { socket: Some("/s".into()), json: true, color: Color::Never });
    }
    let global = parse("stats").unwrap().global;
    assert_eq!((global.json, global.color), (false, Color::Auto));
    refused(&["list --color blue", "list --socket"]);
}

#[test]
fn help_is_no_failure_and_nothing_is_one() {
    assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
    refused(&["", "dance", "list extra", "stats --quick"]);
    assert_eq!(Args::try_parse_from(["btctl"]).unwrap_err().exit_code(), 2);
}

#[test]
fn a_malformed_magnet_is_a_usage_error() {
    refused(&[
        "add",
        "add magnet:?dn=x",
        "add magnet:?xt=urn:btih:12",
        "add a.torrent magnet:",
        "add --bad a",
    ]);
    let Command::Add(args) =
        command(&format!("add {HASH} magnet:?xt=urn:btih:{HASH} http://a/b c.torrent -"))
    else {
        panic!()
    };
    assert_eq!(args.sources.len(), 5);
}

#[test]
fn every_option_of_add_is_read() {
    let Command::Add(args) = command(
        "add x -d /srv -l iso --seed-only --skip-check --upload-limit 5k --ratio-limit 2 --seed-time-limit 1h --wait \
         --timeout 5m --file-path 0=a",
    ) else {
        panic!()
    };
    assert_eq!((args.dir.as_deref(), args.label.as_deref()), (Some("/srv"), Some("iso")));
    assert!(args.seed_only && args.skip_check && args.wait && !args.paused && !args.sequential);
    assert_eq!(
        (args.upload_limit, args.ratio_limit, args.seed_time_limit),
        (Some(5_000), Some(2.0), Some(3_600))
    );
    assert_eq!(args.timeout, Some(Duration::from_secs(300)));
    refused(&[
        "add x --timeout 5m",
        "add x --wait --paused",
        "add x --seed-only --select 1",
        "add x --seed-only --sequential",
        "add x --seed-only --download-limit 5k",
        "add x --wait --timeout soon",
        "add x --label ",
    ]);
}

#[test]
fn a_list_is_filtered_and_sorted() {
    let query = |line: &str| match command(line) {
        Command::List(args) => args.filter.query(),
        Command::Watch(args) => args.filter.query(),
        other => panic!("{other:?}"),
    };
    for name in ["list", "ls", "watch"] {
        let plain = ListQuery::default();
        assert_eq!(query(name), plain);
        let with = |options: &str| query(&format!("{name} {options}"));
        assert_eq!(with("--state seeding"), ListQuery { state: Some(State::Seeding), ..plain.clone() });
        assert_eq!(with("--label iso"), ListQuery { label: Some("iso".into()), ..plain.clone() });
        assert_eq!(with("--label "), ListQuery { label: Some(String::new()), ..plain.clone() });
        assert_eq!(
            with("--tracker t.example"),
            ListQuery { tracker: Some("t.example".into()), ..plain.clone() }
        );
        assert_eq!(with("--sort -ratio"), ListQuery { sort: "-ratio".parse().ok(), ..plain.clone() });
        assert_eq!(with("--sort=name"), ListQuery { sort: "name".parse().ok(), ..plain });
    }
    refused(&["list --state lost", "list --sort colour", "list --sort -", "watch --interval 1ms"]);
    let Command::Watch(args) = command("watch --interval 5s") else { panic!() };
    assert_eq!(args.interval, Duration::from_secs(5));
    let Command::Watch(args) = command("watch") else { panic!() };
    assert_eq!(args.interval, Duration::from_secs(1));
}

#[test]
fn actions_take_several_torrents_and_at_least_one() {
    let ids = || vec!["a".to_owned(), "b".to_owned()];
    for (name, make) in [
        ("show", Command::Show as fn(Torrents) -> Command),
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("reannounce", Command::Reannounce),
        ("magnet", Command::Magnet),
    ] {
        assert_eq!(command(&format!("{name} a b")), make(Torrents { ids: ids() }));
        refused(&[name]);
    }
    for name in ["files", "peers", "trackers", "pieces"] {
        refused(&[name, &format!("{name} a b")]);
        assert!(parse(&format!("{name} a")).is_ok());
    }
    assert_eq!(command("remove a b --data"), Command::Remove(RemoveArgs { ids: ids(), data: true }));
    assert_eq!(command("rm a b"), Command::Remove(RemoveArgs { ids: ids(), data: false }));
    let wait = WaitArgs { ids: ids(), timeout: Some(Duration::from_secs(90)) };
    assert_eq!(command("wait a b --timeout 90s"), Command::Wait(wait));
    let verify = VerifyArgs { ids: ids(), wait: true, timeout: Some(Duration::from_secs(60)) };
    assert_eq!(command("verify a b --wait --timeout 1m"), Command::Verify(verify));
    refused(&["remove", "wait", "verify", "verify a --timeout 1m"]);
}

#[test]
fn a_folder_to_move_to_is_absolute() {
    let here = std::env::current_dir().unwrap().join("x").to_str().unwrap().to_owned();
    let moved = |already_there| Command::Move(MoveArgs { id: "a".into(), dir: here.clone(), already_there });
    assert_eq!(command("move a x"), moved(false));
    assert_eq!(command("set-location a x --already-there"), moved(true));
    assert_eq!(command("backup x"), Command::Backup { file: here.clone() });
    refused(&["move a", "backup"]);
}

#[test]
fn limits_are_set_or_taken_away_and_at_least_one_is_named() {
    let Command::Limit(args) = command("limit a b --up 5k --down none --ratio never --seed-time 7d") else {
        panic!()
    };
    assert_eq!(args.ids, ["a", "b"]);
    assert_eq!((args.up, args.down), (Some(Setting(Some(5_000))), Some(Setting(None))));
    assert_eq!((args.ratio, args.seed_time), (Some(Setting(Some(0.0))), Some(Setting(Some(604_800)))));
    refused(&["limit a", "limit --up 5k", "limit a --up 5", "limit a --ratio -1", "limit a --seed-time 7"]);
}

#[test]
fn labels_and_files_are_chosen() {
    let label =
        |label: Option<&str>| Command::Label(LabelArgs { id: "a".into(), label: label.map(str::to_owned) });
    assert_eq!((command("label a x"), command("label a")), (label(Some("x")), label(None)));
    let Command::Select(args) = command("select a 0,2 *.iso --sequential") else { panic!() };
    assert_eq!((args.files, args.sequential), (vec!["0,2".to_owned(), "*.iso".to_owned()], true));
    let Command::Select(args) = command("select a --all --rarest-first") else { panic!() };
    assert!(args.all && args.rarest_first && !args.sequential);
    refused(&["select a", "select a --all 1", "select a --sequential --rarest-first", "label"]);
}

#[test]
fn files_are_written_where_it_is_said() {
    let Command::Create(args) = command("create /a -o b -t http://c --seed -l d") else { panic!() };
    assert_eq!((args.output, args.trackers), (Some("b".into()), vec!["http://c".to_owned()]));
    assert_eq!((args.seed, args.label.as_deref()), (true, Some("d")));
    let export = |output: Option<&str>| ExportArgs { id: "a".into(), output: output.map(PathBuf::from) };
    assert_eq!(command("export a -o b"), Command::Export(export(Some("b"))));
    assert_eq!(command("export a"), Command::Export(export(None)));
    assert_eq!(command("completions fish"), Command::Completions { shell: Shell::Fish });
    refused(&["create", "create a --label x", "create a --piece-length 5", "export", "completions dos"]);
}
