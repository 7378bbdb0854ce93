//! Reads that take no longer than a limit: what the kernel says when it is over ("Resource temporarily unavailable")
//! tells nobody what was waited for.

use std::io::{self, ErrorKind};
use std::time::Duration;

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
