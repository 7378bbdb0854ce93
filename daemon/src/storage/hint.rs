//! What to do about a folder that the kernel keeps from us: a service that systemd has locked in can be given it.

use std::io::{self, ErrorKind};
use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// Where the advice is to be written; any other name in that folder does, and `systemctl edit btd` has one.
const DROP_IN: &str = "/etc/systemd/system/btd.service.d/payload.conf";
/// Folders that are hidden from a service altogether (ProtectHome): it has an empty file system in their place.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Advice for an error of a payload file at `path`, as the end of its text; empty where there is none to give.
pub(super) fn ending(error: &io::Error, path: &Path) -> String {
    let home = HOMES.into_iter().find(|home| path.starts_with(home));
    // What has just said that something is not there does not keep us waiting now.
    let is_hidden =
        || home.is_some_and(|home| statfs(home).is_ok_and(|at| at.filesystem_type() == TMPFS_MAGIC));
    let (key, right) = match (error.kind(), home) {
        // A path that is not there can be bound, not made writable.
        (ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied, Some(_)) => ("BindPaths", "write"),
        (ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied, None) => ("ReadWritePaths", "write"),
        (ErrorKind::NotFound, Some(_)) if is_hidden() => ("BindReadOnlyPaths", "read"),
        _ => return String::new(),
    };
    let folder = path.parent().filter(|parent| *parent != Path::new("/")).unwrap_or(path).display();
    format!(
        "; if btd runs as a service, it needs {key}={folder} under [Service] in {DROP_IN} and a restart, and its user \
         the right to {right} there"
    )
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn advice(errno: Errno, path: &str) -> String {
        ending(&errno.into(), Path::new(path))
    }

    #[test]
    fn a_folder_that_the_kernel_keeps_from_us_can_be_allowed() {
        for errno in [Errno::EROFS, Errno::EACCES, Errno::EPERM] {
            let text = advice(errno, "/srv/films/t/a");
            assert!(text.contains(" ReadWritePaths=/srv/films/t ") && text.contains(DROP_IN), "{text}");
        }
        let text = advice(Errno::EACCES, "/home/ann/a");
        assert!(text.contains(" BindPaths=/home/ann ") && !text.contains("ReadWritePaths"), "{text}");
        assert!(advice(Errno::EROFS, "/a").contains("ReadWritePaths=/a "));
    }

    #[test]
    fn other_errors_have_other_reasons() {
        for errno in [Errno::ENOENT, Errno::EIO, Errno::ENOSPC] {
            assert_eq!(advice(errno, "/srv/films/t/a"), "");
        }
        assert_eq!(advice(Errno::EIO, "/home/ann/a"), "");
    }
}
