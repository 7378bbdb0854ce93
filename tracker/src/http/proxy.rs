//! Who asks, where proxies stand between: the address that a trusted proxy reports in `X-Forwarded-For`, or in
//! `Forwarded` (RFC 7239). The HTTP door asks this for each request. What is not a trusted proxy is believed nothing, and
//! of a chain only what trusted proxies added: it is read from the right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most proxies of a house behind each other: more go round in a circle.
const MAX_HOPS: usize = 32;
/// Bits of a v4-mapped address before the IPv4 address.
const MAPPED_BITS: u8 = 96;

/// The networks whose proxies are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted(Vec<IpNet>);

/// Why a request that came through a proxy has no asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskerError {
    /// Neither header is there, or an empty one.
    #[error("the proxy did not say who asks")]
    Missing,
    /// What is there is no address: hidden, or malformed.
    #[error("the proxy did not say who asks: its header names no address")]
    Unreadable,
    /// There are more proxies than anyone has.
    #[error("the proxy did not say who asks: there are more than {MAX_HOPS} proxies")]
    TooManyHops,
}

impl Trusted {
    /// Believes proxies in `networks`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }

    /// Whether `ip` is in one of them. An IPv4 address may be mapped to IPv6, as sockets for both tell it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// A network of v4-mapped addresses as the IPv4 network that it is.
fn canonical(network: IpNet) -> IpNet {
    let (IpAddr::V4(ip), Some(prefix)) =
        (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED_BITS))
    else {
        return network;
    };
    match network {
        IpNet::V6(_) => Ipv4Net::new(ip, prefix).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

/// Who asks over a connection from `connection`, with `headers`: the peer itself if it is not `trusted`. Else the
/// right-most address of the chain that is not, or the left-most if all are. `Forwarded` counts only without
/// `X-Forwarded-For`, so a proxy that sets the one must not let the other through.
///
/// # Errors
/// When a trusted proxy does not say: its own address is nobody's.
pub(super) fn asker(
    connection: IpAddr,
    headers: &HeaderMap,
    trusted: &Trusted,
) -> Result<IpAddr, AskerError> {
    if !trusted.contains(connection) {
        return Ok(connection.to_canonical());
    }
    if headers.contains_key(&X_FORWARDED_FOR) {
        let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        walk(lines.flat_map(elements_of_list), trusted)
    } else {
        // A line that cannot be read is an element that cannot: what stands right of it counts.
        let lines = headers.get_all(FORWARDED).iter().rev();
        walk(lines.flat_map(|line| forwarded(line).unwrap_or_else(|| vec![None])), trusted)
    }
}

/// Walks `hops`, from the right, to the first that is not trusted.
fn walk(hops: impl Iterator<Item = Option<IpAddr>>, trusted: &Trusted) -> Result<IpAddr, AskerError> {
    let mut last = Err(AskerError::Missing);
    for (at, hop) in hops.enumerate() {
        if at == MAX_HOPS {
            return Err(AskerError::TooManyHops);
        }
        let ip = hop.ok_or(AskerError::Unreadable)?;
        if !trusted.contains(ip) {
            return Ok(ip);
        }
        last = Ok(ip);
    }
    last
}

/// The elements of a line of `X-Forwarded-For`, from the right. Empty ones are none (RFC 9110 section 5.6.1).
fn elements_of_list(line: &HeaderValue) -> impl Iterator<Item = Option<IpAddr>> {
    let elements = line.as_bytes().rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty()).map(address)
}

/// The `for` of each element of a line of `Forwarded`, from the right; `None` of one that names no address. Nothing if
/// the line is malformed. It is read from the left, for what is quoted may hold anything.
fn forwarded(line: &HeaderValue) -> Option<Vec<Option<IpAddr>>> {
    let mut rest = line.as_bytes();
    let mut elements = Vec::new();
    // Of the present element: whether anything stood in it, and its `for`.
    let (mut is_empty, mut named): (bool, Option<Option<IpAddr>>) = (true, None);
    loop {
        rest = rest.trim_ascii_start();
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            let (name, value, behind) = parameter(rest)?;
            rest = behind.trim_ascii_start();
            is_empty = false;
            if name.eq_ignore_ascii_case(b"for") && named.replace(address(&value)).is_some() {
                return None;
            }
        }
        match rest.split_first() {
            Some((b';', behind)) => rest = behind,
            None | Some((b',', _)) => {
                if !std::mem::replace(&mut is_empty, true) {
                    elements.push(named.take().flatten());
                }
                let Some((_, behind)) = rest.split_first() else { break };
                rest = behind;
            }
            Some(_) => return None,
        }
    }
    elements.reverse();
    Some(elements)
}

/// The name and the value of the parameter that `text` begins with, and what stands behind it.
fn parameter(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let is_end = |byte: &u8| matches!(byte, b',' | b';' | b'"' | b'\\' | b' ' | b'\t');
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if name.is_empty() || name.iter().any(is_end) {
        return None;
    }
    let Some((b'"', quoted)) = value.split_first() else {
        // Brackets and colons must be quoted; they are no harm where they are not.
        let end = value.iter().position(is_end).unwrap_or(value.len());
        return (end > 0).then(|| (name, value[..end].to_vec(), &value[end..]));
    };
    let mut text = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((name, text, bytes.as_slice())),
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(*byte),
        }
    }
}

/// The address in `element`: `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`, the first and the last with a port or
/// without. Neither `unknown` nor a name that hides one (`_x`) is an address.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let ip = text.parse::<IpAddr>().ok();
    let ip = ip.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let ip = ip.or_else(|| bracketed().map(IpAddr::V6)).or_else(|| hidden_port(text));
    ip.map(|ip| ip.to_canonical())
}

/// The address before a port with a name that hides it (RFC 7239 section 6).
fn hidden_port(text: &str) -> Option<IpAddr> {
    let (ip, _) = text.split_once(":_")?;
    let v6 = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    v6.map_or_else(|| ip.parse::<Ipv4Addr>().ok().map(IpAddr::V4), |ip| ip.parse().ok().map(IpAddr::V6))
}

#[cfg(test)]
mod tests;
