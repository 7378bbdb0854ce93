//! Whether this machine lets us have io_uring, and if not, how to allow it.

use std::io;

use io_uring::{IoUring, Probe, opcode};
use nix::libc;

/// Where the kernel keeps the switch that forbids io_uring.
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// Why io_uring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The administrator switched it off.
    #[error(
        "io_uring is forbidden on this machine (kernel.io_uring_disabled = {0}): allow it with \
         `sysctl kernel.io_uring_disabled=0`, or for members of kernel.io_uring_group with the value 1"
    )]
    SwitchedOff(String),
    /// A sandbox keeps it from us.
    #[error(
        "io_uring is refused ({0}) although the kernel allows it: a container's seccomp profile forbids it; \
         allow io_uring_setup, io_uring_enter and io_uring_register in the profile (docker: \
         `--security-opt seccomp=PROFILE.json`), or a systemd unit's SystemCallFilter does (add @aio)"
    )]
    Sandboxed(io::Error),
    /// The kernel does not have it.
    #[error("this kernel has no io_uring ({0}): btd needs Linux 5.14 or later")]
    Missing(io::Error),
    /// The ring's memory was refused.
    #[error(
        "io_uring is refused for want of locked memory ({0}): raise it with `ulimit -l` or LimitMEMLOCK="
    )]
    Memory(io::Error),
    /// An operation that we need is not there.
    #[error("this kernel's io_uring lacks {0}: btd needs Linux 5.14 or later")]
    Operation(&'static str),
    /// Anything else.
    #[error("io_uring is refused: {0}")]
    Other(io::Error),
}

/// Makes a small ring and asks for the operations that the workers use.
///
/// # Errors
/// When io_uring is missing or forbidden; the text says how to allow it.
pub fn io_uring() -> Result<(), ProbeError> {
    let ring = IoUring::new(8).map_err(explain)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(explain)?;
    let needed = [
        ("ACCEPT", opcode::Accept::CODE),
        ("POLL_ADD", opcode::PollAdd::CODE),
        ("READ", opcode::Read::CODE),
        ("RECV", opcode::Recv::CODE),
        ("SENDMSG", opcode::SendMsg::CODE),
    ];
    match needed.into_iter().find(|(_, code)| !probe.is_supported(*code)) {
        Some((name, _)) => Err(ProbeError::Operation(name)),
        None => Ok(()),
    }
}

/// Turns what the kernel said into what to do about it.
pub fn explain(error: io::Error) -> ProbeError {
    let switch = std::fs::read_to_string(SWITCH).unwrap_or_default();
    explain_with(error, switch.trim())
}

fn explain_with(error: io::Error, switch: &str) -> ProbeError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if !matches!(switch, "" | "0") => {
            ProbeError::SwitchedOff(switch.to_owned())
        }
        Some(libc::EPERM | libc::EACCES) => ProbeError::Sandboxed(error),
        // The switch exists only where the kernel has io_uring, so it is a sandbox that denies it.
        Some(libc::ENOSYS) if !switch.is_empty() => ProbeError::Sandboxed(error),
        Some(libc::ENOSYS) => ProbeError::Missing(error),
        Some(libc::ENOMEM) => ProbeError::Memory(error),
        _ => ProbeError::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let text = |code, switch| explain_with(io::Error::from_raw_os_error(code), switch).to_string();
        assert!(text(libc::EPERM, "2").contains("sysctl kernel.io_uring_disabled=0"));
        assert!(text(libc::EPERM, "0").contains("seccomp"));
        assert!(text(libc::EPERM, "0").contains("@aio"), "the set of systemd that has io_uring");
        assert!(text(libc::ENOSYS, "0").contains("seccomp"));
        assert!(text(libc::ENOSYS, "").contains("5.14"));
        assert!(text(libc::ENOMEM, "0").contains("ulimit -l"));
    }
}
