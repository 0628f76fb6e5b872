//! The inner datagram ends where its header says; TFC padding is behind it (conformance item E14).

use ironswan_esp::inner_len;

fn ipv4(total_len: u16, octets: usize) -> Vec<u8> {
    let mut packet = vec![0; octets];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&total_len.to_be_bytes());
    packet
}

fn ipv6(payload_len: u16, octets: usize) -> Vec<u8> {
    let mut packet = vec![0; octets];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    packet
}

#[test]
fn padding_behind_the_datagram_is_left_out() {
    assert_eq!(inner_len(4, &ipv4(60, 1400)), Some(60));
    assert_eq!(inner_len(41, &ipv6(20, 1400)), Some(60));
}

#[test]
fn a_datagram_without_padding_is_whole() {
    assert_eq!(inner_len(4, &ipv4(60, 60)), Some(60));
    assert_eq!(inner_len(4, &ipv4(20, 20)), Some(20));
    assert_eq!(inner_len(41, &ipv6(0, 40)), Some(40));
}

#[test]
fn a_length_that_cannot_be_is_refused() {
    assert_eq!(inner_len(4, &ipv4(61, 60)), None, "longer than what is there");
    assert_eq!(inner_len(4, &ipv4(19, 60)), None, "shorter than its header");
    assert_eq!(inner_len(41, &ipv6(21, 60)), None, "longer than what is there");
    let mut options = ipv4(23, 60);
    options[0] = 0x46;
    assert_eq!(inner_len(4, &options), None, "shorter than its header with options");
    options[0] = 0x44;
    assert_eq!(inner_len(4, &options), None, "a header of four words");
}

#[test]
fn next_header_and_version_must_agree() {
    assert_eq!(inner_len(41, &ipv4(60, 60)), None);
    assert_eq!(inner_len(4, &ipv6(20, 60)), None);
    assert_eq!(inner_len(17, &ipv4(60, 60)), None);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..60 {
        assert_eq!(inner_len(4, &ipv4(60, 60)[..len]), None);
        assert_eq!(inner_len(41, &ipv6(20, 60)[..len]), None);
    }
}
