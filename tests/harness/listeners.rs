//! Where a process listens, as the kernel tells: for addresses that the process itself tells nobody.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The addresses at which the process `id` listens for TCP over IPv4.
pub fn listeners(id: i32) -> Vec<SocketAddr> {
    let table = format!("/proc/{id}/net/tcp");
    let table = fs::read_to_string(&table).unwrap_or_else(|error| panic!("{table}: {error}"));
    let sockets = format!("/proc/{id}/fd");
    let sockets = fs::read_dir(&sockets).unwrap_or_else(|error| panic!("{sockets}: {error}"));
    let sockets: Vec<PathBuf> = sockets.flatten().filter_map(|it| fs::read_link(it.path()).ok()).collect();
    let is_theirs = |inode: &str| sockets.contains(&PathBuf::from(format!("socket:[{inode}]")));
    let listening = table.lines().filter_map(|line| {
        // Number, local and remote address, state (10 is listening), five more, inode.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_wanted = fields.get(3) == Some(&"0A") && is_theirs(fields.get(9)?);
        is_wanted.then(|| spelled_out(fields[1])).flatten()
    });
    let mut found: Vec<SocketAddr> = listening.collect();
    found.dedup();
    found
}

/// An address of /proc/net/tcp: hexadecimal, the four bytes as this machine has a number.
fn spelled_out(address: &str) -> Option<SocketAddr> {
    let (ip, port) = address.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_ours_is_found() {
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let id = i32::try_from(std::process::id()).unwrap();
        assert!(listeners(id).contains(&ours.local_addr().unwrap()));
    }
}
