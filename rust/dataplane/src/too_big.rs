//! Packets that the path of their SA does not carry whole (RFC 4301 8.2): their senders are told by ICMP (RFC 1191 4) or `ICMPv6`
//! (RFC 4443 3.2), as by a router with a narrow link.

use std::time::{Duration, Instant};

use crate::checksum::{fold, pseudo_header, set_ipv4_header, sum};

/// Every link carries IPv6 packets of so many octets (RFC 8200 5).
pub const IPV6_MIN_MTU: usize = 1280;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const ICMP_HEADER: usize = 8;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Octets of an answer at most (RFC 1812 4.3.2.3, RFC 4443 2.4 c).
const LONGEST: [usize; 2] = [576, IPV6_MIN_MTU];
const HOPS: u8 = 64;
/// Answers of one thread in a second at most.
const A_SECOND: u32 = 100;

/// Whether a packet may not be cut on its way: IPv4 with DF set, and all of IPv6.
#[must_use]
pub fn is_indivisible(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(6).is_some_and(|flags| flags & 0x40 != 0),
        Some(6) => true,
        _ => false,
    }
}

/// How many answers may still be given (RFC 4443 2.4 f).
#[derive(Default)]
pub struct Budget {
    since: Option<Instant>,
    given: u32,
}

impl Budget {
    /// Whether one may be given now.
    pub fn spend(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.given) = (Some(now), 0);
        }
        self.given += 1;
        self.given <= A_SECOND
    }
}

/// The answer to a packet for which `mtu` octets are the most. It comes from the packet's destination, which is an address the
/// sender reaches through us; None for packets that are never answered: ICMP errors, later fragments, and what is not sent by one
/// host to one host.
#[must_use]
pub fn answer(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    match packet.first()? >> 4 {
        4 => answer_v4(packet, mtu),
        6 => answer_v6(packet, mtu),
        _ => None,
    }
}

fn answer_v4(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let header: &[u8; IPV4_HEADER] = packet.first_chunk()?;
    let upper = packet.get(usize::from(header[0] & 15) * 4..)?;
    let later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
    let error = header[9] == ICMP && matches!(upper.first()?, 3 | 4 | 5 | 11 | 12);
    let single = |first: u8| (1..224).contains(&first) && first != 127;
    if later_fragment || error || !single(header[12]) || !single(header[16]) {
        return None;
    }
    let quoted = &packet[..packet.len().min(LONGEST[0] - IPV4_HEADER - ICMP_HEADER)];
    let length = IPV4_HEADER + ICMP_HEADER + quoted.len();
    let mut answer = vec![0x45, 0, 0, 0, 0, 0, 0, 0, HOPS, ICMP, 0, 0];
    answer[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&header[16..20]);
    answer.extend_from_slice(&header[12..16]);
    set_ipv4_header(&mut answer);
    // Destination unreachable: fragmentation needed and DF set.
    answer.extend_from_slice(&[3, 4, 0, 0, 0, 0]);
    answer.extend_from_slice(&u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes());
    answer.extend_from_slice(quoted);
    let check = !fold(sum(&answer[IPV4_HEADER..]));
    answer[IPV4_HEADER + 2..IPV4_HEADER + 4].copy_from_slice(&check.to_ne_bytes());
    Some(answer)
}

fn answer_v6(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
    // Types below 128 are errors.
    let error = header[6] == ICMPV6 && *packet.get(IPV6_HEADER)? < 128;
    if error || header[8] == 0xff || header[24] == 0xff || header[8..24] == [0; 16] {
        return None;
    }
    let quoted = &packet[..packet.len().min(LONGEST[1] - IPV6_HEADER - ICMP_HEADER)];
    let length = ICMP_HEADER + quoted.len();
    let mut answer = vec![0x60, 0, 0, 0, 0, 0, ICMPV6, HOPS];
    answer[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&header[24..40]);
    answer.extend_from_slice(&header[8..24]);
    // Packet too big.
    answer.extend_from_slice(&[2, 0, 0, 0]);
    answer.extend_from_slice(&(mtu as u32).to_be_bytes());
    answer.extend_from_slice(quoted);
    let check = !fold(sum(&answer[IPV6_HEADER..]) + pseudo_header(&answer[8..40], length, ICMPV6));
    answer[IPV6_HEADER + 2..IPV6_HEADER + 4].copy_from_slice(&check.to_ne_bytes());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tcp_packet, udp_packet};

    #[test]
    fn the_sender_of_a_whole_packet_is_told_the_mtu_in_the_words_of_its_family() {
        let packet = udp_packet(false, 5000, &[7; 1400]);
        let told = answer(&packet, 1234).unwrap();
        assert_eq!((told.len(), fold(sum(&told[..20])), fold(sum(&told[20..]))), (576, 0xffff, 0xffff));
        assert_eq!((&told[12..16], &told[16..20]), (&packet[16..20], &packet[12..16]));
        assert_eq!((told[9], &told[20..22], &told[26..28]), (1, &[3, 4][..], &1234_u16.to_be_bytes()[..]));
        assert_eq!(told[28..], packet[..548]);

        let packet = tcp_packet(true, 1, 0x10, &[7; 1400]);
        let told = answer(&packet, 1300).unwrap();
        assert_eq!(told.len(), 1280);
        assert_eq!((&told[8..24], &told[24..40]), (&packet[24..40], &packet[8..24]));
        assert_eq!((told[6], told[40], &told[44..48]), (58, 2, &1300_u32.to_be_bytes()[..]));
        assert_eq!(fold(sum(&told[40..]) + pseudo_header(&told[8..40], 1240, 58)), 0xffff);
        assert_eq!(told[48..], packet[..1232]);
    }

    #[test]
    fn errors_fragments_and_what_is_not_from_one_host_to_one_host_are_not_answered() {
        let with = |v6, at: usize, value: u8| {
            let mut packet = udp_packet(v6, 5000, &[7; 1400]);
            packet[at] = value;
            packet
        };
        assert!(answer(&with(false, 7, 1), 1000).is_none(), "a later fragment");
        for (at, value) in [(12, 0), (12, 127), (12, 224), (16, 239), (16, 255)] {
            assert!(answer(&with(false, at, value), 1000).is_none(), "octet {at} is {value}");
        }
        for (at, value) in [(8, 0xff), (24, 0xff)] {
            assert!(answer(&with(true, at, value), 1000).is_none(), "octet {at} is {value}");
        }
        for kind in [3, 4, 5, 11, 12] {
            let mut error = with(false, 9, 1);
            error[20] = kind;
            assert!(answer(&error, 1000).is_none(), "ICMP type {kind}");
        }
        let mut error = with(true, 6, 58);
        error[40] = 1;
        assert!(answer(&error, 1000).is_none());
        error[40] = 128;
        assert!(answer(&error, 1000).is_some());
        for length in 0..40 {
            assert!(answer(&udp_packet(true, 1, &[0; 9])[..length], 1000).is_none());
        }
    }

    #[test]
    fn only_what_may_not_be_cut_is_refused() {
        let mut packet = udp_packet(false, 5000, &[7; 1400]);
        assert!(is_indivisible(&packet));
        packet[6] = 0;
        assert!(!is_indivisible(&packet));
        assert!(is_indivisible(&udp_packet(true, 5000, &[7; 1400])));
        assert!(!is_indivisible(&[]));
    }

    #[test]
    fn no_more_than_a_hundred_answers_are_given_in_a_second() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!((0..A_SECOND).all(|_| budget.spend(start)));
        assert!(!budget.spend(start + Duration::from_millis(999)));
        assert!(budget.spend(start + Duration::from_secs(1)));
    }
}
