//! The `virtio_net_hdr` in front of every frame of the TUN.

/// Octets of the header.
pub const LEN: usize = 10;
/// The checksum at `csum_start + csum_offset` holds the pseudo header's sum only.
pub const NEEDS_CSUM: u8 = 1;
/// A complete packet.
pub const GSO_NONE: u8 = 0;
/// TCP over IPv4, to be cut.
pub const GSO_TCPV4: u8 = 1;
/// TCP over IPv6, to be cut.
pub const GSO_TCPV6: u8 = 4;
/// UDP, to be cut into datagrams.
pub const GSO_UDP_L4: u8 = 5;

/// The header's fields, in the host's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `NEEDS_CSUM` or 0.
    pub flags: u8,
    /// One of the `GSO_` kinds.
    pub gso_type: u8,
    /// Octets of IP and upper header.
    pub hdr_len: u16,
    /// Payload octets of one segment.
    pub gso_size: u16,
    /// Where the checksum begins.
    pub csum_start: u16,
    /// Where it is stored, from there.
    pub csum_offset: u16,
}

impl Header {
    /// Reads the header in front of `frame`.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let octets = frame.get(..LEN)?;
        let word = |at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
        Some(Self {
            flags: octets[0],
            gso_type: octets[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        })
    }

    /// The header's octets.
    #[must_use]
    pub fn write(&self) -> [u8; LEN] {
        let mut octets = [0; LEN];
        octets[0] = self.flags;
        octets[1] = self.gso_type;
        octets[2..4].copy_from_slice(&self.hdr_len.to_ne_bytes());
        octets[4..6].copy_from_slice(&self.gso_size.to_ne_bytes());
        octets[6..8].copy_from_slice(&self.csum_start.to_ne_bytes());
        octets[8..10].copy_from_slice(&self.csum_offset.to_ne_bytes());
        octets
    }
}
