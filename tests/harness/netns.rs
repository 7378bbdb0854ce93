//! Network namespaces joined by cables, for clients that refuse peers on loopback, want a fixed port, or listen on
//! every address: a pair, or any number around a bridge. Needs root. They are removed when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::folders::{MARK, is_orphan};
use crate::process::run_well;

/// Longest that one `ip` command may take.
const IP_LIMIT: Duration = Duration::from_secs(20);
/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";
/// Where `ip netns exec` finds files that stand in the place of those of `/etc`, in a folder for each namespace.
const FILES: &str = "/etc/netns";

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

    /// Its address of IPv6 on the cable, where it was given one: a global one, since transmission uses no other.
    pub fn address6(&self) -> Ipv6Addr {
        let [.., network, number] = self.address.octets();
        Ipv6Addr::new(0x2001, 0xdb8, 0x99, network.into(), 0, 0, 0, number.into())
    }

    /// Puts `name` for `address` into the file of hosts that programs inside read; no other name is in it.
    pub fn learn(&self, name: &str, address: impl Into<IpAddr>) {
        let folder = Path::new(FILES).join(&self.name);
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("hosts"), format!("{} {name}\n", address.into())));
        written.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
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

    /// Does `work` inside, on a thread that then ends: a socket belongs to the namespace of whoever makes it.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join()
        });
        done.unwrap_or_else(|_| panic!("the work inside {} has failed", self.name))
    }

    /// Gives it its address at `device`, and takes that and loopback up.
    fn connect(&self, device: &str) {
        self.ip(&["addr", "add", &format!("{}/24", self.address), "dev", device]);
        self.ip(&["link", "set", "lo", "up"]);
        self.ip(&["link", "set", device, "up"]);
    }

    /// Gives it its address of IPv6 at `device`, which nobody else may have: it serves at once. All other addresses seem
    /// to be there, too, as on the internet: clients look for a way to one of them to find out which is their own.
    fn connect6(&self, device: &str) {
        self.ip(&["-6", "addr", "add", &format!("{}/64", self.address6()), "dev", device, "nodad"]);
        self.ip(&["-6", "route", "add", "default", "dev", device]);
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.name.as_str()], arguments].concat());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
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
        let name = names();
        let seeder = Namespace::create(name("seeder".to_owned()), Ipv4Addr::new(10, 99, 0, 1));
        let client = Namespace::create(name("client".to_owned()), Ipv4Addr::new(10, 99, 0, 2));
        cable((&seeder, "cable"), (&client, "cable"));
        seeder.connect("cable");
        client.connect("cable");
        Self { seeder, client }
    }
}

/// Namespaces around one that bridges them: each reaches all others, and nothing else.
#[derive(Debug)]
pub struct Star {
    /// The one in the middle, for a tracker.
    pub middle: Namespace,
    /// The others.
    pub members: Vec<Namespace>,
}

impl Star {
    /// Makes one with `count` members.
    pub fn create(count: u8) -> Self {
        let name = names();
        let address = |number: u8| Ipv4Addr::new(10, 99, 1, number);
        let middle = Namespace::create(name("middle".to_owned()), address(1));
        middle.ip(&["link", "add", "bridge", "type", "bridge"]);
        middle.connect("bridge");
        let member = |number: u8| {
            let member = Namespace::create(name(format!("member{number}")), address(2 + number));
            let port = format!("port{number}");
            cable((&member, "cable"), (&middle, &port));
            middle.ip(&["link", "set", &port, "master", "bridge", "up"]);
            member.connect("cable");
            member
        };
        let members = (0..count).map(member).collect();
        Self { middle, members }
    }

    /// Makes one with `count` members, in which all have an address of each family.
    pub fn of_both_families(count: u8) -> Self {
        let star = Self::create(count);
        star.middle.connect6("bridge");
        star.members.iter().for_each(|member| member.connect6("cable"));
        star
    }
}

/// Joins two namespaces by a cable, whose ends are named there as said.
fn cable(one: (&Namespace, &str), other: (&Namespace, &str)) {
    let ends = ["link", "add", one.1, "netns", &one.0.name, "type", "veth"];
    ip(&[ends.as_slice(), &["peer", other.1, "netns", &other.0.name]].concat());
}

/// Names namespaces that belong together, and no others.
fn names() -> impl Fn(String) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    move |role| format!("{MARK}-{}-{number}-{role}", process::id())
}

/// Removes namespaces of test runs that were killed.
pub fn sweep() {
    let names = [NAMESPACES, FILES].into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if is_orphan(&name) {
            remove(&name);
        }
    }
}

/// Removes a namespace and its files, as far as they are there.
fn remove(name: &str) {
    Command::new("ip").args(["netns", "del", name]).status().ok();
    fs::remove_dir_all(Path::new(FILES).join(name)).ok();
}

fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run_well(command, IP_LIMIT);
}
