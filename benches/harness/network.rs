//! The network that programs under test and load meet on: one of this run's own, so that what the machine says of TCP is
//! not measured with them, and nothing of what they send leaves it.

use std::fs;
use std::io;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

/// Nothing is lost on loopback, so its window only grows, and every kernel has it and lets it be chosen. A machine may
/// have bbr, under which the receive windows of a thousand connections that start together may never grow beyond their
/// first 64 KiB: a segment of loopback, so that each takes a round trip for itself.
const CONGESTION_CONTROL: &str = "reno";
/// What congestion control new connections have, in the network of whoever looks.
const SETTING: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Takes this thread, and all threads and processes that it will start, to a network of their own, of loopback alone.
/// Whoever may not do so stays where they are. The reports tell what the congestion control was.
///
/// # Errors
/// When the new network cannot be set up.
pub fn enter() -> io::Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => return Ok(()),
        result => result?,
    }
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let explain = |why: String| io::Error::other(format!("ip (iproute2) does not set up a network: {why}"));
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(explain(status.to_string())),
        Err(error) => return Err(explain(error.to_string())),
    }
    if let Err(error) = fs::write(SETTING, CONGESTION_CONTROL) {
        eprintln!("congestion control stays what it is here: {SETTING}: {error}");
    }
    Ok(())
}

/// The congestion control of TCP in the network where this runs.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn congestion_control() -> io::Result<String> {
    Ok(fs::read_to_string(SETTING)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    #[test]
    fn a_network_of_its_own_has_loopback_and_no_other_listener() {
        let may_enter = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap();
        let outside = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = outside.local_addr().unwrap();
        // The test's own thread stays outside.
        let inside = thread::spawn(move || {
            enter().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (TcpStream::connect(address).is_err(), congestion_control().unwrap())
        });
        let (is_apart, congestion_control) = inside.join().unwrap();
        assert_eq!(is_apart, may_enter);
        assert!(!may_enter || congestion_control == CONGESTION_CONTROL, "{congestion_control}");
    }
}
