//! What others than workers have to say: torrents come, change and go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::id::InfoHash;
use protocol::peer::{Order, Parting};
use protocol::swarm::candidates::Source;
use tokio::sync::oneshot;

use crate::storage::{Lookup, Torrent};

use super::entry::Entry;
use super::run::Loop;
use super::{Addition, Beginning, Instruction, Notice, Removal, Removed, Request};

/// Addresses that are passed on for a torrent that is not loaded: enough to begin with.
const MAX_PASSED_ON: usize = 100;
/// Notices that may wait when addresses are passed on; beyond that they are left out, for trackers name them again.
const MAX_NOTICES_WAITING: usize = 4_096;

impl Loop {
    /// Takes in an instruction other than to stop.
    pub(super) fn instruct(&mut self, instruction: Instruction, now: Instant) {
        match instruction {
            Instruction::Add(addition) => self.add(addition, now),
            Instruction::Begin(beginning) => self.begin(&beginning),
            Instruction::Found { info_hash, addresses, source } => {
                self.found(info_hash, addresses, source, now)
            }
            Instruction::Stored(info_hash, report) => {
                let notice = self.change(info_hash, |entry| entry.stored(info_hash, report));
                self.notices.extend(notice.flatten());
            }
            Instruction::Remove(request) => self.remove(request),
            Instruction::Refuse(info_hash) => self.waiting.refuse(info_hash),
            Instruction::Limit { info_hash, upload_bytes_per_s, download_bytes_per_s } => {
                let limits = match info_hash {
                    None => Some(Arc::clone(&self.parts.limits)),
                    Some(info_hash) => self.change(info_hash, |entry| Arc::clone(&entry.limits)),
                };
                limits.inspect(|limits| limits.set(upload_bytes_per_s, download_bytes_per_s, now));
            }
            Instruction::Settings(info_hash, settings) => {
                self.change(info_hash, |entry| entry.swarm.set_settings(settings, now));
            }
            Instruction::Peers(info_hash, reply) => {
                let peers = self.torrents.get(&info_hash).map(|entry| entry.peers(now));
                // Whoever asked may have gone.
                let _ = reply.send(peers.unwrap_or_default());
            }
            // Ends the loop before it comes to this.
            Instruction::Stop(_) => {}
        }
    }

    /// Does something to a torrent, if it is here, after which orders are to be given.
    fn change<T>(&mut self, info_hash: InfoHash, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.torrents.get_mut(&info_hash)?;
        self.changed.insert(info_hash);
        Some(change(entry))
    }

    /// Adds a torrent, and then has peers that come for it let in.
    fn add(&mut self, addition: Addition, now: Instant) {
        let Addition { info_hash, settings, limits, peers, standing, beginning, is_added } = addition;
        let is_new = !self.torrents.contains_key(&info_hash);
        if is_new {
            let entry = Entry::new(info_hash, self.parts.our_id, settings, limits, standing);
            self.torrents.insert(info_hash, entry);
            match beginning {
                Some(beginning) => self.begin(&beginning),
                None => self.parts.registry.add_awaited(info_hash),
            }
            self.waiting.admit(info_hash);
            self.found(info_hash, peers, Source::User, now);
        }
        // Whoever asked may have gone.
        let _ = is_added.send(is_new);
    }

    /// Lets peers in who come for a torrent, and has it fetched.
    fn begin(&mut self, beginning: &Beginning) {
        let info_hash = beginning.torrent.info_hash();
        if self.torrents.contains_key(&info_hash) {
            // Connections look it up when they are told to begin.
            self.parts.registry.add(Arc::clone(&beginning.torrent));
            self.change(info_hash, |entry| entry.begin(beginning));
        }
    }

    /// Takes in addresses of peers, or passes them on to whoever may load the torrent.
    fn found(&mut self, info_hash: InfoHash, mut addresses: Vec<SocketAddr>, source: Source, now: Instant) {
        if self.torrents.contains_key(&info_hash) {
            self.change(info_hash, |entry| entry.swarm.found(addresses, source, now));
        } else if !addresses.is_empty()
            && self.notices.len() < MAX_NOTICES_WAITING
            && matches!(self.parts.registry.find(&info_hash), Lookup::Known)
        {
            addresses.truncate(MAX_PASSED_ON);
            self.notices.push_back(Notice::Found { info_hash, addresses, source });
        }
    }

    /// Removes a torrent, and ends its connections.
    fn remove(&mut self, request: Request) {
        let Request { info_hash, leave, only_if_idle, reply } = request;
        let is_alone = self.torrents.get(&info_hash).is_none_or(|entry| entry.swarm.is_alone());
        let removal = if only_if_idle && !is_alone {
            Removal::Busy
        } else {
            // First of all, so that nobody else finds it.
            self.parts.registry.remove(info_hash, leave);
            self.waiting.refuse(info_hash);
            self.torrents.remove(&info_hash).map_or(Removal::Absent, |entry| self.part(info_hash, entry))
        };
        let _ = reply.send(removal);
    }

    /// Ends the connections of a torrent that was removed.
    fn part(&mut self, info_hash: InfoHash, entry: Entry) -> Removal {
        // For the last time: what was counted since is not lost.
        entry.publish();
        [&mut self.changed, &mut self.awake, &mut self.limited, &mut self.unpublished].into_iter().for_each(
            |torrents| {
                torrents.remove(&info_hash);
            },
        );
        // Also those end that have found the torrent and not joined yet.
        entry.torrent.as_deref().inspect(|torrent: &&Torrent| torrent.withdraw());
        let (last, parted) = oneshot::channel();
        let last = Arc::new(last);
        for (key, _) in entry.swarm.peers() {
            if let Some(member) = self.members.get_mut(&key) {
                member.leaving = Some(Arc::clone(&last));
                member.mailbox.post(Order::Close(Parting::Stopped));
                member.mailbox.ring();
            }
        }
        Removal::Removed(Removed { torrent: entry.torrent, parted })
    }
}
