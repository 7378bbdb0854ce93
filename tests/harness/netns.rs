//! A pair of network namespaces joined by a cable, for clients that refuse peers on loopback and for servers
//! that listen on every address. Needs root. Both are removed when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::folders::{MARK, is_orphan};
use crate::process::run_well;

/// Longest that one `ip` command may take.
const IP_LIMIT: Duration = Duration::from_secs(20);
/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";

/// A network of its own with loopback and one end of a cable.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
}

impl Namespace {
    fn create(name: String, address: Ipv4Addr) -> Self {
        ip(&["netns", "add", &name]);
        Self { name, address }
    }

    /// Its address on the cable.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// A command that runs `program` inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Moves the calling thread, and no other, inside.
    pub fn enter(&self) {
        let path = format!("{NAMESPACES}/{}", self.name);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.name.as_str()], arguments].concat());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "del", &self.name]).status().ok();
    }
}

/// Two namespaces that reach each other and nothing else.
#[derive(Debug)]
pub struct Pair {
    /// For the seeder.
    pub seeder: Namespace,
    /// For the client.
    pub client: Namespace,
}

impl Pair {
    /// Makes a pair.
    pub fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("{MARK}-{}-{number}-{side}", process::id());
        let seeder = Namespace::create(name("seeder"), Ipv4Addr::new(10, 99, 0, 1));
        let client = Namespace::create(name("client"), Ipv4Addr::new(10, 99, 0, 2));
        ip(&[
            "link",
            "add",
            "cable",
            "netns",
            &seeder.name,
            "type",
            "veth",
            "peer",
            "cable",
            "netns",
            &client.name,
        ]);
        for namespace in [&seeder, &client] {
            namespace.ip(&["addr", "add", &format!("{}/24", namespace.address), "dev", "cable"]);
            namespace.ip(&["link", "set", "lo", "up"]);
            namespace.ip(&["link", "set", "cable", "up"]);
        }
        Self { seeder, client }
    }
}

/// Removes namespaces of test runs that were killed.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(NAMESPACES) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if is_orphan(&name) {
            Command::new("ip").args(["netns", "del", &name]).status().ok();
        }
    }
}

fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run_well(command, IP_LIMIT);
}
