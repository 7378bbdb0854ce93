//! Reads that take no longer than a limit: what the kernel says when it is over ("Resource temporarily unavailable")
//! tells nobody what was waited for.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a read has come to, whose socket lets it take no longer than `limit`.
///
/// # Errors
/// Its own; "no answer within ..." of the kind `TimedOut` when the limit is over.
pub fn within<T>(limit: Duration, read: io::Result<T>) -> io::Result<T> {
    read.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {limit:?}"))
        }
        _ => error,
    })
}

/// The connection that somebody makes to `listener` within `limit`; what is read of it has that limit, too.
pub fn accept_within(limit: Duration, listener: &TcpListener) -> TcpStream {
    let timeout = PollTimeout::try_from(limit).expect("a limit of a test is short");
    let ready = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], timeout);
    assert_eq!(ready, Ok(1), "nobody came within {limit:?}");
    let (stream, _) = listener.accept().unwrap_or_else(|error| panic!("a connection: {error}"));
    stream.set_read_timeout(Some(limit)).expect("a limit is set");
    stream
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_limit_that_is_over_is_named() {
        let limit = Duration::from_millis(10);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(limit)).unwrap();
        let error = within(limit, ours.read(&mut [0])).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::TimedOut, "no answer within 10ms")
        );
        drop(theirs);
        assert_eq!(within(limit, ours.read(&mut [0])).unwrap(), 0);
    }
}
