//! A folder (FUSE) with one file that shows another, and whose reads can be made to take half a second each.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, Request,
};

/// How long a read takes while it is slow.
const STALL: Duration = Duration::from_millis(500);
/// How long the kernel may remember what it was told of a file.
const TTL: Duration = Duration::from_secs(3600);
const FILE: INodeNo = INodeNo(2);

/// The folder, mounted until this is dropped.
#[derive(Debug)]
pub(crate) struct SlowFolder {
    file: PathBuf,
    is_slow: Arc<AtomicBool>,
    /// Taken to unmount.
    session: Option<BackgroundSession>,
}

#[derive(Debug)]
struct Mirror {
    name: OsString,
    source: Arc<File>,
    length: u64,
    is_slow: Arc<AtomicBool>,
}

impl SlowFolder {
    /// Mounts a folder at `path` with a file that shows the one at `source`.
    ///
    /// # Errors
    /// When the kernel has no FUSE for us.
    pub(crate) fn mount(path: &Path, source: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let name = source.file_name().unwrap_or_default().to_owned();
        let file = path.join(&name);
        let is_slow = Arc::new(AtomicBool::new(false));
        let source = File::open(source)?;
        let length = source.metadata()?.len();
        let mirror = Mirror { name, source: Arc::new(source), length, is_slow: Arc::clone(&is_slow) };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("btd-bench".to_owned())];
        let session = fuser::spawn_mount(mirror, path, &config)
            .map_err(|error| io::Error::other(format!("no FUSE at {}: {error}", path.display())))?;
        Ok(Self { file, is_slow, session: Some(session) })
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.clone()
    }

    /// Whether each read is to take half a second from now on.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        self.is_slow.store(is_slow, Ordering::SeqCst);
    }
}

impl Drop for SlowFolder {
    fn drop(&mut self) {
        self.set_slow(false);
        // Fails where it is mounted no more.
        let _ = self.session.take().map(BackgroundSession::umount_and_join);
    }
}

impl Mirror {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        FileAttr {
            ino: inode,
            size: if is_file { self.length } else { 0 },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o444 } else { 0o555 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Mirror {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == self.name {
            reply.entry(&TTL, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(inode));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (source, is_slow) = (Arc::clone(&self.source), Arc::clone(&self.is_slow));
        let length = u64::from(size).min(self.length.saturating_sub(offset));
        // A thread for each: reads stall side by side, as many as the kernel has under way.
        thread::spawn(move || {
            if is_slow.load(Ordering::SeqCst) {
                thread::sleep(STALL);
            }
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            match source.read_exact_at(&mut bytes, offset) {
                Ok(()) => reply.data(&bytes),
                Err(_) => reply.error(Errno::EIO),
            }
        });
    }
}
