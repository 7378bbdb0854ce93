//! Finding out what of a torrent is on disk, and getting its files ready.
//!
//! Looking takes a place at the desk of its folder; hashing, which takes longest, one at a desk of its own, so that a
//! torrent of which nothing is there yet does not wait for one of which everything is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::meta::Info;
use tokio::sync::Semaphore;

use crate::storage::load;
use crate::storage::state::{FileRecord, OnDisk, Saved};
use crate::storage::write::place::Placing;

use super::chores::{ChoreError, Ready, blocking};
use super::entry::{Chore, Watch};

/// A torrent whose payload is to be looked at.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) info: Arc<Info>,
    pub(super) dir: PathBuf,
    pub(super) saved: Saved,
    pub(super) chore: Chore,
    /// Files of the right size are taken for whole.
    pub(super) is_check_skipped: bool,
    pub(super) least: Least,
    /// Which files are wanted, and how they are made, where what is missing is to be fetched.
    pub(super) download: Option<(Vec<bool>, Placing)>,
    /// Where it belongs, if it is to be looked there too.
    pub(super) home: Option<PathBuf>,
    /// Whether it was found there.
    pub(super) is_home: bool,
    /// What the names of files end in while they are not complete.
    pub(super) suffix: Option<String>,
    pub(super) watch: Arc<Watch>,
}

/// How much of a payload must be there; that it is not is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    /// What is missing is fetched.
    Nothing,
    /// It is only to be seeded.
    APiece,
    /// It was all there before.
    All,
}

/// What was looked at.
enum Looked {
    /// Files of the right size, which are taken for whole.
    Unproven(load::Loaded),
    /// What is known of it, and what is to be hashed.
    Found(load::Loaded),
}

impl Job {
    /// Looks at the files, hashes what is not known, and makes files where something is to be fetched.
    pub(super) async fn run(
        mut self,
        folder: Arc<Semaphore>,
        hashing: Arc<Semaphore>,
    ) -> Result<Ready, ChoreError> {
        let turn = folder.acquire().await;
        let (job, looked) = blocking(move || self.look().map(|looked| (self, looked))).await?;
        drop(turn);
        let is_home = job.is_home;
        let loaded = match looked {
            Looked::Unproven(loaded) => return Ok(Ready { is_home, ..Ready::unproven(loaded) }),
            Looked::Found(loaded) => loaded,
        };
        let turn = if loaded.bytes_to_check() > 0 { Some(hashing.acquire().await) } else { None };
        let (job, loaded) = blocking(move || job.check(loaded).map(|loaded| (job, loaded))).await?;
        drop(turn);
        let _turn = folder.acquire().await;
        Ok(Ready { is_home, ..blocking(move || job.finish(loaded)).await? })
    }

    fn seed(&self, saved: &Saved) -> load::Loaded {
        load::seed(Arc::clone(&self.info), &self.dir, saved, self.suffix.as_deref())
    }

    /// Whether all of it lies where it belongs, as far as sizes tell, although it was not meant to be there yet.
    fn is_at_home(&self, home: &Path) -> bool {
        let nothing = Saved::default();
        load::seed(Arc::clone(&self.info), home, &nothing, None).require_complete().is_ok()
    }

    fn look(&mut self) -> Result<Looked, ChoreError> {
        let home = self.home.take();
        if let Some(home) = home.filter(|home| self.is_at_home(home)) {
            self.dir = home;
            self.is_home = true;
        }

        if self.is_check_skipped && self.chore != Chore::Verify {
            // What was not checked is not known to be missing either: files of the right size will do.
            let looked = self.seed(&Saved::default());
            match looked.require_complete() {
                Ok(loaded) => return Ok(Looked::Unproven(loaded)),
                Err(error) if self.least == Least::All => return Err(error.into()),
                // Something is missing: it is to be known what.
                Err(_) => {}
            }
        }
        let mut loaded = self.seed(&self.saved);
        if self.chore == Chore::Verify {
            loaded.distrust();
        }
        // Before anything is read: sizes tell much.
        self.require(loaded).map(Looked::Found)
    }

    /// Hashes what is not known.
    fn check(&self, mut loaded: load::Loaded) -> Result<load::Loaded, ChoreError> {
        let bytes = loaded.bytes_to_check();
        if bytes > 0 {
            self.watch.total.fetch_add(bytes, Ordering::Relaxed);
            loaded.check(&self.watch.task).map_err(|_| ChoreError::Cancelled)?;
        }
        self.require(loaded)
    }

    /// Refuses what is there in part only, or not at all, where that will not do.
    fn require(&self, loaded: load::Loaded) -> Result<load::Loaded, ChoreError> {
        match self.least {
            Least::APiece if !loaded.may_have_any() => Ok(loaded.require_complete()?),
            Least::All => Ok(loaded.require_complete()?),
            Least::Nothing | Least::APiece => Ok(loaded),
        }
    }

    fn finish(self, loaded: load::Loaded) -> Result<Ready, ChoreError> {
        match &self.download {
            Some((wanted, placing)) if !loaded.have().is_complete() => {
                let found = remembered(&loaded);
                let made = load::download(Arc::clone(&self.info), &self.dir, &found, wanted, placing)?;
                Ok(Ready::new(self.check(made)?))
            }
            _ => Ok(Ready::new(loaded)),
        }
    }
}

/// What was found, as if it had been remembered.
fn remembered(loaded: &load::Loaded) -> Saved {
    Saved {
        have: loaded.have().to_wire(),
        synced: loaded.synced().to_wire(),
        is_same_boot: true,
        files: records(loaded).into_iter().collect(),
        ..Saved::default()
    }
}

fn records(loaded: &load::Loaded) -> Vec<(u32, FileRecord)> {
    let record = |(number, on_disk): (u32, &OnDisk)| match on_disk {
        OnDisk::File(record) => Some((number, *record)),
        OnDisk::Missing | OnDisk::Padding => None,
    };
    (0..).zip(loaded.on_disk()).filter_map(record).collect()
}

impl Ready {
    fn new(loaded: load::Loaded) -> Self {
        let (files, synced) = (records(&loaded), loaded.synced().clone());
        Self { torrent: Arc::new(loaded.into_torrent()), synced, files, is_proven: true, is_home: false }
    }

    /// What is taken for whole; nothing of it is remembered as known.
    fn unproven(loaded: load::Loaded) -> Self {
        let synced = loaded.synced().clone();
        Self {
            torrent: Arc::new(loaded.into_unproven_torrent()),
            synced,
            files: Vec::new(),
            is_proven: false,
            is_home: false,
        }
    }
}
