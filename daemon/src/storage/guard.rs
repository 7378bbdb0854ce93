//! Reading mapped bytes in user space without dying of SIGBUS when the file shrinks or the disk fails.
//!
//! A handler looks whether the fault lies in the range that this very thread is reading. If so it puts zero pages
//! over the rest of the range, notes the fault, and lets the thread go on; the reader then learns that what it saw
//! was worthless. Any other SIGBUS takes its usual course. Only mappings that nobody else uses are read this way.

use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use nix::libc::{self, c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{SysconfVar, sysconf};

use super::mapping::Mapping;

/// The bytes could not be read: the file is shorter than its mapping, or the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file shrank or could not be read")]
pub struct Fault;

/// What this thread is reading, for the handler to see.
#[derive(Debug, Clone, Copy)]
struct Reading {
    start: usize,
    end: usize,
    has_faulted: bool,
}

thread_local! {
    // Const and without a destructor: the handler may touch it at any moment.
    static READING: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// Runs `read` over the bytes of `range`. `mapping` must not be in use elsewhere: after a fault its pages are zero.
///
/// # Errors
/// When some of the bytes were not there; what `read` saw then is worthless.
pub fn with_bytes<R>(
    mapping: &Mapping,
    range: Range<usize>,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Fault> {
    if !install() {
        return Err(Fault);
    }
    let pointer = mapping.pointer(range.clone());
    let watched = Watched::new(pointer.addr(), range.len());
    // SAFETY: `Mapping::pointer` checked the range, the mapping outlives the call, and the handler above answers for
    // pages that are gone. Another process may write the file meanwhile, which no reader of a mapped file can rule
    // out: `read` only hashes, every bit pattern is a valid u8, and size and mtime are compared afterwards.
    let bytes = unsafe { std::slice::from_raw_parts(pointer, range.len()) };
    let result = read(bytes);
    if watched.has_faulted() { Err(Fault) } else { Ok(result) }
}

/// Tells the handler what this thread is reading, until it is dropped: also when reading panics.
struct Watched;

impl Watched {
    fn new(start: usize, length: usize) -> Self {
        READING.set(Some(Reading { start, end: start + length, has_faulted: false }));
        // The handler runs on this thread, unseen by the compiler: reads must not move above this, nor below the
        // fence that comes after them.
        compiler_fence(Ordering::SeqCst);
        Self
    }

    fn has_faulted(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        READING.get().is_none_or(|reading| reading.has_faulted)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        READING.set(None);
    }
}

/// Bytes in a page, for the handler, which may not ask.
static PAGE_LENGTH: AtomicUsize = AtomicUsize::new(4_096);

/// Installs the handler, once for the process; whether it is there.
fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        if let Ok(Some(length)) = sysconf(SysconfVar::PAGE_SIZE) {
            PAGE_LENGTH.store(usize::try_from(length).unwrap_or(4_096), Ordering::Relaxed);
        }
        // On the alternate stack where a thread has one, as std's own handlers are.
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
        let action = SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty());
        // SAFETY: the handler only touches a constant thread-local, mmap and sigaction, all safe within a signal.
        unsafe { sigaction(Signal::SIGBUS, &action) }.is_ok()
    })
}

extern "C" fn handle(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler installed with SA_SIGINFO, and for SIGBUS it has an
    // address.
    let address = unsafe { (*info).si_addr() }.addr();
    let reading = READING.get();
    if let Some(reading) = reading
        && (reading.start..reading.end).contains(&address)
        && cover(address, reading.end)
    {
        READING.set(Some(Reading { has_faulted: true, ..reading }));
        return;
    }
    // Not ours: back to the default, and the fault happens again.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: restoring the default action installs no code of ours.
    let _ = unsafe { sigaction(Signal::SIGBUS, &default) };
}

/// Puts zero pages from the page of `address` to `end`; false when the kernel refuses.
fn cover(address: usize, end: usize) -> bool {
    let page = PAGE_LENGTH.load(Ordering::Relaxed);
    let start = address / page * page;
    let length = end.div_ceil(page) * page - start;
    // SAFETY: the pages lie in a mapping that this thread is reading, holds, and shares with nobody; replacing them
    // is the point. memmap2's wrappers cannot place a mapping at an address.
    let covered = unsafe {
        libc::mmap(
            ptr::with_exposed_provenance_mut(start),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    covered != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn mapped(length: usize) -> (File, Mapping) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        let mapping = Mapping::new(&file, 0, length).unwrap();
        (file, mapping)
    }

    fn sum(bytes: &[u8]) -> u64 {
        bytes.iter().map(|byte| u64::from(*byte)).sum()
    }

    #[test]
    fn bytes_that_are_there_are_read() {
        let (_file, mapping) = mapped(10_000);
        assert_eq!(with_bytes(&mapping, 0..10_000, sum), Ok(70_000));
        assert_eq!(with_bytes(&mapping, 5_000..5_001, sum), Ok(7));
    }

    #[test]
    fn a_file_that_shrinks_under_a_reader_is_an_error_and_the_process_lives() {
        let (file, mapping) = mapped(1 << 20);
        let result = with_bytes(&mapping, 0..1 << 20, |bytes| {
            file.set_len(10_000).unwrap();
            sum(bytes)
        });
        assert_eq!(result, Err(Fault));
        let (_file, other) = mapped(100);
        assert_eq!(with_bytes(&other, 0..100, sum), Ok(700), "the next reader is not affected");
    }
}
