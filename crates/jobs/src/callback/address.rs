//! Addresses that lead where a request from outside could not go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Ranges that no public host has, and what they are. IANA's special-purpose registries, and the
/// addresses of providers' metadata that lie outside of those.
const SPECIAL: [(&str, &str); 31] = [
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "metadata of a provider"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay of 6to4"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::1/128", "loopback"),
    ("::/96", "this host"),
    ("64:ff9b:1::/48", "a local translation"),
    ("100::/64", "discarded"),
    ("2001::/23", "for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    ("::ffff:0:0/96", "mapped"),
    ("::ffff:0:0:0/96", "a translation"),
];

/// The special ranges.
pub(super) fn special() -> Vec<(IpNet, &'static str)> {
    let ranges = SPECIAL.iter().map(|(range, what)| Some((range.parse().ok()?, *what)));
    ranges.collect::<Option<_>>().unwrap_or_else(|| unreachable!("every range is written right"))
}

/// The address that is reached in the end: an IPv4 address that is written as an IPv6 address, by
/// mapping or by translation (RFC 6052), is what it stands for.
pub(super) fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low).into(),
        _ => address,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

/// The range of all addresses of a kind that a listed network is compared as.
pub(super) fn reached_net(net: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(v6) = net else { return net };
    let v4 = Ipv6Addr::to_ipv4_mapped(&v6.network()).filter(|_| v6.prefix_len() >= MAPPED);
    let length = v6.prefix_len().saturating_sub(MAPPED);
    v4.and_then(|v4| IpNet::new(v4.into(), length).ok()).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_one() {
        assert_eq!(special().len(), SPECIAL.len());
        for (net, what) in special() {
            assert_eq!(net, net.trunc(), "{what}");
        }
    }

    #[test]
    fn addresses_stand_for_others() {
        for (written, reach) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:a9fe:a9fe", "169.254.169.254"),
            ("64:ff9b::a00:1", "10.0.0.1"),
            ("2606:4700::1111", "2606:4700::1111"),
        ] {
            let expect: IpAddr = reach.parse().unwrap();
            assert_eq!(reached(written.parse().unwrap()), expect, "{written}");
        }
        let net: IpNet = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(reached_net(net).to_string(), "10.0.0.0/8");
    }
}
