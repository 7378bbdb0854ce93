//! The socket itself: who holds it, what is replaced, what is left alone.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;

fn start(path: &Path) -> Result<Control, ControlError> {
    start_with(Settings::new(path.to_owned()))
}

fn start_with(settings: Settings) -> Result<Control, ControlError> {
    Control::start(PROGRAM, settings, |stopping| routers(stopping, mpsc::channel().0))
}

fn is_served(path: &Path) -> bool {
    StdStream::connect(path).is_ok()
}

#[test]
fn of_two_programs_on_one_socket_the_second_is_told_who_has_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    let first = start(&path).unwrap();
    let error = start(&path).unwrap_err();
    assert!(matches!(error, ControlError::Held { .. }), "{error}");
    let us = format!("is held by process {}", std::process::id());
    assert!(error.to_string().contains(&us), "{error}");
    assert!(is_served(&path), "the first goes on");
    first.stop(Duration::ZERO);
    assert!(!path.exists());
    start(&path).unwrap().stop(Duration::ZERO);
}

#[test]
fn the_socket_of_a_dead_program_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists() && !is_served(&path));
    let control = start(&path).unwrap();
    assert!(is_served(&path));
    control.stop(Duration::ZERO);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    fs::write(&path, "precious").unwrap();
    let error = start(&path).unwrap_err();
    assert!(matches!(error, ControlError::NoSocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_has_its_mode_and_its_folder_is_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run/game/game.sock");
    let control = start_with(Settings { socket_mode: 0o620, ..Settings::new(path.clone()) }).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o620, 0o750));
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    control.stop(Duration::ZERO);
    assert!(path.parent().unwrap().exists(), "others may have put something there");
}

#[test]
fn without_a_group_that_may_the_socket_is_for_its_owner_alone() {
    let mode = |gid| Settings::new(PathBuf::new()).with_group(gid).socket_mode;
    assert_eq!((mode(None), mode(Some(1))), (0o600, 0o660));
}

#[test]
fn the_socket_has_its_group() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    // Anybody may give a file to a group of theirs, and root to any.
    let groups = nix::unistd::getgroups().unwrap();
    let own = nix::unistd::getegid();
    let is_root = nix::unistd::geteuid().is_root();
    let other = groups.into_iter().find(|gid| *gid != own).or(is_root.then_some(12_345.into()));
    let gid = other.unwrap_or(own).as_raw();
    let control = start_with(Settings { socket_gid: Some(gid), ..Settings::new(path.clone()) }).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().gid(), gid);
    control.stop(Duration::ZERO);
}

#[test]
fn a_socket_that_somebody_else_put_in_its_place_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    let control = start(&path).unwrap();
    // Not removed first: its inode must not be used again.
    let other = folder.path().join("other.sock");
    let _theirs = UnixListener::bind(&other).unwrap();
    fs::rename(&other, &path).unwrap();
    control.stop(Duration::ZERO);
    assert!(is_served(&path));
}

#[test]
fn a_path_that_cannot_be_is_named() {
    let folder = TempDir::new().unwrap();
    let long = folder.path().join("x".repeat(200));
    let error = start(&long).unwrap_err().to_string();
    assert!(error.contains(long.to_str().unwrap()), "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("game.sock");
    let error = start(&below).unwrap_err().to_string();
    assert!(error.contains(below.to_str().unwrap()), "{error}");
}

#[test]
fn while_another_makes_its_socket_nobody_else_does() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    let lock = fs::File::open(folder.path()).unwrap();
    lock.lock().unwrap();
    assert!(matches!(start(&path).unwrap_err(), ControlError::Contended(_)));
    drop(lock);
    start(&path).unwrap().stop(Duration::ZERO);
}

#[test]
fn an_inherited_socket_is_served_and_left_where_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let inherited = Some(listener.try_clone().unwrap());
    let elsewhere = Settings::new(folder.path().join("no.sock"));
    let control = start_with(Settings { inherited, ..elsewhere }).unwrap();
    assert_eq!(Client::on(StdStream::connect(&path).unwrap()).ask("GET", "/hello", ""), hello());
    control.stop(Duration::ZERO);
    assert!(is_served(&path), "whoever made it may start us again");
    assert!(!folder.path().join("no.sock").exists());
}

#[test]
fn an_address_for_metrics_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("game.sock");
    let settings = Settings { metrics_listen: Some(address), ..Settings::new(path.clone()) };
    let error = start_with(settings).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(!path.exists(), "nothing is left behind");
}
