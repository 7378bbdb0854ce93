//! Each test starts this very program again, as the service manager would: with sockets from descriptor 3 on. There it
//! takes them over and says what it got.
//!
//! They are apart from the unit tests: for a moment a child has whatever is open here, also what others let go of.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Output};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use service::inherit::{Inherited, control_listener, sockets};

/// Set for a process that is to inherit.
const HEIR: &str = "SERVICE_TEST_HEIR";

/// Runs `test` of this file as a child that inherits `sockets`, with `environment` as the service manager sets it;
/// `PID` in it is the child's own.
fn child(test: &str, sockets: [OwnedFd; 2], environment: &str) -> Output {
    let [third, fourth] = sockets;
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >&2; PID=$$; export {HEIR}=1 {environment}; exec \"$0\" --exact \"$1\" --nocapture"
    );
    Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().unwrap())
        .arg(test)
        .env_clear()
        .stdin(third)
        .stdout(fourth)
        .output()
        .unwrap()
}

/// What a child said that was to fail: the error.
fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails unless a child says `text` under each of `environments`.
fn assert_said(test: &str, environments: &[&str], text: &str) {
    for environment in environments {
        let said = complaint(&child(test, [other(), other()], environment));
        assert!(said.contains(text), "{environment}: {said}");
    }
}

fn is_heir() -> bool {
    env::var_os(HEIR).is_some()
}

