//! The only door to raw operations of the ring: poll, receive, send, and the clock.
//!
//! tokio-uring offers any one-shot operation through [`UnsubmittedOneshot`], whose constructor is safe although it
//! takes pointers; here each is built together with what it points to. The socket and the memory travel with the
//! operation, and stay with the driver until the kernel is done even when the future is dropped.

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{cqueue, opcode, squeue, types};
use nix::libc;
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

use super::batch::Batch;
use super::buffers::Landing;
use super::clock::Clock;
use super::gather::Gather;

/// Waits until `socket` has something to read, or has ended.
///
/// # Errors
/// When the poll itself fails.
pub(super) async fn readable<S: AsRawFd + 'static>(socket: &Rc<S>) -> io::Result<()> {
    poll(socket, libc::POLLIN).await
}

/// Waits until `socket` takes more, or has ended.
///
/// # Errors
/// When the poll itself fails.
pub(super) async fn writable<S: AsRawFd + 'static>(socket: &Rc<S>) -> io::Result<()> {
    poll(socket, libc::POLLOUT).await
}

async fn poll<S: AsRawFd + 'static>(socket: &Rc<S>, events: libc::c_short) -> io::Result<()> {
    let flags = u32::from(events.cast_unsigned());
    let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), flags).build();
    submit(entry, Rc::clone(socket)).await.0.map(drop)
}

/// Receives into `landing` what is there now, up to `length`, which fits; does not wait.
///
/// # Errors
/// `WouldBlock` when there is nothing, and what `recv` says.
pub(super) async fn receive<S: AsRawFd + 'static>(
    socket: &Rc<S>,
    mut landing: Landing,
    length: usize,
) -> (io::Result<usize>, Landing) {
    let room = &mut landing.bytes_mut()[..length];
    let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
    let entry = opcode::Recv::new(types::Fd(socket.as_raw_fd()), room.as_mut_ptr(), length)
        .flags(libc::MSG_DONTWAIT)
        .build();
    let (result, (_, landing)) = submit(entry, (Rc::clone(socket), landing)).await;
    (result, landing)
}

/// Waits for the next tick of `clock`.
///
/// # Errors
/// When the clock cannot be read.
pub(super) async fn tick(clock: &Rc<Clock>) -> io::Result<()> {
    let mut count = Box::new([0_u8; 8]);
    let entry = opcode::Read::new(types::Fd(clock.as_raw_fd()), count.as_mut_ptr(), 8).build();
    submit(entry, (Rc::clone(clock), count)).await.0.map(drop)
}

/// Sends as much of `batch`, listed in `gather`, as the socket takes now; does not wait. So what is read from a mapping is
/// read here and now, and not whenever a slow peer makes room.
///
/// # Errors
/// `WouldBlock` when the socket takes nothing, EFAULT when mapped bytes are gone, and what `sendmsg` says.
pub(super) async fn send<S: AsRawFd + 'static>(
    socket: &Rc<S>,
    batch: Box<Batch>,
    gather: Box<Gather>,
) -> (io::Result<usize>, Box<Batch>, Box<Gather>) {
    let flags = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL).cast_unsigned();
    let entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), gather.message()).flags(flags).build();
    let (result, (_, batch, gather)) = submit(entry, (Rc::clone(socket), batch, gather)).await;
    (result, batch, gather)
}

/// Hands `entry` to the ring together with `data`, which owns the descriptor and all memory that `entry` points to.
async fn submit<D: Unpin + 'static>(entry: squeue::Entry, data: D) -> (io::Result<usize>, D) {
    UnsubmittedOneshot::new(data, Outcome(PhantomData), entry).submit().await
}

/// Turns a completion into a result and gives the data back.
struct Outcome<D>(PhantomData<D>);

impl<D> OneshotOutputTransform for Outcome<D> {
    type Output = (io::Result<usize>, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, cqe: cqueue::Entry) -> Self::Output {
        let result = usize::try_from(cqe.result()).map_err(|_| io::Error::from_raw_os_error(-cqe.result()));
        (result, data)
    }
}
