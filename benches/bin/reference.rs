//! Runs the reference server: prints one JSON line with its address, then serves until it is ended.

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;

use benches::{mapping, reference, size};
use clap::Parser;
use protocol::geometry::Geometry;

/// The bound for uploads: gathered writes from a mapping, and nothing else.
#[derive(Debug, Parser)]
struct Args {
    /// File to serve
    payload: PathBuf,
    /// How it is cut
    #[arg(long, default_value = "1MiB", value_parser = size::parse)]
    piece_length: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let payload = mapping::map(&args.payload)?;
    let geometry = Geometry::new(payload.len() as u64, args.piece_length)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", serde_json::json!({ "listen": [listener.local_addr()?] }));
    reference::serve(&listener, &payload, &geometry)?;
    Ok(())
}
