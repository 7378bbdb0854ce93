//! Which paths clients may name: those that lie under certain folders, whatever symbolic links say.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use protocol::control::{ErrorCode, ErrorReply};

/// The folders. With none, every path may be named that btd itself can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots(pub Option<Vec<PathBuf>>);

impl Roots {
    /// `path` without symbolic links and dots, as far as it exists, if it may be named. Looks at the disk.
    ///
    /// # Errors
    /// When it is not absolute, or lies elsewhere.
    pub(super) fn admit(&self, path: &str) -> Result<PathBuf, ErrorReply> {
        let refuse = |error, message: String| Err(ErrorReply::new(error, message));
        let named = Path::new(path);
        if !named.is_absolute() {
            return refuse(ErrorCode::BadRequest, format!("{path}: a path must begin with /"));
        }
        let resolved = match resolve(named) {
            Ok(resolved) => resolved,
            Err(error) => return refuse(ErrorCode::Unusable, format!("{path}: {error}")),
        };
        let Some(roots) = &self.0 else { return Ok(resolved) };
        // A root that is not there yet is itself.
        let is_under = |root: &PathBuf| resolved.starts_with(resolve(root).unwrap_or_else(|_| root.clone()));
        if roots.iter().any(is_under) {
            return Ok(resolved);
        }
        let shown: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let roots = if shown.is_empty() { "nowhere".to_owned() } else { shown.join(", ") };
        refuse(
            ErrorCode::Forbidden,
            format!(
                "{path}: lies outside of what may be named, which is {roots}; see control_roots in btd.toml"
            ),
        )
    }
}

/// `path` without links and dots. What does not exist is taken as it stands, but for `..`, which would have no meaning.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut rest: Vec<&OsStr> = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(resolved) => return Ok(rest.iter().rev().fold(resolved, |path, part| path.join(part))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let last = existing.components().next_back();
                match (last, existing.parent()) {
                    (Some(Component::Normal(name)), Some(parent)) => {
                        rest.push(name);
                        existing = parent;
                    }
                    _ => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(roots: &Roots, path: &Path) -> bool {
        roots.admit(path.to_str().unwrap()).is_ok()
    }

    #[test]
    fn paths_lie_under_a_root_whatever_links_say() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(&inside, folder.path().join("alias")).unwrap();
        let roots = Roots(Some(vec![inside.clone()]));
        for allowed in [inside.clone(), inside.join("deep/new/er"), folder.path().join("alias/x")] {
            assert!(admits(&roots, &allowed), "{}", allowed.display());
        }
        for forbidden in [
            outside.clone(),
            inside.join("link/x"),
            inside.join("deep/../../out"),
            inside.join("none/../../out"),
            folder.path().join("inside"),
        ] {
            assert!(!admits(&roots, &forbidden), "{}", forbidden.display());
        }
        assert!(admits(&Roots(None), &outside) && !admits(&Roots(Some(vec![])), &inside));
    }

    #[test]
    fn a_path_must_be_absolute_and_refusals_say_where_paths_may_lie() {
        assert_eq!(Roots(None).admit("a/b").unwrap_err().error, ErrorCode::BadRequest);
        let error = Roots(Some(vec!["/srv/a".into()])).admit("/etc/passwd").unwrap_err();
        assert_eq!(error.error, ErrorCode::Forbidden);
        assert!(
            error.message.contains("/srv/a") && error.message.contains("control_roots"),
            "{}",
            error.message
        );
    }
}
