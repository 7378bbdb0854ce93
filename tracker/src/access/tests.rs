//! The lists as the doors, the application and the admin API see them.

use rusqlite::Connection;

use super::*;

const A: InfoHash = InfoHash::new([0xaa; 20]);
const B: InfoHash = InfoHash::new([0xbb; 20]);

/// A folder with what lists there are in it.
struct Folder {
    folder: tempfile::TempDir,
    settings: AccessSettings,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), settings: AccessSettings::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with(mut self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        *self.setting(name) = Some(path);
        self
    }

    fn with_database(mut self, rows: &[&str]) -> (Self, Connection) {
        let path = self.path("passkeys");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE passkeys (passkey TEXT)").unwrap();
        for row in rows {
            connection.execute("INSERT INTO passkeys VALUES (?1)", [row]).unwrap();
        }
        self.settings.passkeys = Some(path);
        (self, connection)
    }

    fn setting(&mut self, name: &str) -> &mut Option<PathBuf> {
        match name {
            "allow" => &mut self.settings.allow,
            "deny" => &mut self.settings.deny,
            _ => &mut self.settings.passkeys,
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn open(&self) -> Access {
        Access::open(&self.settings).unwrap()
    }
}

#[test]
fn without_lists_everyone_is_served() {
    let access = Access::open(&AccessSettings::default()).unwrap();
    assert_eq!(access.check_torrent(&A), Ok(()));
    assert_eq!(access.check_passkey(None), Ok(()));
    assert_eq!(access.check_passkey(Some(b"whatever")), Ok(()));
    assert_eq!(access.sizes(), Sizes::default());
    assert_eq!(access.sizes().to_string(), "no lists");
    assert!(!access.refresh().unwrap());
    let is_missing = |result| matches!(result, Err(AdminError::NotConfigured));
    for list in [List::Allowed, List::Denied] {
        assert!(is_missing(access.contains(list, &A)));
        assert!(is_missing(access.add(list, &A)));
        assert!(is_missing(access.remove(list, &A)));
    }
    assert!(is_missing(access.contains_passkey(b"x")));
    assert!(is_missing(access.add_passkey(b"x")));
    assert!(is_missing(access.remove_passkey(b"x")));
}

#[test]
fn torrents_are_allowed_or_denied() {
    let access = Folder::new().with("allow", &format!("{A}\n")).open();
    assert_eq!(access.check_torrent(&A), Ok(()));
    assert_eq!(access.check_torrent(&B), Err(Denied::NotAllowed));
    let access = Folder::new().with("deny", &format!("{A}\n")).open();
    assert_eq!(access.check_torrent(&A), Err(Denied::Denied));
    assert_eq!(access.check_torrent(&B), Ok(()));
    let both = Folder::new().with("allow", &format!("{A}\n{B}\n")).with("deny", &format!("{A}\n"));
    let access = both.open();
    assert_eq!(access.check_torrent(&A), Err(Denied::Denied), "it is denied, whatever else");
    assert_eq!(access.check_torrent(&B), Ok(()));
    let access = Folder::new().with("allow", "# none yet\n").open();
    assert_eq!(access.check_torrent(&A), Err(Denied::NotAllowed), "an empty list allows none");
}

#[test]
fn a_passkey_is_asked_where_there_are_any() {
    let access = Folder::new().with("passkeys", "one # of mine\ntwo\n").open();
    assert_eq!(access.check_passkey(Some(b"one")), Ok(()));
    assert_eq!(access.check_passkey(Some(b"two")), Ok(()));
    for wrong in [&b""[..], b"on", b"one ", b"ONE", b"\xff/%"] {
        assert_eq!(access.check_passkey(Some(wrong)), Err(Denied::WrongPasskey));
    }
    assert_eq!(access.check_passkey(None), Err(Denied::NoPasskey));
}

#[test]
fn a_reload_takes_all_lists_or_none() {
    let mut folder = Folder::new().with("allow", &format!("{A}\n")).with("passkeys", "one\n");
    let access = folder.open();
    std::fs::write(folder.path("allow"), format!("{A}\n{B}\n")).unwrap();
    std::fs::write(folder.path("passkeys"), "two\nno%key\n").unwrap();
    let error = access.reload(&folder.settings).unwrap_err().to_string();
    assert!(error.contains("passkeys:2: a passkey is"), "{error}");
    assert_eq!(access.check_torrent(&B), Err(Denied::NotAllowed));
    assert_eq!(access.check_passkey(Some(b"one")), Ok(()));
    folder = folder.with("passkeys", "two\n").with("deny", "");
    let reloaded = access.reload(&folder.settings).unwrap();
    assert_eq!(reloaded, Sizes { allowed: Some(2), denied: Some(0), passkeys: Some(1) });
    assert_eq!(access.sizes(), reloaded);
    assert_eq!(access.check_torrent(&B), Ok(()));
    assert_eq!(access.check_passkey(Some(b"one")), Err(Denied::WrongPasskey));
    assert_eq!(access.reload(&AccessSettings::default()).unwrap(), Sizes::default());
    assert_eq!(access.check_passkey(None), Ok(()));
}

#[test]
fn what_is_added_and_removed_is_in_memory_and_in_the_file() {
    let folder = Folder::new().with("allow", "# mine\n").with("deny", "").with("passkeys", "one\n");
    let access = folder.open();
    assert!(access.add(List::Allowed, &A).unwrap());
    assert!(!access.add(List::Allowed, &A).unwrap());
    assert!(access.contains(List::Allowed, &A).unwrap() && !access.contains(List::Denied, &A).unwrap());
    assert_eq!(access.check_torrent(&A), Ok(()));
    assert_eq!(folder.read("allow"), format!("# mine\n{A}\n"));
    assert!(access.add(List::Denied, &A).unwrap());
    assert_eq!((access.check_torrent(&A), folder.read("deny")), (Err(Denied::Denied), format!("{A}\n")));
    assert!(access.remove(List::Denied, &A).unwrap() && !access.remove(List::Denied, &A).unwrap());
    assert_eq!((access.check_torrent(&A), folder.read("deny")), (Ok(()), String::new()));
    assert!(access.add_passkey(b"two").unwrap() && !access.add_passkey(b"two").unwrap());
    assert!(access.contains_passkey(b"two").unwrap());
    assert!(access.remove_passkey(b"one").unwrap() && !access.remove_passkey(b"one").unwrap());
    assert_eq!(folder.read("passkeys"), "two\n");
    assert_eq!(access.check_passkey(Some(b"one")), Err(Denied::WrongPasskey));
    assert!(matches!(access.add_passkey(b"a/b"), Err(AdminError::Entry(EntryError::Passkey))));
    assert!(matches!(access.remove_passkey(b""), Err(AdminError::Entry(EntryError::Passkey))));
}

#[test]
fn what_is_not_on_disk_is_not_in_memory() {
    let folder = Folder::new().with("allow", &format!("{A}\n"));
    let access = folder.open();
    std::fs::remove_file(folder.path("allow")).unwrap();
    let error = access.add(List::Allowed, &B).unwrap_err();
    assert!(error.to_string().contains("allow: No such file"), "{error}");
    assert!(access.remove(List::Allowed, &A).is_err());
    assert_eq!(access.check_torrent(&A), Ok(()));
    assert_eq!(access.check_torrent(&B), Err(Denied::NotAllowed));
}

#[test]
fn an_entry_is_written_even_if_memory_has_it() {
    let folder = Folder::new().with("allow", &format!("{A}\n"));
    let access = folder.open();
    std::fs::write(folder.path("allow"), format!("{B}\n")).unwrap();
    assert!(!access.add(List::Allowed, &A).unwrap());
    assert_eq!(folder.read("allow"), format!("{B}\n{A}\n"), "somebody took it out of the file since");
}

#[test]
fn a_database_is_followed() {
    let (folder, owner) = Folder::new().with_database(&["one"]);
    let access = folder.open();
    assert_eq!(access.check_passkey(Some(b"one")), Ok(()));
    assert!(!access.refresh().unwrap());
    owner.execute("UPDATE passkeys SET passkey = 'two'", []).unwrap();
    assert!(access.refresh().unwrap() && !access.refresh().unwrap());
    assert_eq!(access.check_passkey(Some(b"one")), Err(Denied::WrongPasskey));
    assert_eq!(access.check_passkey(Some(b"two")), Ok(()));
    owner.execute("INSERT INTO passkeys VALUES ('no key')", []).unwrap();
    assert!(access.refresh().is_err());
    assert_eq!(access.check_passkey(Some(b"two")), Ok(()), "as it was");
    owner.execute("DELETE FROM passkeys WHERE passkey = 'no key'", []).unwrap();
    assert!(access.refresh().unwrap());
}

#[test]
fn a_database_is_changed_with_memory() {
    let (folder, owner) = Folder::new().with_database(&["one"]);
    let access = folder.open();
    assert!(access.add_passkey(b"two").unwrap() && !access.add_passkey(b"two").unwrap());
    assert!(access.remove_passkey(b"one").unwrap());
    assert_eq!(access.check_passkey(Some(b"two")), Ok(()));
    let rows = "SELECT group_concat(passkey) FROM passkeys";
    assert_eq!(owner.query_row(rows, [], |row| row.get::<_, String>(0)).unwrap(), "two");
    access.refresh().unwrap();
    assert_eq!(access.sizes().passkeys, Some(1));
    assert!(access.sizes().to_string().ends_with("1 passkeys"));
    // Who cannot write does not pretend.
    owner.execute_batch("DROP TABLE passkeys").unwrap();
    assert!(access.add_passkey(b"three").is_err());
    assert_eq!(access.check_passkey(Some(b"three")), Err(Denied::WrongPasskey));
}

#[test]
fn a_database_is_followed_after_a_reload_that_failed_and_into_another_file() {
    let (folder, owner) = Folder::new().with_database(&["one"]);
    let access = folder.open();
    let none = AccessSettings { allow: Some(folder.path("none")), ..folder.settings.clone() };
    assert!(access.reload(&none).is_err());
    owner.execute("INSERT INTO passkeys VALUES ('two')", []).unwrap();
    assert!(access.refresh().unwrap() && !access.refresh().unwrap());
    assert_eq!(access.check_passkey(Some(b"two")), Ok(()));
    let (other, _) = Folder::new().with_database(&["three"]);
    std::fs::rename(other.path("passkeys"), folder.path("passkeys")).unwrap();
    drop(owner);
    assert!(access.refresh().unwrap());
    assert_eq!(access.check_passkey(Some(b"three")), Ok(()));
    assert_eq!(access.check_passkey(Some(b"two")), Err(Denied::WrongPasskey));
}

#[test]
fn those_who_ask_go_on_while_lists_change() {
    let folder = Folder::new().with("allow", &format!("{A}\n"));
    let access = folder.open();
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..20 {
                access.add(List::Allowed, &B).unwrap();
                access.reload(&folder.settings).unwrap();
                access.remove(List::Allowed, &B).unwrap();
            }
        });
        while !changes.is_finished() {
            assert_eq!(access.check_torrent(&A), Ok(()));
        }
    });
    assert_eq!(access.check_torrent(&B), Err(Denied::NotAllowed));
}
