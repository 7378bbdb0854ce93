//! What a datagram is answered with, if it is: nothing to what is no request, and never more than came from an address
//! that is not proven to be the sender's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use protocol::announce::{
    ACTION_CONNECT, Announce, Family, PROTOCOL_ID, UdpError, UdpHeader, UdpRequest, split_target,
    write_udp_announce, write_udp_connect, write_udp_error, write_udp_scrape,
};
use protocol::id::InfoHash;

use super::ConnectionIds;
use crate::desk::{Clerk, Form, Now, Refusal, Visitor};
use crate::figures::Reason;
use crate::limits::{Rate, RateTable};

/// Most peers of IPv4 in an answer: 1,220 bytes, which no network splits.
const MAX_PEERS_V4: usize = 200;
/// Most peers of IPv6 in an answer: 1,208 bytes.
const MAX_PEERS_V6: usize = 66;
/// Bytes of a request to connect.
const CONNECT_LENGTH: usize = 16;
/// What is said to a connection id that is another's, or too old. With its head it is shorter than any request that has
/// one.
const BAD_ID: &str = "connect again";
/// How often that is said to one address: it may be another's, who is to be left in peace.
const BAD_ID_RATE: Rate = Rate { per_s: 10, burst: 100 };
/// Buckets for that, in 128 KiB.
const BAD_ID_SLOTS: usize = 1 << 14;

/// Answers the datagrams of one thread.
#[derive(Debug)]
pub(super) struct Answerer {
    clerk: Clerk,
    shared: Arc<Shared>,
}

/// What all threads have in common.
#[derive(Debug)]
pub(super) struct Shared {
    ids: ConnectionIds,
    bad_ids: RateTable,
}

/// The moment at which a batch came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Now,
    pub(super) unix_s: u64,
}

impl Shared {
    pub(super) fn new(ids: ConnectionIds) -> Arc<Self> {
        Arc::new(Self { ids, bad_ids: RateTable::new(BAD_ID_SLOTS, rand::random()) })
    }
}

impl Answerer {
    pub(super) fn new(clerk: Clerk, shared: Arc<Shared>) -> Self {
        Self { clerk, shared }
    }

    pub(super) fn clerk(&self) -> &Clerk {
        &self.clerk
    }

    /// Appends the answer to `packet` of `sender`.
    pub(super) fn answer(&mut self, packet: &[u8], sender: SocketAddr, at: Moment, out: &mut Vec<u8>) {
        let Some(header) = UdpHeader::decode(packet).filter(|_| sender.port() != 0) else {
            return self.clerk.counters().refused(Reason::Malformed);
        };
        let ip = sender.ip().to_canonical();
        if header.action == ACTION_CONNECT {
            // Whoever does not speak the protocol is not taught it.
            if header.connection == PROTOCOL_ID && packet.len() >= CONNECT_LENGTH {
                self.clerk.counters().connected();
                write_udp_connect(out, header.transaction, self.shared.ids.issue(ip, at.unix_s));
            } else {
                self.clerk.counters().refused(Reason::Malformed);
            }
            return;
        }
        if !self.shared.ids.is_valid(header.connection, ip, at.unix_s) {
            return self.refuse_id(header, packet.len(), ip, at.now, out);
        }
        match UdpRequest::decode(packet) {
            Ok(UdpRequest::Announce { announce, target, transaction, .. }) => {
                self.announce(&announce, &target, transaction, ip, at.now, out);
            }
            Ok(UdpRequest::Scrape { hashes, transaction, .. }) => {
                self.scrape(&hashes, transaction, ip, at.now, out);
            }
            Ok(UdpRequest::Connect { .. }) => {}
            Err(error) => self.refuse_packet(error, header.transaction, out),
        }
    }

    fn announce(
        &mut self,
        announce: &Announce,
        target: &[u8],
        transaction: u32,
        ip: IpAddr,
        now: Now,
        out: &mut Vec<u8>,
    ) {
        let family = Family::of(ip);
        let most = if family == Family::V4 { MAX_PEERS_V4 } else { MAX_PEERS_V6 };
        let passkey =
            if target.is_empty() { None } else { split_target(target).and_then(|it| it.find_passkey()) };
        let visitor = Visitor { ip, passkey: passkey.as_deref(), now };
        let form = Form { family: Some(family), has_ids: false, most };
        match self.clerk.announce(visitor, announce, form) {
            Ok(told) => {
                let peers = if family == Family::V4 { &told.chosen.v4 } else { &told.chosen.v6 };
                let numbers = told.numbers;
                write_udp_announce(out, transaction, told.interval, numbers.leechers, numbers.seeds, peers);
            }
            Err(refusal) => refuse(&refusal, transaction, out),
        }
    }

    fn scrape(&mut self, hashes: &[InfoHash], transaction: u32, ip: IpAddr, now: Now, out: &mut Vec<u8>) {
        match self.clerk.scrape(Visitor { ip, passkey: None, now }, hashes) {
            Ok(entries) => write_udp_scrape(out, transaction, entries),
            Err(refusal) => refuse(&refusal, transaction, out),
        }
    }

    fn refuse_id(&self, header: UdpHeader, length: usize, ip: IpAddr, now: Now, out: &mut Vec<u8>) {
        self.clerk.counters().refused(Reason::ConnectionId);
        let begin = out.len();
        if self.shared.bad_ids.admit_address(ip, now.ms, BAD_ID_RATE).is_ok() {
            write_udp_error(out, header.transaction, BAD_ID);
        }
        if out.len() - begin > length {
            out.truncate(begin);
        }
    }

    fn refuse_packet(&self, error: UdpError, transaction: u32, out: &mut Vec<u8>) {
        self.clerk.counters().refused(Reason::Malformed);
        write_udp_error(out, transaction, &error.to_string());
    }
}

fn refuse(refusal: &Refusal, transaction: u32, out: &mut Vec<u8>) {
    write_udp_error(out, transaction, &refusal.to_string());
}

#[cfg(test)]
mod tests;