/// In a child: says what was inherited, and greets whoever connects.
fn inherit() {
    let listener = match control_listener("btd") {
        Ok(Some(listener)) => listener,
        Ok(None) => return eprintln!("inherited: nothing"),
        Err(error) => return eprintln!("inherited: {error}"),
    };
    let flags = fcntl(listener.as_fd(), FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
    assert!(env::var_os("LISTEN_FDS").is_none() && control_listener("btd").unwrap().is_none());
    listener.accept().unwrap().0.write_all(b"inherited").unwrap();
}

/// In a child: takes all over, and says what each is, in the order of kinds.
fn inherit_all() {
    let Inherited { tcp, udp, control } = match sockets() {
        Ok(inherited) => inherited,
        Err(error) => return eprintln!("inherited: {error}"),
    };
    let again = sockets().unwrap();
    assert!(again.tcp.is_empty() && again.udp.is_empty() && again.control.is_none());
    let tcp = tcp.iter().map(|socket| format!("tcp {}", socket.local_addr().unwrap()));
    let udp = udp.iter().map(|socket| format!("udp {}", socket.local_addr().unwrap()));
    let control = control.map(|socket| format!("control {:?}", socket.local_addr().unwrap().as_pathname()));
    let all: Vec<String> = tcp.chain(udp).chain(control).collect();
    eprintln!("inherited: {}", all.join(", "));
}

/// A socket that is not the one looked for.
fn other() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

/// What somebody reads who connects to a socket that a child inherits under `environment`: as the first of two.
fn greeting(test: &str, environment: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("btd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Waits in the queue of the socket, until the child is there.
    let mut client = UnixStream::connect(&path).unwrap();
    let output = child(test, [listener.into(), other()], environment);
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).unwrap_or_else(|error| panic!("{error}: {}", complaint(&output)));
    greeting
}

#[test]
fn the_only_socket_is_taken_over_whatever_it_is_called() {
    if is_heir() {
        return inherit();
    }
    let test = "the_only_socket_is_taken_over_whatever_it_is_called";
    assert_eq!(greeting(test, "LISTEN_PID=$PID LISTEN_FDS=1"), "inherited");
    assert_eq!(greeting(test, "LISTEN_PID=$PID LISTEN_FDS=1 LISTEN_FDNAMES=door"), "inherited");
}

#[test]
fn one_of_several_sockets_is_taken_over_by_its_name() {
    if is_heir() {
        return inherit();
    }
    let test = "one_of_several_sockets_is_taken_over_by_its_name";
    for name in ["control", "btd.socket"] {
        let environment = format!("LISTEN_PID=$PID LISTEN_FDS=2 LISTEN_FDNAMES={name}:peers");
        assert_eq!(greeting(test, &environment), "inherited");
    }
}

#[test]
fn sockets_that_cannot_be_told_apart_are_refused() {
    if is_heir() {
        return inherit();
    }
    let test = "sockets_that_cannot_be_told_apart_are_refused";
    for names in ["", "LISTEN_FDNAMES=a:b", "LISTEN_FDNAMES=control:btd.socket"] {
        let output = child(test, [other(), other()], &format!("LISTEN_PID=$PID LISTEN_FDS=2 {names}"));
        let said = complaint(&output);
        assert!(said.contains("2 sockets") && said.contains("FileDescriptorName=control"), "{names}: {said}");
    }
}

#[test]
fn what_is_no_listening_unix_socket_is_refused() {
    if is_heir() {
        return inherit();
    }
    let refusal = |socket: OwnedFd| {
        let environment = "LISTEN_PID=$PID LISTEN_FDS=1 LISTEN_FDNAMES=control";
        complaint(&child("what_is_no_listening_unix_socket_is_refused", [socket, other()], environment))
    };
    let file = tempfile::tempfile().unwrap();
    for socket in [other(), UnixDatagram::unbound().unwrap().into(), file.into()] {
        let said = refusal(socket);
        assert!(said.contains("no Unix stream socket"), "{said}");
    }
    let (connection, _other_end) = UnixStream::pair().unwrap();
    let said = refusal(connection.into());
    assert!(said.contains("does not listen"), "{said}");
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    if is_heir() {
        return inherit();
    }
    let test = "sockets_of_another_process_are_left_alone";
    let environments = [
        "LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=control",
        "LISTEN_FDS=1",
        "LISTEN_PID=$PID",
        "LISTEN_PID=$PID LISTEN_FDS=0",
    ];
    assert_said(test, &environments, "inherited: nothing");
}

#[test]
fn an_environment_that_makes_no_sense_is_refused() {
    if is_heir() {
        return inherit();
    }
    let test = "an_environment_that_makes_no_sense_is_refused";
    let environments = [
        "LISTEN_PID=me LISTEN_FDS=1",
        "LISTEN_PID=$PID LISTEN_FDS=-1",
        "LISTEN_PID=$PID LISTEN_FDS=4294967295",
        "LISTEN_PID=$PID LISTEN_FDS=100000",
        "LISTEN_PID=$PID LISTEN_FDS=2 LISTEN_FDNAMES=control",
    ];
    assert_said(test, &environments, "LISTEN_FDNAMES is wrong");
}

/// What a child says that inherits `sockets` and takes them all.
fn of_all(test: &str, sockets: [OwnedFd; 2]) -> String {
    complaint(&child(test, sockets, "LISTEN_PID=$PID LISTEN_FDS=2 LISTEN_FDNAMES=one:two"))
}

#[test]
fn sockets_of_all_kinds_are_told_apart_whatever_they_are_called() {
    if is_heir() {
        return inherit_all();
    }
    let test = "sockets_of_all_kinds_are_told_apart_whatever_they_are_called";
    let tcp = |address: &str| {
        let listener = TcpListener::bind(address).unwrap();
        (listener.local_addr().unwrap(), OwnedFd::from(listener))
    };
    let udp = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (socket.local_addr().unwrap(), OwnedFd::from(socket))
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let control: OwnedFd = UnixListener::bind(&path).unwrap().into();
    let ((one, first), (two, second)) = (tcp("127.0.0.1:0"), udp());
    let said = of_all(test, [second, first]);
    assert!(said.contains(&format!("inherited: tcp {one}, udp {two}\n")), "{said}");
    let ((one, first), (two, second)) = (tcp("127.0.0.1:0"), tcp("127.0.0.2:0"));
    let said = of_all(test, [first, second]);
    assert!(said.contains(&format!("inherited: tcp {one}, tcp {two}\n")), "in their order: {said}");
    let (address, socket): (SocketAddr, OwnedFd) = udp();
    let said = of_all(test, [control, socket]);
    assert!(said.contains(&format!("inherited: udp {address}, control {:?}\n", Some(path))), "{said}");
    let said = complaint(&child(test, [other(), other()], "LISTEN_PID=1 LISTEN_FDS=2"));
    assert!(said.contains("inherited: \n"), "those of another process: {said}");
}

#[test]
fn what_cannot_be_served_on_is_refused_by_name() {
    if is_heir() {
        return inherit_all();
    }
    let refusal = |socket: OwnedFd| of_all("what_cannot_be_served_on_is_refused_by_name", [other(), socket]);
    let file = tempfile::tempfile().unwrap();
    for socket in [UnixDatagram::unbound().unwrap().into(), file.into()] {
        let said = refusal(socket);
        assert!(said.contains("`two` is neither of TCP nor UDP"), "{said}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = refusal(TcpStream::connect(listener.local_addr().unwrap()).unwrap().into());
    assert!(said.contains("`two` does not listen"), "{said}");
    let said = refusal(UnixStream::pair().unwrap().0.into());
    assert!(said.contains("control socket does not listen"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let control = |name| UnixListener::bind(folder.path().join(name)).unwrap().into();
    let test = "what_cannot_be_served_on_is_refused_by_name";
    let said = of_all(test, [control("a"), control("b")]);
    assert!(said.contains("`two` is a second control socket"), "{said}");
}
