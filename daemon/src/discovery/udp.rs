//! Announces over UDP (BEP 15): one socket for each family, retries, and connection ids that are used for a minute.
//!
//! An answer counts only if its transaction id and the address it came from are those of a request that waits.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::announce::{
    Announce, CONNECTION_LIFETIME, Family, Refusal, Reply, TrackerUrl, UdpRequest, UdpResponse, retry_delay,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::client::{AskError, is_without_address};
use super::dns::Dns;

/// Longest packet that is read.
const MAX_PACKET_LENGTH: usize = 64 * 1024;
/// Connection ids that are remembered before old ones are looked for.
const MAX_CONNECTIONS: usize = 1024;

#[derive(Debug)]
pub(super) struct UdpClient {
    dns: Dns,
    base: Duration,
    attempts: u32,
    v4: OnceCell<Port>,
    v6: OnceCell<Port>,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    id: u64,
    until: Instant,
}

impl UdpClient {
    pub(super) fn new(dns: Dns, base: Duration, attempts: u32) -> Self {
        let (v4, v6) = (OnceCell::new(), OnceCell::new());
        Self { dns, base, attempts, v4, v6, connections: Mutex::default() }
    }

    /// Sends an announce until it is answered, or the attempts are used up.
    pub(super) async fn ask(
        &self,
        url: &TrackerUrl,
        family: Family,
        announce: &Announce,
    ) -> Result<Reply, AskError> {
        let addresses = self.dns.addresses(url.host(), family).await?;
        let port = self.port(family).await?;
        // A URL without a path has nothing to say in an option (BEP 41).
        let target = if url.target() == "/" { Vec::new() } else { url.target().as_bytes().to_vec() };
        for (attempt, address) in (0..self.attempts).zip(addresses.iter().cycle()) {
            let address = SocketAddr::new(*address, url.port());
            let Some(wait) = retry_delay(self.base, attempt) else { break };
            let exchange = Exchange { client: self, port, address, wait };
            if let Some(reply) = exchange.announce(announce, &target).await? {
                return Ok(reply);
            }
        }
        Err(if addresses.is_empty() { AskError::NoAddress } else { AskError::Unanswered(self.attempts) })
    }

    async fn port(&self, family: Family) -> Result<&Port, AskError> {
        let cell = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        cell.get_or_try_init(|| async { Port::open(family) }).await.map_err(from_io)
    }

    fn connection(&self, address: SocketAddr) -> Option<u64> {
        let known = lock(&self.connections).get(&address).copied()?;
        (Instant::now() < known.until).then_some(known.id)
    }

    fn remember(&self, address: SocketAddr, id: u64) {
        let now = Instant::now();
        let mut connections = lock(&self.connections);
        if connections.len() >= MAX_CONNECTIONS {
            connections.retain(|_, known| now < known.until);
        }
        if connections.len() >= MAX_CONNECTIONS {
            connections.clear();
        }
        connections.insert(address, Connection { id, until: now + CONNECTION_LIFETIME });
    }
}

/// One attempt at one address.
#[derive(Debug, Clone, Copy)]
struct Exchange<'a> {
    client: &'a UdpClient,
    port: &'a Port,
    address: SocketAddr,
    wait: Duration,
}

