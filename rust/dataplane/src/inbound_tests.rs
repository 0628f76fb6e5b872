use super::*;
use crate::limits::Limits;
use ironswan_esp::Suite;

fn entry(spi: u32) -> InboundEntry {
    let suite = Suite::from_keyword("aes128gcm16").unwrap();
    let sa = InboundSa::new(spi, suite, &[7; 20], false, 64, 0).unwrap();
    let remote = "192.0.2.1:4500".parse().unwrap();
    let selectors = Selectors::new(Vec::new(), Vec::new());
    InboundEntry::new(spi, sa, selectors, Volume::new(Limits::default()), remote)
}

#[test]
fn spis_are_distinct_and_never_reserved_values() {
    let sad = Sad::default();
    let mut spis: Vec<_> = (0..3000).map(|_| sad.allocate().unwrap()).collect();
    assert!(spis.iter().all(|spi| *spi > 255));
    spis.sort_unstable();
    spis.dedup();
    assert_eq!(spis.len(), 3000);
}

#[test]
fn an_spi_goes_to_the_worker_it_was_asked_for_whatever_their_number() {
    let sad = Sad::default();
    for workers in [1, 2, 3, 4, 6, 7, 64] {
        for worker in 0..workers {
            for _ in 0..50 {
                let spi = sad.allocate_for(worker, workers).unwrap();
                assert_eq!(worker_of(spi, workers), worker);
                assert!(spi > 255);
            }
        }
    }
}

#[test]
fn an_spi_of_the_same_slot_with_other_high_bits_finds_nothing() {
    let sad = Sad::default();
    let spi = sad.allocate().unwrap();
    sad.install(entry(spi));
    assert!(sad.find(spi).is_some());
    assert!(sad.find(spi ^ 1 << 31).is_none());
    assert!(sad.find(spi + 1).is_none());
    sad.release(spi);
    assert!(sad.find(spi).is_none());
    assert!(!sad.is_allocated(spi));
}

#[test]
fn a_slot_is_used_again_only_after_all_others() {
    let sad = Sad::default();
    let first = sad.allocate().unwrap();
    sad.release(first);
    sad.release(first);
    assert!(!sad.is_allocated(0));
    let second = sad.allocate().unwrap();
    assert_ne!(second & SLOT_MASK, first & SLOT_MASK);
    sad.slots().reserved.resize(SLOT_MASK as usize + 1, 1);
    assert_eq!(sad.allocate().map(|spi| spi & SLOT_MASK), Some(first & SLOT_MASK));
    assert_eq!(sad.allocate(), None);
}

#[test]
fn an_sa_that_is_expected_is_found_as_any_other() {
    let sad = Sad::default();
    let spi = sad.allocate().unwrap();
    sad.install(entry(spi));
    let mut lookahead = Lookahead::new(&sad);
    for expected in [spi, spi ^ 1 << 31, 0, u32::MAX, spi] {
        lookahead.expect(expected);
        assert_eq!(sad.find(spi).and_then(|guard| guard.as_ref().map(|entry| entry.spi)), Some(spi));
    }
}

#[test]
fn a_new_address_is_told_once_until_it_is_followed() {
    let entry = entry(1 << 20);
    let (old, new) = ("192.0.2.1:4500".parse().unwrap(), "192.0.2.9:1024".parse().unwrap());
    entry.sa.mark(5).unwrap();
    assert!(!entry.moved_to(old, 5));
    assert!(entry.moved_to(new, 5));
    assert!(!entry.moved_to(new, 5));
    entry.follow(new);
    assert!(!entry.moved_to(new, 5));
    assert!(entry.moved_to(old, 5));
}

#[test]
fn a_packet_that_is_not_the_newest_moves_nobody() {
    let (entry, elsewhere) = (entry(1 << 20), "192.0.2.9:1024".parse().unwrap());
    for number in [7, 5] {
        entry.sa.mark(number).unwrap();
    }
    assert!(!entry.moved_to(elsewhere, 5));
    assert!(entry.moved_to(elsewhere, 7));
}

#[test]
fn only_the_first_packet_is_first() {
    let entry = entry(1 << 20);
    assert!(entry.first_packet());
    assert!(!entry.first_packet());
}
