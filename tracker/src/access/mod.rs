//! Who and what is tracked: lists of info-hashes that are, or are not, and the passkeys of those who may announce. Both
//! doors ask for each announce and scrape, and wait for nobody but who changes a list in memory, which takes as long as a
//! look into it. The application reloads all, the admin API changes single entries: those wait for disks, one at a time.
//!
//! Lists are read whole, so that nobody who asks waits for a disk.

mod database;
mod entry;
mod error;
mod file;
mod list;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use protocol::id::InfoHash;

use database::Database;
use entry::{Entry, Passkey};
use list::Entries;

pub use entry::EntryError;
pub use error::{AccessError, AdminError, Denied};

/// Where the lists are. What is not there is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// A file of info-hashes: only these are tracked.
    pub allow: Option<PathBuf>,
    /// A file of info-hashes that are not tracked, whatever the other says.
    pub deny: Option<PathBuf>,
    /// A file of passkeys, or an SQLite database (table `passkeys`, column `passkey`): only who has one is served.
    pub passkeys: Option<PathBuf>,
}

/// A list of info-hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Those that are tracked.
    Allowed,
    /// Those that are not.
    Denied,
}

/// How many entries the lists have; `None` where there is no list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Info-hashes that are tracked.
    pub allowed: Option<usize>,
    /// Info-hashes that are not.
    pub denied: Option<usize>,
    /// Passkeys.
    pub passkeys: Option<usize>,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = [(self.allowed, "allowed"), (self.denied, "denied"), (self.passkeys, "passkeys")];
        let there = sizes.into_iter().filter_map(|(size, name)| Some(format!("{} {name}", size?)));
        match &there.collect::<Vec<_>>()[..] {
            [] => f.write_str("no lists"),
            there => f.write_str(&there.join(", ")),
        }
    }
}

/// The lists, shared by all threads.
#[derive(Debug)]
pub struct Access {
    lists: ArcSwap<Lists>,
    /// Held by who reads or writes files: the doors never do. In it the database, if passkeys come from one and it
    /// could be opened.
    editing: Mutex<Option<Database>>,
}

#[derive(Debug)]
struct Lists {
    allowed: Option<Entries<InfoHash>>,
    denied: Option<Entries<InfoHash>>,
    passkeys: Option<Entries<Passkey>>,
    /// Whether the passkeys come from a database, and not from a file.
    is_database: bool,
}

impl Access {
    /// Reads the lists that `settings` name.
    ///
    /// # Errors
    /// When one cannot be read, with its path, and the line if it is that.
    pub fn open(settings: &AccessSettings) -> Result<Self, AccessError> {
        let (lists, database) = Lists::load(settings)?;
        Ok(Self { lists: ArcSwap::from_pointee(lists), editing: Mutex::new(database) })
    }

    /// Whether the torrent `hash` is tracked.
    ///
    /// # Errors
    /// Says why not.
    pub fn check_torrent(&self, hash: &InfoHash) -> Result<(), Denied> {
        let lists = self.lists.load();
        if lists.denied.as_ref().is_some_and(|list| list.contains(hash)) {
            return Err(Denied::Denied);
        }
        match &lists.allowed {
            Some(list) if !list.contains(hash) => Err(Denied::NotAllowed),
            _ => Ok(()),
        }
    }

