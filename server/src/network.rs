//! Who is counted as one client.

use std::net::IpAddr;

/// An IPv4 address, or the 64 bits of an IPv6 network, whose host part is everybody's to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl From<IpAddr> for Network {
    fn from(addr: IpAddr) -> Self {
        Self(match addr.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            // An IPv6 network is never below 2^32: that would be the unspecified block.
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        })
    }
}

impl Network {
    /// For hashes of who was counted.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_client_and_an_ipv4_address_another() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
