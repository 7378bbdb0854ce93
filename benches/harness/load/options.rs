//! What a load is to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use protocol::id::InfoHash;

use crate::size;

/// Whom to ask, for what, and how hard.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address of the seeder
    pub peer: SocketAddr,
    /// Torrent to ask for
    #[arg(long)]
    pub info_hash: InfoHash,
    /// The payload, to compare answers with
    #[arg(long)]
    pub payload: PathBuf,
    /// How the payload is cut
    #[arg(long, default_value = "1MiB", value_parser = size::parse)]
    pub piece_length: u64,
    /// Connections, each from a loopback address of its own
    #[arg(long, default_value = "1", value_parser = parse_connections)]
    pub connections: usize,
    /// Requests that each connection keeps open
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..))]
    pub outstanding: u32,
    /// Payload to receive in the measured window, over all connections
    #[arg(long, default_value = "1GiB", value_parser = size::parse)]
    pub volume: u64,
    /// Payload to receive before the window
    #[arg(long, default_value = "128MiB", value_parser = size::parse)]
    pub warm_volume: u64,
    /// Compare all blocks with the payload, not only a sample
    #[arg(long)]
    pub verify: bool,
    /// Process to measure
    #[arg(long)]
    pub server_pid: Option<i32>,
    /// Core to run on
    #[arg(long)]
    pub core: Option<usize>,
    /// How long to wait until all connections are unchoked
    #[arg(long, default_value = "10")]
    pub unchoke_wait_s: u64,
    /// How long the whole run may take
    #[arg(long, default_value = "120")]
    pub deadline_s: u64,
}

/// Most connections: more would not have a source address of their own in 127.0.0.0/16.
const MAX_CONNECTIONS: usize = 50_000;

fn parse_connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_CONNECTIONS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_CONNECTIONS}"))
}