    /// Whether who announces with `passkey` is served: anyone, where no passkeys are configured.
    ///
    /// It is looked up by its hash, keyed at random: how long that takes tells nothing of how much of a guess was right,
    /// for a guess that is wrong anywhere is compared with other passkeys, or none.
    ///
    /// # Errors
    /// Says why not.
    pub fn check_passkey(&self, passkey: Option<&[u8]>) -> Result<(), Denied> {
        match (&self.lists.load().passkeys, passkey) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Denied::NoPasskey),
            (Some(list), Some(passkey)) if list.contains(passkey) => Ok(()),
            (Some(_), Some(_)) => Err(Denied::WrongPasskey),
        }
    }

    /// How many entries the lists have.
    pub fn sizes(&self) -> Sizes {
        self.lists.load().sizes()
    }

    /// Reads all lists again, which may be others now. Takes as long as the disk.
    ///
    /// # Errors
    /// When one cannot be read: all stay as they were.
    pub fn reload(&self, settings: &AccessSettings) -> Result<Sizes, AccessError> {
        let mut editing = self.edit();
        // Closed before its file is looked at; after a failure, `refresh` opens it again.
        drop(editing.take());
        let (lists, database) = Lists::load(settings)?;
        let sizes = lists.sizes();
        self.lists.store(lists.into());
        *editing = database;
        Ok(sizes)
    }

    /// Reads the passkeys again if they come from a database that has changed: to be called every few seconds. Returns
    /// whether it did. Where nothing changed that takes microseconds; else as long as the disk, and as others keep the
    /// database locked, up to five seconds.
    ///
    /// # Errors
    /// When the database cannot be read: the passkeys stay as they were.
    pub fn refresh(&self) -> Result<bool, AccessError> {
        let mut editing = self.edit();
        let lists = self.lists.load_full();
        let Some(list) = lists.passkeys.as_ref().filter(|_| lists.is_database) else { return Ok(false) };
        let passkeys = match &mut *editing {
            Some(database) if !database.is_replaced()? => {
                if !database.has_changed()? {
                    return Ok(false);
                }
                database.load()?
            }
            database => {
                drop(database.take());
                let (opened, passkeys) = Database::open(list.path())?;
                *database = Some(opened);
                passkeys
            }
        };
        list.replace(passkeys);
        Ok(true)
    }

    /// Whether `list` holds `hash`.
    ///
    /// # Errors
    /// When there is no such list.
    pub fn contains(&self, list: List, hash: &InfoHash) -> Result<bool, AdminError> {
        Ok(self.lists.load().of(list)?.contains(hash))
    }

    /// Adds `hash` to `list`, and to its file; it is on disk when this returns. Returns whether it is new.
    ///
    /// # Errors
    /// When there is no such list, or it cannot be written: it is then as it was.
    pub fn add(&self, list: List, hash: &InfoHash) -> Result<bool, AdminError> {
        let _editing = self.edit();
        let lists = self.lists.load_full();
        let list = lists.of(list)?;
        add(list, *hash, file::append)
    }

    /// Takes `hash` from `list`, and from its file; it is gone from disk when this returns. Returns whether it was there.
    ///
    /// # Errors
    /// As of [`Access::add`].
    pub fn remove(&self, list: List, hash: &InfoHash) -> Result<bool, AdminError> {
        let _editing = self.edit();
        let lists = self.lists.load_full();
        let list = lists.of(list)?;
        file::remove(list.path(), hash)?;
        Ok(list.remove(hash))
    }

    /// Whether `passkey` is known.
    ///
    /// # Errors
    /// When there are no passkeys.
    pub fn contains_passkey(&self, passkey: &[u8]) -> Result<bool, AdminError> {
        Ok(self.lists.load().passkeys()?.contains(passkey))
    }

    /// Adds `passkey` to the list, and to its file or database; it is on disk when this returns. Returns whether it is
    /// new.
    ///
    /// # Errors
    /// When there are no passkeys, this is none, or they cannot be written: they are then as they were.
    pub fn add_passkey(&self, passkey: &[u8]) -> Result<bool, AdminError> {
        let _editing = self.edit();
        let lists = self.lists.load_full();
        let write = if lists.is_database { database::add } else { file::append };
        add(lists.passkeys()?, Passkey::read(passkey)?, write)
    }

    /// Takes `passkey` from the list, and from its file or database (the whole row); it is gone from disk when this
    /// returns. Returns whether it was there.
    ///
    /// # Errors
    /// As of [`Access::add_passkey`].
    pub fn remove_passkey(&self, passkey: &[u8]) -> Result<bool, AdminError> {
        let _editing = self.edit();
        let lists = self.lists.load_full();
        let list = lists.passkeys()?;
        let passkey = Passkey::read(passkey)?;
        if lists.is_database {
            database::remove(list.path(), &passkey)?;
        } else {
            file::remove(list.path(), &passkey)?;
        }
        Ok(list.remove(&passkey))
    }

    fn edit(&self) -> MutexGuard<'_, Option<Database>> {
        self.editing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds `entry` to where `write` puts it, then to `list`.
fn add<E: Entry>(
    list: &Entries<E>,
    entry: E,
    write: impl FnOnce(&Path, &E) -> Result<(), AccessError>,
) -> Result<bool, AdminError> {
    if list.len() >= file::MAX_ENTRIES && !list.contains(&entry) {
        // It could not be read again.
        return Err(AccessError::TooMany(list.path().into()).into());
    }
    write(list.path(), &entry)?;
    Ok(list.insert(entry))
}

impl Lists {
    fn load(settings: &AccessSettings) -> Result<(Self, Option<Database>), AccessError> {
        let hashes = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| file::load(path).map(|set| Entries::new(path, set))).transpose()
        };
        let mut lists = Self {
            allowed: hashes(&settings.allow)?,
            denied: hashes(&settings.deny)?,
            passkeys: None,
            is_database: false,
        };
        let Some(path) = &settings.passkeys else { return Ok((lists, None)) };
        lists.is_database = Database::is_at(path)?;
        let (passkeys, database) = if lists.is_database {
            let (database, passkeys) = Database::open(path)?;
            (passkeys, Some(database))
        } else {
            (file::load(path)?, None)
        };
        lists.passkeys = Some(Entries::new(path, passkeys));
        Ok((lists, database))
    }

    fn of(&self, list: List) -> Result<&Entries<InfoHash>, AdminError> {
        let list = match list {
            List::Allowed => &self.allowed,
            List::Denied => &self.denied,
        };
        list.as_ref().ok_or(AdminError::NotConfigured)
    }

    fn passkeys(&self) -> Result<&Entries<Passkey>, AdminError> {
        self.passkeys.as_ref().ok_or(AdminError::NotConfigured)
    }

    fn sizes(&self) -> Sizes {
        let size = |list: &Option<Entries<InfoHash>>| list.as_ref().map(Entries::len);
        Sizes {
            allowed: size(&self.allowed),
            denied: size(&self.denied),
            passkeys: self.passkeys.as_ref().map(Entries::len),
        }
    }
}

#[cfg(test)]
mod tests;
