//! The TCP MSS of what passes: lowered to what the tunnel carries in one piece, because hosts behind a gateway do not know of it and the
//! ICMP that would tell them often gets lost (RFC 9293 3.7.1, RFC 6691).

use crate::checksum::changed;
use crate::flow::Flow;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const HEADER: usize = 20;

/// Lowers the MSS option of a TCP SYN so that its segments fit packets of `mtu` octets. `flow` is the packet's. Anything else, and
/// what is not sound, stays as it is. `partial`: the checksum does not cover the packet yet.
#[inline]
pub fn clamp(packet: &mut [u8], flow: &Flow, mtu: usize, partial: bool) {
    if flow.protocol == TCP && mtu != 0 {
        lower(packet, flow.v6, mtu, partial);
    }
}

fn lower(packet: &mut [u8], v6: bool, mtu: usize, partial: bool) -> Option<()> {
    // An IPv6 packet with extension headers keeps its MSS: they are rare before a SYN.
    let ip =
        if v6 { if *packet.get(6)? == TCP { 40 } else { return None } } else { usize::from(packet.first()? & 15) * 4 };
    let fragment = !v6 && u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff != 0;
    let tcp = packet.get_mut(ip..)?;
    if fragment || tcp.get(13)? & SYN == 0 {
        return None;
    }
    let options = tcp.get(HEADER..usize::from(tcp[12] >> 4) * 4)?;
    let at = HEADER + find_mss(options)?;
    let most = u16::try_from(mtu.checked_sub(ip.max(if v6 { 40 } else { 20 }) + HEADER)?).unwrap_or(u16::MAX);
    let had = u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    if had <= most {
        return None;
    }
    tcp[at..at + 2].copy_from_slice(&most.to_be_bytes());
    if !partial {
        // In a word of the checksum's own, or across two of them, where the octets change places.
        let swap = |value: u16| if at.is_multiple_of(2) { value } else { value.swap_bytes() };
        let check = u16::from_be_bytes([tcp[16], tcp[17]]);
        tcp[16..18].copy_from_slice(&changed(check, swap(had).into(), swap(most).into()).to_be_bytes());
    }
    Some(())
}

/// Where the value of the MSS option is.
fn find_mss(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            END => return None,
            NOP => at += 1,
            kind => {
                let length = usize::from(*options.get(at + 1)?);
                if length < 2 || at + length > options.len() {
                    return None;
                }
                if kind == MSS {
                    return (length == 4).then_some(at + 2);
                }
                at += length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{fold, pseudo_header, sum};
    use crate::testing::{l4_checksum_is_right, tcp_packet};

    /// A SYN with these options.
    fn syn(v6: bool, flags: u8, options: &[u8]) -> Vec<u8> {
        let mut packet = tcp_packet(v6, 1, flags, options);
        let ip = if v6 { 40 } else { 20 };
        packet[ip + 12] = (((HEADER + options.len()) / 4) << 4) as u8;
        packet[ip + 16..ip + 18].fill(0);
        let addresses = if v6 { 8..40 } else { 12..20 };
        let check = !fold(sum(&packet[ip..]) + pseudo_header(&packet[addresses], packet.len() - ip, TCP));
        packet[ip + 16..ip + 18].copy_from_slice(&check.to_ne_bytes());
        packet
    }

    fn clamped(packet: &[u8], mtu: usize, partial: bool) -> Vec<u8> {
        let mut packet = packet.to_vec();
        let flow = Flow::read(&packet).unwrap();
        clamp(&mut packet, &flow, mtu, partial);
        packet
    }

    #[test]
    fn a_syn_gets_what_fits_the_tunnel_and_a_right_checksum() {
        for (v6, most) in [(false, 1422_u16 - 40), (true, 1422 - 60)] {
            for options in [
                &[2, 4, 5, 180, 1, 1, 1, 0][..],
                &[1, 2, 4, 5, 180, 1, 1, 0],
                &[8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180, 0, 0],
            ] {
                let ip = if v6 { 40 } else { 20 };
                for flags in [SYN, SYN | 0x10] {
                    let packet = clamped(&syn(v6, flags, options), 1422, false);
                    let at = ip + HEADER + find_mss(options).unwrap();
                    assert_eq!(packet[at..at + 2], most.to_be_bytes());
                    assert!(l4_checksum_is_right(&packet));
                }
            }
        }
    }

    #[test]
    fn what_is_small_enough_or_no_syn_or_unsound_stays_as_it_is() {
        let small = [2, 4, 2, 0];
        let packets = [
            syn(false, SYN, &small),
            syn(false, 0x10, &[2, 4, 5, 180]),
            syn(false, SYN, &[2, 3, 5, 180]),
            syn(false, SYN, &[8, 0, 2, 4]),
            syn(false, SYN, &[8, 40, 2, 4]),
            syn(false, SYN, &[0, 0, 0, 0]),
            syn(false, SYN, &[]),
        ];
        for packet in packets {
            assert_eq!(clamped(&packet, 1422, false), packet);
        }
        let large = syn(false, SYN, &[2, 4, 5, 180]);
        assert_eq!(clamped(&large, 0, false), large);
        assert_eq!(clamped(&large, 30, false), large);
        for length in 20..large.len() {
            assert_eq!(clamped(&large[..length], 1422, false), large[..length]);
        }
        let mut fragment = large.clone();
        fragment[7] = 9;
        assert_eq!(clamped(&fragment, 1422, false), fragment);
    }

    #[test]
    fn a_checksum_that_does_not_cover_the_packet_yet_is_left_alone() {
        let large = syn(true, SYN, &[2, 4, 5, 180]);
        let packet = clamped(&large, 1422, true);
        assert_eq!(packet[40 + 16..40 + 18], large[40 + 16..40 + 18]);
        assert_ne!(packet, large);
    }
}
