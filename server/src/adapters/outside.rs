//! Requests to addresses that somebody else chose. They must not reach what stands beside us: only `https`, only
//! public addresses, looked at after the name was resolved, where the connection is made; no redirect is followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::origin_of;

/// A client for such requests, and what it may reach besides public addresses.
#[derive(Debug, Clone)]
pub struct Outside {
    http: reqwest::Client,
    /// For what an operator names itself: a push service of their own, or a test's.
    within: reqwest::Client,
    exceptions: Vec<String>,
}

/// Why an address is not called.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotOutside {
    #[error("this is no web address")]
    Malformed,
    #[error("only https addresses are called")]
    NotHttps,
    #[error("this is no public address")]
    Private,
}

impl Outside {
    /// `exceptions` are origins, as `http://127.0.0.1:9000`.
    ///
    /// # Errors
    /// The TLS library does not start.
    pub fn new(exceptions: &[String]) -> reqwest::Result<Self> {
        crate::tls::install_provider();
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(5))
                .timeout(Duration::from_secs(15))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent(concat!("hvflvspot/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            http: builder().dns_resolver(Arc::new(PublicOnly)).https_only(true).build()?,
            within: builder().build()?,
            exceptions: exceptions.to_vec(),
        })
    }

    /// The address, if it may be called, and the client that may. A name is looked at again when it is resolved.
    ///
    /// # Errors
    /// [`NotOutside`]
    pub fn allow(&self, text: &str) -> Result<(Url, &reqwest::Client), NotOutside> {
        let url = Url::parse(text).map_err(|_| NotOutside::Malformed)?;
        if origin_of(&url).is_some_and(|origin| self.exceptions.contains(&origin)) {
            return Ok((url, &self.within));
        }
        if url.scheme() != "https" {
            return Err(NotOutside::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotOutside::Malformed);
        }
        let host = url.host_str().ok_or(NotOutside::Malformed)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        if literal.is_ok_and(|ip| !is_public(ip)) || host.eq_ignore_ascii_case("localhost") {
            return Err(NotOutside::Private);
        }
        Ok((url, &self.http))
    }
}

/// Resolves names to public addresses alone.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // Global unicast, without documentation, Teredo and 6to4, which lead to IPv4 addresses, and without NAT64.
    (0x2000..0x4000).contains(&s[0])
        && !(s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8))
        && s[0] != 0x2002
        && s[0] != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_addresses_of_the_public_internet_are_called() {
        let outside = Outside::new(&["http://127.0.0.1:9000".to_owned()]).unwrap();
        let of = |text: &str| outside.allow(text).map(drop);
        assert_eq!(of("https://push.example.com/abc"), Ok(()));
        assert_eq!(of("https://8.8.8.8/"), Ok(()));
        assert_eq!(of("http://127.0.0.1:9000/x"), Ok(()), "the operator named it");
        assert_eq!(of("http://127.0.0.1:9001/x"), Err(NotOutside::NotHttps));
        assert_eq!(of("http://push.example.com/"), Err(NotOutside::NotHttps));
        assert_eq!(of("https://user:pass@push.example.com/"), Err(NotOutside::Malformed));
        for private in [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://192.168.0.1/",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://0.0.0.0/",
            "https://100.64.0.1/",
            "https://2130706433/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://[2001:db8::1]/",
            "https://0x7f.1/",
        ] {
            assert_eq!(of(private), Err(NotOutside::Private), "{private}");
        }
        assert!(of("nonsense").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_here_is_not_called() {
        let refused = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert!(refused.is_err());
    }
}
