//! The limit of open files, and how it is shared out between connections and payload.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors kept for what is neither a peer nor payload: rings, listeners, logs, state.
const RESERVED_FILES: u64 = 128;
/// Most payload files held open and mapped at once; each is a mapping too, and `vm.max_map_count` is 65,530.
const MAX_OPEN_PAYLOAD_FILES: u64 = 16_384;
/// Payload gets at most this share of the descriptors that are left.
const PAYLOAD_SHARE: u64 = 4;

/// How many descriptors may be used, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Most connections.
    pub connections: usize,
    /// Most payload files open at once.
    pub payload: usize,
}

/// Raises the soft limit of open files to the hard one, and shares it out.
///
/// # Errors
/// When the kernel does not tell the limit.
pub fn raise_open_files() -> nix::Result<OpenFiles> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    Ok(share(limit))
}

fn share(limit: u64) -> OpenFiles {
    let free = limit.saturating_sub(RESERVED_FILES).max(2);
    let payload = (free / PAYLOAD_SHARE).clamp(1, MAX_OPEN_PAYLOAD_FILES);
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    OpenFiles { connections: count(free - payload), payload: count(payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_gets_a_quarter_and_a_bound() {
        assert_eq!(share(1_024), OpenFiles { connections: 672, payload: 224 });
        assert_eq!(share(1 << 20).payload, 16_384);
        assert_eq!(share(0), OpenFiles { connections: 1, payload: 1 });
    }
}
