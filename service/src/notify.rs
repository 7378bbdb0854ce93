//! What the service manager is told: that we are ready, how we stand, that we reload or stop, that we are alive.
//!
//! Called by whoever starts and stops the program. Without a service manager it says nothing; what cannot be said never
//! fails or delays the program for long.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// Names the socket on which the service manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How long a message may wait for room in the service manager's queue. Only one that changes the unit's state matters
/// enough to wait at all.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes of a status line: one line of `systemctl status`.
const MAX_STATUS: usize = 400;

/// Speaks to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    /// Where messages go. The address, and no connection: a service manager that starts anew binds it again.
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Finds the service manager in the environment, which stays as it is: a child of ours must be started without
    /// NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    pub fn from_env() -> Self {
        match env::var_os(NOTIFY_SOCKET) {
            Some(socket) => Self::new(&socket, sd_notify::watchdog_enabled()),
            None => Self::default(),
        }
    }

    /// Speaks to `socket`: a path, or `@` and an abstract name. `watchdog` is how long the service manager waits for a
    /// sign of life.
    fn new(socket: &OsStr, watchdog: Option<Duration>) -> Self {
        match parse(socket) {
            Ok(address) => Self { address: Some(address), watchdog: watchdog.filter(|it| !it.is_zero()) },
            Err(error) => {
                tracing::warn!(
                    "the service manager is not told anything: {NOTIFY_SOCKET} is {socket:?}: {error}"
                );
                Self::default()
            }
        }
    }

    /// How long the service manager waits for a sign of life before it ends us; `None` where it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// We serve, from the start or again after a reload. `status` says how we stand.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// How we stand, in one line.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&line(status))]);
    }

    /// We read our configuration anew. [`Notifier::ready`] must follow, even when it is refused.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("the clock cannot be read: {error}"),
        }
    }

    /// We stop. `status` says what is waited for.
    pub fn stopping(&self, status: &str) {
        self.send(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
    }

    /// What we are doing, starting or stopping, may take `by` from now on. Said again while it lasts.
    pub fn extend_timeout(&self, by: Duration) {
        let by_us = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.send(&[NotifyState::ExtendTimeoutUsec(by_us)]);
    }

    /// We are alive. To be said a few times in each [`Notifier::watchdog`], and only when it is true.
    pub fn alive(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(address) = &self.address else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = send(address, message.as_bytes()) {
            tracing::debug!("the service manager did not hear {message:?}: {error}");
        }
    }
}

/// `sd_notify::notify` takes an abstract name for a path.
fn send(address: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.send_to_addr(message, address).map(drop)
}

fn parse(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    }
}

/// `status` as one line: a line break would begin another message.
fn line(status: &str) -> String {
    let mut line: String = status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_STATUS));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The service manager's end of a socket at a path.
    fn manager() -> (tempfile::TempDir, UnixDatagram, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (folder, socket, path)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2_048];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_life_is_told_in_the_service_managers_words() {
        let (_folder, manager, path) = manager();
        let notifier = Notifier::new(path.as_os_str(), Some(Duration::from_secs(60)));
        assert_eq!(notifier.watchdog(), Some(Duration::from_secs(60)));
        notifier.ready("serving 3 torrents");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=serving 3 torrents\n");
        notifier.status("serving 4 torrents");
        assert_eq!(heard(&manager), "STATUS=serving 4 torrents\n");
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
        notifier.stopping("telling trackers");
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=telling trackers\n");
        notifier.extend_timeout(Duration::from_secs(5));
        assert_eq!(heard(&manager), "EXTEND_TIMEOUT_USEC=5000000\n");
        notifier.extend_timeout(Duration::MAX);
        assert_eq!(heard(&manager), format!("EXTEND_TIMEOUT_USEC={}\n", u32::MAX));
    }

    #[test]
    fn a_reload_tells_its_time_by_the_monotonic_clock() {
        let (_folder, manager, path) = manager();
        let now = || {
            let clock = nix::time::ClockId::CLOCK_MONOTONIC;
            Duration::from(nix::time::clock_gettime(clock).unwrap()).as_micros()
        };
        let before = now();
        Notifier::new(path.as_os_str(), None).reloading();
        let message = heard(&manager);
        let told = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!((before..=now()).contains(&told.parse().unwrap()), "{message}");
    }

    #[test]
    fn an_abstract_socket_is_spoken_to() {
        let name = format!("btd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(OsStr::new(&format!("@{name}")), None).alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn a_status_cannot_say_anything_else() {
        let (_folder, manager, path) = manager();
        let notifier = Notifier::new(path.as_os_str(), None);
        notifier.status("one\nMAINPID=1\r\n");
        assert_eq!(heard(&manager), "STATUS=one MAINPID=1  \n");
        notifier.status(&"ß".repeat(MAX_STATUS));
        assert_eq!(heard(&manager), format!("STATUS={}\n", "ß".repeat(MAX_STATUS / 2)));
    }

    #[test]
    fn nobody_to_tell_is_no_trouble() {
        let (folder, manager, path) = manager();
        let notifier = Notifier::new(path.as_os_str(), Some(Duration::ZERO));
        assert_eq!(notifier.watchdog(), None);
        drop(manager);
        notifier.ready("nobody listens");
        folder.close().unwrap();
        notifier.ready("nobody is there");
        Notifier::default().ready("nobody was named");
        for odd in ["", "notify", "vsock:2:1234", "/tmp/\0"] {
            assert!(Notifier::new(OsStr::new(odd), None).address.is_none(), "{odd:?}");
        }
        let long = "/".repeat(200);
        assert!(Notifier::new(OsStr::new(&long), None).address.is_none());
    }

    #[test]
    fn a_service_manager_that_reads_nothing_holds_nobody_up() {
        let (_folder, manager, path) = manager();
        // Fills the queue.
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        while filler.send_to(b"x", &path).is_ok() {}
        Notifier::new(path.as_os_str(), None).status("nobody reads");
        drop(manager);
    }

    #[test]
    fn a_service_manager_that_comes_back_is_spoken_to_again() {
        let (_folder, manager, path) = manager();
        let notifier = Notifier::new(path.as_os_str(), None);
        drop(manager);
        std::fs::remove_file(&path).unwrap();
        notifier.alive();
        let manager = UnixDatagram::bind(&path).unwrap();
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
    }
}
