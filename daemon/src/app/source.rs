//! A path of `btd seed` on its way to a torrent that can be served: looked at first, hashed later.
//!
//! All paths are looked at before the first is hashed, so that what is wrong with the last one is known at once.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::meta::Metainfo;

use crate::config::SeedSource;
use crate::storage::Torrent;
use crate::storage::create::Options;
use crate::storage::scan::{self, Scan};
use crate::storage::torrent_file::{self, Output};

use super::{Failure, hashing, report};

/// A path that was looked at.
pub(super) enum Source {
    /// A file or folder, to be hashed; and where its torrent is to be written.
    Payload { scan: Scan, output: Option<Output> },
    /// A torrent, whose payload is to be checked.
    Torrent { file: PathBuf, data: PathBuf, metainfo: Metainfo },
}

/// A torrent that is ready to be served.
pub(super) struct Ready {
    pub(super) torrent: Arc<Torrent>,
    /// Trackers in tiers (BEP 12).
    pub(super) tiers: Vec<Vec<String>>,
    pub(super) web_seeds: Vec<String>,
    /// Where its .torrent file is, if there is one.
    pub(super) file: Option<PathBuf>,
}

impl Source {
    /// Looks at a path. The torrent of a payload is written to `torrent_file`, if there is one.
    pub(super) fn look(source: SeedSource, torrent_file: Option<&PathBuf>) -> Result<Self, Failure> {
        Ok(match source {
            SeedSource::Payload(path) => {
                let scan = scan::scan(&path)?;
                let output = torrent_file.map(|file| Output::new(file, &scan)).transpose()?;
                Self::Payload { scan, output }
            }
            SeedSource::Torrent { file, data } => {
                let metainfo = torrent_file::read(&file)?;
                Self::Torrent { file, data, metainfo }
            }
        })
    }

    /// Whether both are bound to become the same torrent. Others may turn out to, once they are hashed.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Payload { scan: a, .. }, Self::Payload { scan: b, .. }) => {
                (&a.root, &a.name) == (&b.root, &b.name)
            }
            (Self::Torrent { metainfo: a, .. }, Self::Torrent { metainfo: b, .. }) => {
                a.info.info_hash() == b.info.info_hash()
            }
            _ => false,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Payload { scan, .. } => &scan.name,
            Self::Torrent { metainfo, .. } => metainfo.info.name(),
        }
    }

    /// Hashes the payload. What is new of `options` goes into a new torrent.
    pub(super) fn hash(self, options: &Options, is_quiet: bool) -> Result<Ready, Failure> {
        match self {
            Self::Payload { scan, output } => hash_payload(scan, output, options, is_quiet),
            Self::Torrent { file, data, metainfo } => {
                let mut ready = check_torrent(file, data, metainfo, is_quiet)?;
                for tracker in &options.trackers {
                    if !ready.tiers.iter().any(|tier| tier.contains(tracker)) {
                        ready.tiers.push(vec![tracker.clone()]);
                    }
                }
                Ok(ready)
            }
        }
    }
}

/// Refuses a path that was given twice.
pub(super) fn check_distinct(sources: &[Source]) -> Result<(), Failure> {
    for (index, source) in sources.iter().enumerate() {
        if sources[..index].iter().any(|earlier| earlier.is_same(source)) {
            return Err(format!("{} was given twice", source.name()).into());
        }
    }
    Ok(())
}

fn hash_payload(
    scan: Scan,
    output: Option<Output>,
    options: &Options,
    is_quiet: bool,
) -> Result<Ready, Failure> {
    let created = hashing::create(scan, options, is_quiet)?;
    if let Some(output) = &output {
        output.write(&created.bytes)?;
    }
    Ok(Ready {
        tiers: created.metainfo.trackers.clone(),
        web_seeds: Vec::new(),
        torrent: Arc::new(created.into_torrent()),
        file: output.map(|output| output.path().to_owned()),
    })
}

/// Checks the payload of a torrent. What matches of it is served, and it is said what does not.
fn check_torrent(file: PathBuf, data: PathBuf, metainfo: Metainfo, is_quiet: bool) -> Result<Ready, Failure> {
    let info = Arc::clone(&metainfo.info);
    let verification = hashing::check(&info, &data, is_quiet);
    let (have, count) = (verification.have.have_count(), info.geometry().piece_count());
    let bad_file = report::first_bad_file(&info, &verification);
    let explained = bad_file.map(|bad| format!(" ({bad})")).unwrap_or_default();
    let (shown, data) = (file.display(), data.display());
    if have == 0 {
        let hint = "name the folder with --data";
        return Err(format!("{shown}: no piece of it lies under {data}{explained}; {hint}").into());
    }
    if have < count {
        tracing::warn!("{shown}: {have} of {count} pieces match, and only they are served{explained}");
    }
    Ok(Ready {
        torrent: Arc::new(verification.into_torrent(info)),
        tiers: metainfo.trackers,
        web_seeds: metainfo.web_seeds,
        file: Some(file),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_given_twice_is_known_before_it_is_hashed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), "payload").unwrap();
        }
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let look = |path: &str| {
            let path: &Path = &folder.path().join(path);
            Source::look(SeedSource::Payload(path.into()), None).unwrap()
        };
        let error = check_distinct(&[look("a"), look("b"), look("sub/../a")]).unwrap_err();
        assert_eq!(error.to_string(), "a was given twice");
        // Under another name it is another torrent.
        check_distinct(&[look("a"), look("b"), look("link")]).unwrap();
    }
}
