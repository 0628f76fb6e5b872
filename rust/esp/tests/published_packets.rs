//! Packets that others published are opened to what they say.
#![allow(clippy::unwrap_used, clippy::panic)]

use ironswan_esp::{Drop, InboundSa, Suite};
use serde_json::Value;

fn octets(vector: &Value, field: &str) -> Vec<u8> {
    let text = vector[field].as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../../../tests/vectors/esp.json")).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

/// None: a suite that is not offered, for want of integrity or because of MD5 (E18, E29).
fn inbound(vector: &Value) -> Option<InboundSa> {
    let bits = vector["enc_key"].as_str().unwrap().len() * 4;
    let encr = match vector["encr"].as_str().unwrap() {
        "aes-gcm-16" => format!("aes{bits}gcm16"),
        "aes-ccm-16" => format!("aes{bits}ccm16"),
        "aes-gmac" => format!("aes{bits}gmac"),
        "aes-cbc" => format!("aes{bits}"),
        "aes-ctr" => format!("aes{bits}ctr"),
        "3des-cbc" => "3des".to_owned(),
        other => other.replace('-', ""),
    };
    let suite = match vector["integ"].as_str().unwrap() {
        "none" => Suite::from_keyword(&encr),
        "aes-xcbc-96" => Suite::from_keyword(&format!("{encr}-aesxcbc")),
        integ => Suite::from_keyword(&format!("{encr}-{}", integ.split('-').nth(1).unwrap())),
    }?;
    let keymat = [octets(vector, "enc_key"), octets(vector, "salt"), octets(vector, "auth_key")].concat();
    let before = (vector["seq_hi"].as_u64().unwrap() << 32 | vector["seq"].as_u64().unwrap()) - 1;
    let spi = vector["spi"].as_u64().unwrap() as u32;
    Some(InboundSa::new(spi, suite, &keymat, vector["esn"].as_bool().unwrap(), 64, before).unwrap())
}

#[test]
fn opens_every_published_packet_and_only_once() {
    let mut opened_packets = 0;
    for vector in vectors() {
        let Some(sa) = inbound(&vector) else { continue };
        opened_packets += 1;
        let mut packet = octets(&vector, "esp_packet");
        let opened = sa.open_in_place(&mut packet);
        if vector["next_header"] == 59 {
            assert_eq!(opened, Err(Drop::Dummy));
            continue;
        }
        let opened = opened.unwrap_or_else(|reason| panic!("{}: {reason:?}", vector["id"]));
        assert_eq!(packet[opened.range], octets(&vector, "inner"), "{}", vector["id"]);
        assert_eq!(u64::from(opened.next_header), vector["next_header"].as_u64().unwrap());
        assert_eq!(sa.open_in_place(&mut octets(&vector, "esp_packet")), Err(Drop::Replayed));
    }
    assert_eq!(opened_packets, 34);
}

#[test]
fn one_flipped_bit_anywhere_is_an_icv_mismatch_and_moves_nothing() {
    for vector in vectors() {
        let whole = octets(&vector, "esp_packet");
        for at in 8..whole.len() {
            let Some(sa) = inbound(&vector) else { continue };
            let before = sa.window().highest();
            let mut packet = whole.clone();
            packet[at] ^= 1;
            assert_eq!(sa.open_in_place(&mut packet), Err(Drop::IcvMismatch));
            assert_eq!(sa.window().highest(), before);
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for vector in vectors() {
        let whole = octets(&vector, "esp_packet");
        let Some(sa) = inbound(&vector) else { continue };
        for len in 0..whole.len() {
            let reason = sa.open_in_place(&mut whole[..len].to_vec()).unwrap_err();
            assert!(matches!(reason, Drop::Malformed | Drop::IcvMismatch), "{reason:?}");
        }
    }
}
