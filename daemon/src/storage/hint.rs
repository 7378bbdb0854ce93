//! What to do about a folder that the kernel keeps from us: a service that systemd has locked in can be given it.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Where the advice is to be written; any other name in that folder does, and `systemctl edit btd` has one.
const DROP_IN: &str = "/etc/systemd/system/btd.service.d/payload.conf";

/// Advice for an error of a payload file at `path`; `None` where there is none to give.
pub fn hint(error: &io::Error, path: &Path) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) {
        return None;
    }
    let folder = path.parent().filter(|parent| *parent != Path::new("/")).unwrap_or(path).display();
    // These are hidden from a service altogether (ProtectHome): nothing in them is there to be written to.
    let is_home = ["/home", "/root", "/run/user"].iter().any(|home| path.starts_with(home));
    let key = if is_home { "BindPaths" } else { "ReadWritePaths" };
    Some(format!(
        "if btd runs as a service, it needs {key}={folder} under [Service] in {DROP_IN} and a restart, and its user the \
         right to write there"
    ))
}

/// As [`hint`], as the end of an error's text.
pub(super) fn ending(error: &io::Error, path: &Path) -> String {
    hint(error, path).map(|hint| format!("; {hint}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn advice(errno: Errno, path: &str) -> Option<String> {
        hint(&errno.into(), Path::new(path))
    }

    #[test]
    fn a_folder_that_the_kernel_keeps_from_us_can_be_allowed() {
        for errno in [Errno::EROFS, Errno::EACCES, Errno::EPERM] {
            let text = advice(errno, "/srv/films/t/a").unwrap();
            assert!(text.contains(" ReadWritePaths=/srv/films/t ") && text.contains(DROP_IN), "{text}");
        }
        // A path that is not there can be bound, not made writable.
        let text = advice(Errno::EACCES, "/home/ann/a").unwrap();
        assert!(text.contains(" BindPaths=/home/ann ") && !text.contains("ReadWritePaths"), "{text}");
        assert!(advice(Errno::EROFS, "/a").unwrap().contains("ReadWritePaths=/a "));
    }

    #[test]
    fn other_errors_have_other_reasons() {
        for errno in [Errno::ENOENT, Errno::EIO, Errno::ENOSPC] {
            assert_eq!(advice(errno, "/home/ann/a"), None);
        }
    }
}
