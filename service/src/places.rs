//! Where things lie unless the configuration says otherwise: in the machine's folders as root or as a service, else
//! in the user's (XDG base directories).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy, HomeDirError};

/// Nowhere to keep anything.
#[derive(Debug, thiserror::Error)]
#[error("no home directory for the configuration and the state: set HOME")]
pub struct NoHome(#[from] HomeDirError);

/// The defaults of a program, which has a folder of its name in each of the folders of the machine or the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The configuration, which need not exist.
    pub config_file: PathBuf,
    /// Where what it serves lies, if it is in files and names no other folder.
    pub data_dir: PathBuf,
    /// Where it keeps what is to survive it.
    pub state_dir: PathBuf,
    /// The socket.
    pub control_socket: PathBuf,
    /// Whether it is the machine's, or a unit's: its clients may be others than who runs it.
    pub is_service: bool,
}

impl Places {
    /// Those of `program`, as which this process runs.
    ///
    /// # Errors
    /// When it is no service, and has no home.
    pub fn of_process(program: &str) -> Result<Self, NoHome> {
        Self::find(program, nix::unistd::geteuid().is_root(), |name| std::env::var_os(name))
    }

    /// Those of a process with these variables: systemd tells the folders that a unit has.
    fn find(
        program: &str,
        is_root: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, NoHome> {
        let given = |name: &str| variable(name).and_then(first);
        let (config, state, runtime) =
            (given("CONFIGURATION_DIRECTORY"), given("STATE_DIRECTORY"), given("RUNTIME_DIRECTORY"));
        if is_root || config.is_some() || state.is_some() || runtime.is_some() {
            return Ok(Self::of_service(program, config, state, runtime));
        }
        let user = etcetera::base_strategy::Xdg::new()?;
        let data_dir = user.data_dir().join(program).join("data");
        let state_dir = user.state_dir().unwrap_or_else(|| user.data_dir()).join(program);
        let runtime = user.runtime_dir().map_or_else(|| state_dir.clone(), |folder| folder.join(program));
        Ok(Self {
            config_file: user.config_dir().join(program).join(file(program)),
            data_dir,
            control_socket: runtime.join(socket(program)),
            state_dir,
            is_service: false,
        })
    }

    /// Those of a service, with the folders that were given to it.
    pub fn of_service(
        program: &str,
        config: Option<PathBuf>,
        state: Option<PathBuf>,
        runtime: Option<PathBuf>,
    ) -> Self {
        let or =
            |folder: Option<PathBuf>, usual: &str| folder.unwrap_or_else(|| Path::new(usual).join(program));
        let state = or(state, "/var/lib");
        Self {
            config_file: or(config, "/etc").join(file(program)),
            data_dir: state.join("data"),
            state_dir: state.join("state"),
            control_socket: or(runtime, "/run").join(socket(program)),
            is_service: true,
        }
    }
}

fn file(program: &str) -> String {
    format!("{program}.toml")
}

fn socket(program: &str) -> String {
    format!("{program}.sock")
}

/// The first of the folders that systemd gave, separated by colons.
fn first(folders: OsString) -> Option<PathBuf> {
    std::env::split_paths(&folders).next().filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(is_root: bool, variables: &[(&str, &str)]) -> Places {
        let variable = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        Places::find("btd", is_root, variable).unwrap()
    }

    #[test]
    fn root_has_the_machines_folders() {
        let places = find(true, &[]);
        assert_eq!(places.config_file, Path::new("/etc/btd/btd.toml"));
        assert_eq!(places.data_dir, Path::new("/var/lib/btd/data"));
        assert_eq!(places.state_dir, Path::new("/var/lib/btd/state"));
        assert_eq!(places.control_socket, Path::new("/run/btd/btd.sock"));
        assert!(places.is_service);
    }

    #[test]
    fn a_unit_has_the_folders_that_systemd_gives_it() {
        let places = find(false, &[("STATE_DIRECTORY", "/s/a:/s/b"), ("RUNTIME_DIRECTORY", "/r/x")]);
        assert_eq!(places.state_dir, Path::new("/s/a/state"));
        assert_eq!(places.data_dir, Path::new("/s/a/data"));
        assert_eq!(places.control_socket, Path::new("/r/x/btd.sock"));
        assert_eq!(places.config_file, Path::new("/etc/btd/btd.toml"));
        let places = find(false, &[("CONFIGURATION_DIRECTORY", "/c")]);
        assert_eq!(places.config_file, Path::new("/c/btd.toml"));
        assert!(places.is_service);
    }

    #[test]
    fn a_user_has_folders_of_his_own() {
        let (places, user) = (find(false, &[]), etcetera::base_strategy::Xdg::new().unwrap());
        assert_eq!(places.config_file, user.config_dir().join("btd/btd.toml"));
        assert_eq!(places.data_dir, user.data_dir().join("btd/data"));
        assert_eq!(places.state_dir, user.state_dir().unwrap().join("btd"));
        let socket = user.runtime_dir().map(|folder| folder.join("btd/btd.sock"));
        assert_eq!(places.control_socket, socket.unwrap_or_else(|| places.state_dir.join("btd.sock")));
        assert!(!places.is_service);
    }
}
