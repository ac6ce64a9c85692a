//! Whom callbacks may reach: the operator's list.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::address::{reached, reached_net, special};
use super::target::{Host, Target, host_and_port};
use crate::limits;
use crate::problem::{Invalid, Problems, element};

/// Whom callbacks may reach. Empty: nobody.
///
/// An entry is a host (`hooks.example.com`), an address or a network (`10.1.0.0/16`, `[::1]`), the
/// first two with a port perhaps (`localhost:9000`). What an entry without a port lists may be reached
/// on any.
///
/// Loopback, private, link-local and other special addresses are reached only where an address or a
/// network is listed that lies within the special range: neither `0.0.0.0/0` nor a listed name that
/// resolves to such an address opens them. The one exception is `localhost`, which can mean
/// nothing but loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    whom: Whom,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    Name(String),
    Net(IpNet),
}

/// Why a callback is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing that is listed covers it.
    NotListed {
        /// Host and port.
        whom: String,
    },
    /// It leads to a special address that is not listed as such.
    Special {
        /// The address.
        address: IpAddr,
        /// What kind of address that is.
        what: &'static str,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed { whom } => {
                write!(f, "leads to {whom}, which jobs.callback_allow does not list")
            }
            Self::Special { address, what } => write!(
                f,
                "leads to {address} ({what}), and jobs.callback_allow lists no such address"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

impl Allowed {
    /// Reads the list.
    ///
    /// # Errors
    /// Each entry that is none, by its place in the list.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, Invalid> {
        let problems = Problems::default();
        if entries.len() > limits::ALLOWED {
            problems.note("", format!("there are more than {} entries", limits::ALLOWED));
        }
        let mut read = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            match Entry::parse(entry.as_ref()) {
                Ok(entry) => read.push(entry),
                Err(why) => problems.note(element("", at), why),
            }
        }
        problems.unless(|| Some(Self(read)))
    }

    /// Whether a callback can be allowed at all, before its name is resolved.
    ///
    /// # Errors
    /// Why no address that it resolves to would be allowed.
    pub fn check(&self, target: &Target) -> Result<(), Refusal> {
        match target.host() {
            Host::Address(address) => self.address(target, *address).map(drop),
            Host::Name(_) => {
                let nets = self.at_port(target).any(|entry| matches!(entry.whom, Whom::Net(_)));
                if nets || self.lists_name(target) { Ok(()) } else { Err(not_listed(target)) }
            }
        }
    }

    /// Whether a callback may be sent to an address that its name resolved to, or that it names
    /// itself. Returns what to connect to; a connection to anything else has not been allowed.
    ///
    /// # Errors
    /// Why not.
    pub fn address(&self, target: &Target, address: IpAddr) -> Result<SocketAddr, Refusal> {
        let reach = reached(address);
        let nets = || {
            self.at_port(target).filter_map(|entry| match &entry.whom {
                Whom::Net(net) if net.contains(&reach) => Some(net),
                _ => None,
            })
        };
        let ranges: Vec<_> =
            special().into_iter().filter(|(range, _)| range.contains(&reach)).collect();
        let allowed = match ranges.first() {
            None if self.lists_name(target) || nets().next().is_some() => Ok(()),
            None => Err(not_listed(target)),
            Some((_, what)) => {
                let within = |net: &IpNet| ranges.iter().any(|(range, _)| range.contains(net));
                let local = reach.is_loopback() && self.lists_name(target) && is_localhost(target);
                if local || nets().any(within) {
                    Ok(())
                } else {
                    Err(Refusal::Special { address, what })
                }
            }
        };
        allowed.map(|()| SocketAddr::new(address, target.port()))
    }

    fn at_port(&self, target: &Target) -> impl Iterator<Item = &Entry> {
        let port = target.port();
        self.0.iter().filter(move |entry| entry.port.is_none_or(|listed| listed == port))
    }

    fn lists_name(&self, target: &Target) -> bool {
        let Host::Name(name) = target.host() else { return false };
        self.at_port(target)
            .any(|entry| matches!(&entry.whom, Whom::Name(listed) if listed == name))
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let quoted = mapring_types::quote(text);
        if text.contains('/') {
            let net: IpNet = text.parse().map_err(|_| {
                format!("\"{quoted}\" is no network such as 10.0.0.0/8, nor a host")
            })?;
            if net.trunc() != net {
                let network = net.trunc();
                return Err(format!("\"{quoted}\" has bits beyond its prefix: write {network}"));
            }
            return Ok(Self { whom: Whom::Net(reached_net(net)), port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { whom: Whom::Net(reached(address).into()), port: None });
        }
        let (host, port) = host_and_port(text)?;
        let whom = match host {
            Host::Name(name) => Whom::Name(name),
            Host::Address(address) => Whom::Net(reached(address).into()),
        };
        Ok(Self { whom, port })
    }
}

