//! Chains of proxies, honest and forged.

use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";
const CLIENT: &str = "198.51.100.7";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trusted() -> Trusted {
    Trusted::new(["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap()).to_vec())
}

/// Who asks over a connection from our proxy, with these lines of headers.
fn ask(lines: &[(&'static str, &str)]) -> Result<String, AskerError> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    asker(ip(PROXY), &headers, &trusted()).map(|ip| ip.to_string())
}

fn xff(value: &str) -> Result<String, AskerError> {
    ask(&[("X-Forwarded-For", value)])
}

fn rfc7239(value: &str) -> Result<String, AskerError> {
    ask(&[("Forwarded", value)])
}

#[test]
fn who_is_not_trusted_is_believed_nothing() {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", CLIENT.parse().unwrap());
    headers.insert("forwarded", "for=198.51.100.7".parse().unwrap());
    assert_eq!(asker(ip("192.0.2.9"), &headers, &trusted()), Ok(ip("192.0.2.9")));
    assert_eq!(asker(ip("::ffff:192.0.2.9"), &headers, &trusted()), Ok(ip("192.0.2.9")));
    assert_eq!(asker(ip(PROXY), &headers, &Trusted::default()), Ok(ip(PROXY)));
    assert_eq!(asker(ip("::ffff:10.0.0.1"), &headers, &trusted()), Ok(ip(CLIENT)), "mapped, but trusted");
}

#[test]
fn the_chain_is_read_from_the_right_past_who_is_trusted() {
    let client = Ok(CLIENT.to_owned());
    for chain in [
        "198.51.100.7",
        "  198.51.100.7\t",
        "198.51.100.7, 10.2.3.4",
        "198.51.100.7,10.2.3.4 , 2001:db8:1::5",
        "6.6.6.6, 198.51.100.7, 10.2.3.4",
        "10.6.6.6, 198.51.100.7, ::ffff:10.2.3.4",
        "unknown, <script>, 198.51.100.7",
        "198.51.100.7:51413, 10.2.3.4:80, [2001:db8:1::5]:80, [2001:db8:1::5]",
        "198.51.100.7, , 10.2.3.4,",
        "::ffff:198.51.100.7",
    ] {
        assert_eq!(xff(chain), client, "{chain}");
    }
    assert_eq!(xff("2001:DB8::7"), Ok("2001:db8::7".to_owned()));
    assert_eq!(xff("[2001:db8::7]:80"), Ok("2001:db8::7".to_owned()));
}

#[test]
fn lines_are_one_list_in_their_order() {
    let lines = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        ask(&lines)
    };
    assert_eq!(lines(&["6.6.6.6", "198.51.100.7, 10.2.3.4"]), Ok(CLIENT.to_owned()));
    assert_eq!(lines(&["6.6.6.6, 198.51.100.7", "10.2.3.4", ""]), Ok(CLIENT.to_owned()));
    let forwarded = [("Forwarded", "for=\"oh"), ("Forwarded", "for=198.51.100.7, for=10.2.3.4")];
    assert_eq!(ask(&forwarded), Ok(CLIENT.to_owned()), "what the client sent need not be read");
}

#[test]
fn a_proxy_that_does_not_say_is_never_the_asker() {
    assert_eq!(ask(&[]), Err(AskerError::Missing));
    for empty in ["", " ", ",", " , ,"] {
        assert_eq!(xff(empty), Err(AskerError::Missing), "{empty:?}");
        assert_eq!(rfc7239(empty), Err(AskerError::Missing), "{empty:?}");
    }
    for chain in ["unknown", "198.51.100.7, unknown", "198.51.100.7, _hidden, 10.2.3.4", "localhost", "1.2.3"]
    {
        assert_eq!(xff(chain), Err(AskerError::Unreadable), "{chain}");
    }
    for address in ["1.2.3.4:", "1.2.3.4:99999", "[1.2.3.4]", "[::1", "::1]", "[::1]80", "1.2.3.4 5.6.7.8"] {
        assert_eq!(xff(address), Err(AskerError::Unreadable), "{address}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(asker(ip(PROXY), &headers, &trusted()), Err(AskerError::Unreadable));
    assert!(AskerError::Unreadable.to_string().starts_with("the proxy did not say who asks"));
}

#[test]
fn where_all_are_trusted_the_left_most_asks() {
    assert_eq!(xff("10.9.9.9, 10.2.3.4"), Ok("10.9.9.9".to_owned()));
    assert_eq!(rfc7239("for=10.9.9.9, for=10.2.3.4"), Ok("10.9.9.9".to_owned()));
}

#[test]
fn a_chain_has_an_end() {
    let hops = |count| vec!["10.2.3.4"; count].join(",");
    assert_eq!(xff(&hops(MAX_HOPS)), Ok("10.2.3.4".to_owned()));
    assert_eq!(xff(&hops(MAX_HOPS + 1)), Err(AskerError::TooManyHops));
    let long = format!("{},198.51.100.7", hops(1_000));
    assert_eq!(xff(&long), Ok(CLIENT.to_owned()), "what nobody walks may be as long as it likes");
}

#[test]
fn forwarded_is_read_as_rfc_7239_has_it() {
    for line in [
        "for=198.51.100.7",
        "For=198.51.100.7;proto=http;by=203.0.113.43",
        "proto=http ; FOR=\"198.51.100.7:4711\"",
        "for=6.6.6.6, for=198.51.100.7;by=10.0.0.1, for=\"[2001:db8:1::5]:4711\"",
        "for=198.51.100.7:4711",
        "for=\"198.51.100.7:_port\"",
        "for=\"198.51.10\\0.7\"",
        "for=198.51.100.7;host=\"a,for=6.6.6.6;b=\\\"\"",
        "for=198.51.100.7;;proto=\"\",, ,",
    ] {
        assert_eq!(rfc7239(line), Ok(CLIENT.to_owned()), "{line}");
    }
    assert_eq!(rfc7239("for=\"[2001:db8:cafe::17]:4711\""), Ok("2001:db8:cafe::17".to_owned()));
    assert_eq!(rfc7239("for=\"[2001:db8:cafe::17]:_x\""), Ok("2001:db8:cafe::17".to_owned()));
}

#[test]
fn forwarded_that_hides_or_is_malformed_is_unreadable() {
    for line in [
        "for=unknown",
        "for=_gazonk",
        "for=\"_gazonk:80\"",
        "for=198.51.100.7, proto=http",
        "for=198.51.100.7;for=198.51.100.7",
        "for=",
        "for",
        "=1.2.3.4",
        "for=\"198.51.100.7",
        "for=\"198.51.100.7\\",
        "for=\"198.51.100.7\"6",
        "for=198.51.100.7 6",
        "for =198.51.100.7",
        "x=\", for=6.6.6.6",
        "for=6.6.6.6;x=\", for=\"[2001:db8:cafe::17]\"",
    ] {
        assert_eq!(rfc7239(line), Err(AskerError::Unreadable), "{line}");
    }
}

#[test]
fn forwarded_counts_only_alone() {
    let both = [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", CLIENT)];
    assert_eq!(ask(&both), Ok(CLIENT.to_owned()));
    assert_eq!(ask(&[("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "")]), Err(AskerError::Missing));
}

#[test]
fn networks_of_mapped_addresses_are_ipv4() {
    let trusted = Trusted::new(vec!["::ffff:192.0.2.0/120".parse().unwrap(), "::/0".parse().unwrap()]);
    assert!(trusted.contains(ip("192.0.2.77")));
    assert!(!trusted.contains(ip("192.0.3.1")), "all of IPv6 is not IPv4");
    assert!(trusted.contains(ip("2001:db8::1")));
}

proptest! {
    #[test]
    fn no_header_makes_it_panic_or_name_the_proxy(
        value in prop::collection::vec(prop::sample::select(b"for=\"\\[]:,; 10.0.0.1_x".to_vec()), 0..60),
        is_rfc7239: bool,
    ) {
        let mut headers = HeaderMap::new();
        let name = if is_rfc7239 { "forwarded" } else { "x-forwarded-for" };
        headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
        if let Ok(ip) = asker(ip("10.255.255.255"), &headers, &trusted()) {
            prop_assert_ne!(ip.to_string(), "10.255.255.255");
        }
    }

    #[test]
    fn what_the_client_sends_before_the_proxy_is_nothing(
        forged in prop::collection::vec(prop::sample::select(b"for=\"\\[]:,; 6.6.6.6_x".to_vec()), 0..60),
    ) {
        let forged = String::from_utf8(forged).unwrap();
        prop_assert_eq!(xff(&format!("{forged}, {CLIENT}")), Ok(CLIENT.to_owned()));
        // It may make the line unreadable, but no other asker of it.
        for own in [format!("for={CLIENT}"), format!("for=\"{CLIENT}:80\";host=\"\"")] {
            if let Ok(asker) = rfc7239(&format!("{forged}, {own}")) {
                prop_assert_eq!(asker, CLIENT);
            }
        }
    }
}
