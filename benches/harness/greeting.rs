//! Whether somebody greets as a seed does: asked of contenders that do not say when they are ready.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::torrent::Torrent;
use crate::wire;

/// How long a seed may take to greet.
const PATIENCE: Duration = Duration::from_secs(1);
const PEER_ID: &[u8; 20] = b"-GR0000-greeting0000";

/// Whether whoever listens at `address` has all pieces of `torrent`.
pub(crate) fn is_seed(address: SocketAddr, torrent: &Torrent) -> bool {
    greet(address, torrent).is_ok_and(|pieces| pieces == torrent.geometry.piece_count())
}

/// How many pieces the first BITFIELD names.
fn greet(address: SocketAddr, torrent: &Torrent) -> io::Result<u32> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&wire::handshake(torrent.info_hash.as_bytes(), PEER_ID))?;
    stream.read_exact(&mut [0; wire::HANDSHAKE_LENGTH])?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > wire::MAX_MESSAGE_LENGTH {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message)?;
        if let Some((&wire::BITFIELD, bits)) = message.split_first() {
            return Ok(bits.iter().map(|byte| byte.count_ones()).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::{mapping, payload, reference, torrent};

    #[test]
    fn the_reference_greets_as_a_seed_and_nobody_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = payload::prepare(directory.path(), 1 << 20).unwrap();
        let torrent = torrent::create(&path, 1 << 15).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let payload = mapping::map(&path).unwrap();
        let geometry = torrent.geometry;
        // It serves until the tests end.
        thread::spawn(move || reference::serve(&listener, &payload, &geometry));
        assert!(is_seed(address, &torrent));
        let more = torrent::create(&path, 1 << 14).unwrap();
        assert!(!is_seed(address, &more), "it has other pieces");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_seed(nobody.local_addr().unwrap(), &torrent));
    }
}
