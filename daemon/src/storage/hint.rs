//! What to do about a folder that the kernel keeps from us: a service that systemd has locked in can be given it.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Advice for an error of a payload file at `path`; `None` where there is none to give.
pub fn hint(error: &io::Error, path: &Path) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) {
        return None;
    }
    let folder = path.parent().filter(|parent| *parent != Path::new("/")).unwrap_or(path).display();
    // These are hidden from a service altogether (ProtectHome).
    let is_home = ["/home", "/root", "/run/user"].iter().any(|home| path.starts_with(home));
    let home = if is_home { " and ProtectHome=no" } else { "" };
    Some(format!(
        "if btd runs as a service, allow it the folder with a drop-in: ReadWritePaths={folder}{home} under [Service] \
         (systemctl edit btd)"
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
            assert!(text.contains("ReadWritePaths=/srv/films/t ") && !text.contains("ProtectHome"), "{text}");
        }
        assert!(advice(Errno::EACCES, "/home/ann/a").unwrap().contains("/home/ann and ProtectHome=no"));
        assert!(advice(Errno::EROFS, "/a").unwrap().contains("ReadWritePaths=/a "));
    }

    #[test]
    fn other_errors_have_other_reasons() {
        for errno in [Errno::ENOENT, Errno::EIO, Errno::ENOSPC] {
            assert_eq!(advice(errno, "/home/ann/a"), None);
        }
    }
}
