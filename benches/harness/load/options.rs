//! What a load is to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use protocol::geometry::BLOCK_LENGTH;
use protocol::id::InfoHash;
use serde::Serialize;

use crate::size;

/// Whom to ask, for what, and how hard.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address of the seeder
    pub peer: SocketAddr,
    /// A torrent to ask for and its payload, to compare answers with; repeatable: connections take them in turn
    #[arg(long = "torrent", value_name = "INFO-HASH=FILE", required = true)]
    pub torrents: Vec<Asked>,
    /// How the payload is cut
    #[arg(long, default_value = "1MiB", value_parser = size::parse)]
    pub piece_length: u64,
    /// Connections that ask, each from a loopback address of its own
    #[arg(long, default_value = "1", value_parser = parse_connections)]
    pub connections: usize,
    /// Further connections that are interested and never ask
    #[arg(long, default_value = "0")]
    pub idle: usize,
    /// Threads that share the connections
    #[arg(long, default_value = "1", value_parser = parse_threads)]
    pub threads: usize,
    /// Requests that each connection keeps open
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..))]
    pub outstanding: u32,
    /// Requests a second of all connections together, in turn, however many are open [default: as fast as they are
    /// answered]
    #[arg(long)]
    pub rate: Option<f64>,
    /// Bytes of a request
    #[arg(long, default_value_t = BLOCK_LENGTH, value_parser = parse_block_length)]
    pub block_length: u32,
    /// In which order blocks are asked for
    #[arg(long, default_value = "in-order")]
    pub order: Order,
    /// How long the measured window is: payload over all connections, or a time
    #[arg(long, default_value = "1GiB", value_name = "SIZE|TIME")]
    pub window: Span,
    /// What passes before the window
    #[arg(long, default_value = "128MiB", value_name = "SIZE|TIME")]
    pub warm: Span,
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

/// A torrent that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub info_hash: InfoHash,
    /// Its payload, one file.
    pub payload: PathBuf,
}

/// In which order a connection asks for the blocks of its torrent. Each connection begins elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One after the other.
    InOrder,
    /// Shuffled: each once, then all again.
    Random,
}

/// How long something goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Until so many bytes of payload have come.
    Bytes(u64),
    /// For so long.
    Time(Duration),
}

/// Most connections: more would not have a source address of their own in 127.0.0.0/16.
const MAX_CONNECTIONS: usize = 50_000;
/// Most threads: as many as a large machine has cores.
const MAX_THREADS: usize = 256;
/// Longest request: what peers commonly take.
const MAX_BLOCK_LENGTH: u32 = 128 * 1024;

fn parse_connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_CONNECTIONS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_CONNECTIONS}"))
}

fn parse_threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_THREADS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_THREADS}"))
}

fn parse_block_length(text: &str) -> Result<u32, String> {
    let length = u32::try_from(size::parse(text)?).ok().filter(|length| *length <= MAX_BLOCK_LENGTH);
    length.ok_or_else(|| format!("a request is of at most {MAX_BLOCK_LENGTH} bytes"))
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (hash, payload) = text.split_once('=').ok_or("a torrent is INFO-HASH=FILE")?;
        let info_hash = hash.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { info_hash, payload: payload.into() })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        match seconds.map(Duration::try_from_secs_f64) {
            Some(Ok(time)) => Ok(Self::Time(time)),
            _ => size::parse(text)
                .map(Self::Bytes)
                .map_err(|_| format!("{text:?} is neither a size such as 1GiB nor a time such as 2.5s")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_size_or_a_time() {
        assert_eq!("64MiB".parse(), Ok(Span::Bytes(64 << 20)));
        assert_eq!("2.5s".parse(), Ok(Span::Time(Duration::from_millis(2500))));
        for text in ["", "s", "-1s", "1h", "0"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_torrent_is_a_name_and_a_file() {
        let hash = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";
        let asked: Asked = format!("{hash}=/a=b").parse().unwrap();
        assert_eq!((asked.info_hash.to_string(), asked.payload), (hash.to_owned(), PathBuf::from("/a=b")));
        assert!("/a".parse::<Asked>().is_err() && "x=/a".parse::<Asked>().is_err());
    }
}