impl Exchange<'_> {
    /// Connects if there is no connection id, and announces; `None` when a packet was not answered in time.
    async fn announce(self, announce: &Announce, target: &[u8]) -> Result<Option<Reply>, AskError> {
        let Self { client, address, .. } = self;
        if let Some(connection) = client.connection(address) {
            match self.announce_over(connection, announce, target).await? {
                // Perhaps the tracker started again and does not know the id any more.
                Some(Reply::Refusal(_)) => lock(&client.connections).remove(&address),
                reply => return Ok(reply),
            };
        }
        let answer = self.send(|transaction| UdpRequest::Connect { transaction }).await?;
        match answer {
            None => Ok(None),
            Some(UdpResponse::Connect { connection, .. }) => {
                client.remember(address, connection);
                self.announce_over(connection, announce, target).await
            }
            Some(UdpResponse::Error { message, .. }) => Ok(Some(refusal(message))),
            Some(UdpResponse::Announce { .. } | UdpResponse::Scrape { .. }) => Err(AskError::Confused),
        }
    }

    async fn announce_over(
        self,
        connection: u64,
        announce: &Announce,
        target: &[u8],
    ) -> Result<Option<Reply>, AskError> {
        let request = |transaction| {
            let (announce, target) = (announce.clone(), target.to_vec());
            UdpRequest::Announce { connection, transaction, announce, target }
        };
        match self.send(request).await? {
            None => Ok(None),
            Some(UdpResponse::Announce { answer, .. }) => Ok(Some(Reply::Answer(answer))),
            Some(UdpResponse::Error { message, .. }) => Ok(Some(refusal(message))),
            Some(UdpResponse::Connect { .. } | UdpResponse::Scrape { .. }) => Err(AskError::Confused),
        }
    }

    async fn send(self, request: impl FnOnce(u32) -> UdpRequest) -> Result<Option<UdpResponse>, AskError> {
        let (waiting, answer) = self.port.wait_for(self.address);
        let packet = request(waiting.transaction).encode();
        self.port.socket.send_to(&packet, self.address).await.map_err(from_io)?;
        Ok(timeout(self.wait, answer).await.ok().and_then(Result::ok))
    }
}

fn refusal(reason: String) -> Reply {
    Reply::Refusal(Refusal { reason, ..Refusal::default() })
}

fn from_io(error: io::Error) -> AskError {
    if is_without_address(&error) { AskError::NoAddress } else { AskError::Io(error) }
}

/// Requests that wait, by transaction id.
type Requests = Arc<Mutex<HashMap<u32, Request>>>;

#[derive(Debug)]
struct Request {
    address: SocketAddr,
    answer: oneshot::Sender<UdpResponse>,
}

/// A socket, and a task that hands its packets to whom they are for.
#[derive(Debug)]
struct Port {
    socket: Arc<UdpSocket>,
    requests: Requests,
    receiver: AbortHandle,
}

impl Port {
    fn open(family: Family) -> io::Result<Self> {
        let (domain, any) = match family {
            Family::V4 => (Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            Family::V6 => (Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if family == Family::V6 {
            socket.set_only_v6(true)?;
        }
        socket.bind(&any.into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let requests = Requests::default();
        let receiver =
            tokio::spawn(receive(Arc::clone(&socket), Arc::clone(&requests), family)).abort_handle();
        Ok(Self { socket, requests, receiver })
    }

    /// Makes up a transaction id for a request to `address`.
    fn wait_for(&self, address: SocketAddr) -> (Waiting<'_>, oneshot::Receiver<UdpResponse>) {
        let (answer, receiver) = oneshot::channel();
        let mut requests = lock(&self.requests);
        let mut transaction = rand::random();
        while requests.contains_key(&transaction) {
            transaction = rand::random();
        }
        requests.insert(transaction, Request { address, answer });
        (Waiting { requests: &self.requests, transaction }, receiver)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

/// A request that waits; dropped, it waits no more.
#[derive(Debug)]
struct Waiting<'a> {
    requests: &'a Requests,
    transaction: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(self.requests).remove(&self.transaction);
    }
}

async fn receive(socket: Arc<UdpSocket>, requests: Requests, family: Family) {
    let mut packet = vec![0; MAX_PACKET_LENGTH];
    loop {
        // Errors here are those of packets sent before, such as one that was too long for the way.
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        let Ok(response) = UdpResponse::decode(&packet[..length], family) else { continue };
        let mut requests = lock(&requests);
        if requests.get(&response.transaction()).is_some_and(|request| request.address == from)
            && let Some(request) = requests.remove(&response.transaction())
        {
            request.answer.send(response).ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
