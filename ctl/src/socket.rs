//! Which socket the daemon is looked for at, when nobody names one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where btd listens as a service.
const SERVICE_SOCKET: &str = "/run/btd/btd.sock";
/// Where btd listens for a user, below the user's runtime folder.
const USER_SOCKET: &str = "btd/btd.sock";

/// The socket to try: the service's if it is there, else the user's own.
pub fn default_socket() -> PathBuf {
    let is_root = nix::unistd::geteuid().is_root();
    choose(Path::new(SERVICE_SOCKET).exists(), is_root, std::env::var_os("XDG_RUNTIME_DIR"))
}

fn choose(is_service_there: bool, is_root: bool, runtime_dir: Option<OsString>) -> PathBuf {
    // A relative one is to be ignored, says the specification of these folders.
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|dir| dir.is_absolute());
    match runtime_dir {
        Some(dir) if !is_service_there && !is_root => dir.join(USER_SOCKET),
        _ => SERVICE_SOCKET.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_comes_first_and_then_the_user() {
        let dir = || Some(OsString::from("/run/user/7"));
        assert_eq!(choose(true, false, dir()), Path::new("/run/btd/btd.sock"));
        assert_eq!(choose(false, false, dir()), Path::new("/run/user/7/btd/btd.sock"));
        assert_eq!(choose(false, true, dir()), Path::new("/run/btd/btd.sock"));
        assert_eq!(choose(false, false, None), Path::new("/run/btd/btd.sock"));
        assert_eq!(choose(false, false, Some("here".into())), Path::new("/run/btd/btd.sock"));
    }
}
