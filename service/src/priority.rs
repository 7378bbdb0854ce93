//! Work that can wait, on threads that give way to all others.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};

/// The least that a thread can be given of a core that others want: some 1.5 % (sched(7)).
const LEAST: i32 = 19;

/// Has this thread give way to all that are as usual, from now on. On a core that is free it is as fast as before.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn give_way() -> io::Result<()> {
    // On Linux "this process" is the calling thread (setpriority(2)).
    Ok(setpriority_process(None, LEAST)?)
}

/// How much this thread gives way: 0 as usual, up to 19.
///
/// # Errors
/// Never, on Linux.
pub fn niceness() -> io::Result<i32> {
    Ok(getpriority_process(None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_gives_way_and_others_do_not() {
        let before = niceness().unwrap();
        let of_other = std::thread::spawn(|| give_way().and_then(|()| niceness())).join().unwrap().unwrap();
        assert_eq!((of_other, niceness().unwrap()), (LEAST, before));
    }
}