fn not_listed(target: &Target) -> Refusal {
    Refusal::NotListed { whom: format!("{}:{}", target.host(), target.port()) }
}

/// Names that mean loopback whatever a resolver says (RFC 6761).
fn is_localhost(target: &Target) -> bool {
    match target.host() {
        Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Address(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a callback is sent by a list, once its name has resolved to an address.
    #[track_caller]
    fn check(list: &[&str], url: &str, address: &str, expect: bool) {
        let allowed = Allowed::parse(list).unwrap();
        let target = Target::parse(url).unwrap();
        let address: IpAddr = address.parse().unwrap();
        let sent = allowed.check(&target).and_then(|()| allowed.address(&target, address));
        assert_eq!(sent.is_ok(), expect, "{list:?} {url} {address}: {sent:?}");
        if let Ok(to) = sent {
            assert_eq!(to, SocketAddr::new(address, target.port()));
        }
    }

    #[test]
    fn only_what_is_listed_is_reached() {
        let public = "93.184.216.34";
        check(&[], "http://example.com/", public, false);
        check(&["example.com"], "http://example.com/", public, true);
        check(&["Example.com."], "http://EXAMPLE.com/", public, true);
        check(&["example.com"], "https://example.com:8443/", public, true);
        check(&["example.com:443"], "https://example.com/", public, true);
        check(&["example.com:443"], "http://example.com/", public, false);
        check(&["example.com"], "http://sub.example.com/", public, false);
        check(&["example.com"], "http://example.com.evil.org/", public, false);
        check(&["93.184.216.0/24"], "http://example.com/", public, true);
        check(&["93.184.216.0/24"], "http://example.com/", "93.184.217.1", false);
        check(&["93.184.216.34:80"], "http://93.184.216.34/", public, true);
        check(&["93.184.216.34:80"], "http://93.184.216.34:81/", public, false);
        check(&["0.0.0.0/0"], "http://anybody.org/", public, true);
        check(&["2606:4700::/32"], "http://[2606:4700::1111]/", "2606:4700::1111", true);
        check(&["2606:4700::1111"], "http://[2606:4700::1111]/", "2606:4700::1111", true);
    }

    #[test]
    fn special_addresses_are_reached_only_where_listed_as_such() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:4136:e378::1",
            "::7f00:1",
            "ff02::1",
            "64:ff9b:1::1",
            "fec0::1",
            "::ffff:0:127.0.0.1",
        ] {
            // A name that is listed, but whose owner lets it lead inside.
            check(&["example.com"], "http://example.com/", address, false);
            check(&["0.0.0.0/0", "::/0"], "http://example.com/", address, false);
            // Named itself, in whatever form, it is reached.
            let url = match address.contains(':') {
                true => format!("http://[{address}]/"),
                false => format!("http://{address}/"),
            };
            check(&["0.0.0.0/0", "::/0"], &url, address, false);
            check(&[address], &url, address, true);
        }
        check(&["10.1.0.0/16"], "http://hooks.internal/", "10.1.2.3", true);
        check(&["10.1.0.0/16"], "http://hooks.internal/", "10.2.2.3", false);
        check(&["10.0.0.0/8"], "http://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1", true);
        check(&["::ffff:10.0.0.0/104"], "http://10.0.0.1/", "10.0.0.1", true);
        check(&["10.0.0.0/7"], "http://10.0.0.1/", "10.0.0.1", false);
    }

    #[test]
    fn localhost_is_loopback() {
        check(&["localhost:9000"], "http://localhost:9000/done", "127.0.0.1", true);
        check(&["localhost:9000"], "http://localhost:9000/done", "::1", true);
        check(&["localhost:9000"], "http://localhost:9001/done", "127.0.0.1", false);
        check(&["localhost"], "http://localhost/", "10.0.0.1", false);
        check(&["localhost"], "http://127.0.0.1/", "127.0.0.1", false);
        check(&["127.0.0.1"], "http://localhost/", "127.0.0.1", true);
        check(&["a.localhost"], "http://a.localhost/", "127.0.0.1", true);
    }

    #[test]
    fn wrong_entries_are_named() {
        let list = ["example.com", "http://a/", "10.0.0.1/8", "*.example.com", "a:99999", "1.2"];
        let refused = Allowed::parse(&list).unwrap_err();
        let fields: Vec<_> = refused.problems().iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["[1]", "[2]", "[3]", "[4]", "[5]"], "{refused}");
        assert!(refused.to_string().contains("write 10.0.0.0/8"), "{refused}");
    }
}
