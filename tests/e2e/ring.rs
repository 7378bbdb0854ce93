//! A hot upload is ring and poll calls only: strace watches the threads that serve.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::download::Download;
use tests::folders::scratch;
use tests::needs::Need;
use tests::process::Running;
use tests::wire::Speaks;

use crate::Case;
use crate::swarm::Swarm;

pub(crate) const CASES: &[Case] =
    &[Case::new("a_hot_upload_makes_ring_and_poll_calls_only", ring_and_poll_only)
        .needs(&[Need::Program("strace")])];

/// What a thread that serves may call: the ring, the poll that tokio waits in, and the one that looks whether
/// payload has changed.
const ALLOWED: &[&str] = &["io_uring_enter", "poll", "epoll_wait", "epoll_pwait", "epoll_pwait2"];
/// Longest that strace may take to attach and to leave.
const STRACE_LIMIT: Duration = Duration::from_secs(30);
/// How long the payload is downloaded over and over while strace watches: what happens once a second, as a worker's
/// clock does, is to be seen. Windows stay warm for longer than this.
const WATCHED: Duration = Duration::from_secs(3);

fn ring_and_poll_only() {
    let swarm = Swarm::start_with("ring", &["--workers", "2", "--piece-length", "256KiB"]);
    let mut download = Download::start(swarm.address(), &swarm.torrent, Speaks::Fast);
    download.whole();
    let threads = swarm.seeder.worker_threads();
    assert_eq!(threads.len(), 2, "threads named btd-worker-N");

    let folder = scratch("strace");
    let log = folder.path().join("calls");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&log);
    for thread in &threads {
        command.args(["-p", &thread.to_string()]);
    }
    let strace = Running::spawn(command);
    strace.wait_for("attachment to each thread", STRACE_LIMIT, |output| {
        (output.stderr().matches(" attached").count() == threads.len()).then_some(())
    });
    let (start, mut downloads) = (Instant::now(), 0);
    while start.elapsed() < WATCHED {
        download.whole();
        downloads += 1;
    }
    strace.signal(Signal::SIGINT);
    strace.wait(STRACE_LIMIT);

    let calls = count_calls(&fs::read_to_string(&log).unwrap());
    assert!(
        calls.get("io_uring_enter").is_some_and(|count| *count > downloads),
        "strace saw no upload: {calls:?}"
    );
    let others: Vec<_> = calls.iter().filter(|(name, _)| !ALLOWED.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "calls beside ring and poll: {others:?} of {calls:?}");
    swarm.seeder.end_well();
}

/// How often each system call stands in a log of strace. A call that another thread interrupts stands there in two
/// parts, of which the first counts. One that strace itself interrupted as it attached is not the thread's doing.
fn count_calls(log: &str) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for line in log.lines().filter(|line| !line.contains("resuming interrupted")) {
        let call = line.split_once(' ').map_or(line, |(_thread, call)| call).trim_start();
        let Some((name, _)) = call.split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *calls.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    calls
}
