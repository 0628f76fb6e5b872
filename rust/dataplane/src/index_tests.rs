//! The index beside what RFC 4301 4.4.1 says in so many words: a list in order, of which the first match counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::flow::Ports;

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// An address of which the bits that differ are few, so that ranges meet and nest.
    fn address(&mut self, v6: bool) -> u128 {
        let (network, host) = (u128::from(self.below(6)), u128::from(self.below(64)));
        if v6 { 0x2001_0db8 << 96 | network << 66 | host } else { 0x0a00_0000 | network << 14 | host }
    }

    fn range(&mut self, v6: bool) -> (u128, u128) {
        let width = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        match self.below(8) {
            0 => (0, width),
            1..4 => {
                let below = (1 << self.below(20)) - 1;
                let start = self.address(v6) & !below;
                (start, start | below)
            }
            4..6 => (self.address(v6), 0),
            _ => (self.address(v6), self.address(v6)),
        }
    }

    fn selector(&mut self) -> Selector {
        let v6 = self.one_in(3);
        let (start, end) = self.range(v6);
        let (start, end) = if end == 0 { (start, start) } else { (start.min(end), start.max(end)) };
        let protocol = [0, 0, 6, 17][self.below(4) as usize];
        let ports = [(0, 65535), (0, 65535), (0, 2), (2, 2), (65535, 0)][self.below(5) as usize];
        Selector::new(protocol, ip(start, v6), ip(end, v6), ports.0, ports.1).unwrap()
    }

    fn selectors(&mut self) -> Selectors {
        let mut side = |most| (0..=self.below(most)).map(|_| self.selector()).collect::<Vec<_>>();
        let (local, remote) = (side(3), side(3));
        if self.one_in(40) {
            let many = |random: &mut Self| (0..40).map(|_| random.selector()).collect();
            return Selectors::new(many(self), many(self));
        }
        Selectors::new(local, remote)
    }

    fn flow(&mut self) -> Flow {
        let v6 = self.one_in(3);
        let ports =
            if self.one_in(5) { Ports::Opaque } else { Ports::Known(self.below(4) as u16, self.below(4) as u16) };
        let protocol = [6, 17, 50][self.below(3) as usize];
        Flow { source: self.address(v6), destination: self.address(v6), v6, protocol, ports }
    }
}

fn ip(address: u128, v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::from(address).into() } else { Ipv4Addr::from(address as u32).into() }
}

/// The ordered list of the RFC beside the index.
#[derive(Default)]
struct Both {
    list: Vec<Arc<Policy>>,
    index: Index,
    added: u64,
}

impl Both {
    fn add(&mut self, selectors: Selectors, priority: i64) {
        self.added += 1;
        let new = Arc::new(Policy::new(self.added, (priority, self.added), selectors, Arc::default()));
        self.index.insert(&new);
        // Behind those of the same priority.
        self.list.insert(self.list.partition_point(|present| present.rank.0 <= priority), new);
    }

    fn remove(&mut self, at: usize) {
        let old = self.list.remove(at);
        self.index.remove(&old);
    }

    fn first(&self, flow: &Flow) -> Option<u64> {
        self.list.iter().find(|policy| policy.selectors.match_outbound(flow)).map(|policy| policy.id)
    }

    /// How many of `flows` have a policy; each has the one the list gives.
    fn compare(&self, random: &mut Random, flows: usize) -> usize {
        let compared = (0..flows).map(|_| random.flow()).map(|flow| {
            let found = self.index.find(&flow).map(|policy| policy.id);
            assert_eq!(found, self.first(&flow), "{flow:?}");
            found
        });
        compared.flatten().count()
    }
}

// A01: the first match in order of priority. A06: also after every change.
#[test]
fn finds_what_the_ordered_list_gives_while_policies_come_and_go() {
    for seed in 1..=10 {
        let (mut random, mut both) = (Random(seed), Both::default());
        let mut found = 0;
        for step in 0..200 {
            let selectors = random.selectors();
            both.add(selectors, random.below(5).cast_signed() - 2);
            if random.one_in(3) {
                both.remove(random.below(both.list.len() as u64) as usize);
            }
            if step % 10 == 0 {
                found += both.compare(&mut random, 50);
            }
        }
        assert!(found > 100, "{found}");
        while !both.list.is_empty() {
            both.remove(random.below(both.list.len() as u64) as usize);
            both.compare(&mut random, 2);
        }
        assert!(both.index.0.iter().all(Trie::is_empty));
    }
}

#[test]
fn an_older_version_still_gives_what_the_list_gave() {
    let (mut random, mut both) = (Random(77), Both::default());
    (0..200).for_each(|_| both.add(random.selectors(), 0));
    let before = Both { list: both.list.clone(), index: both.index.clone(), added: both.added };
    while !both.list.is_empty() {
        both.remove(0);
    }
    assert!(before.compare(&mut random, 500) > 100);
}

fn any(v6: bool, ports: (u16, u16)) -> Selector {
    let end = if v6 { u128::MAX } else { u128::from(u32::MAX) };
    Selector::new(6, ip(0, v6), ip(end, v6), ports.0, ports.1).unwrap()
}

/// How deep policies that all have the same prefixes are told apart.
fn depth(bucket: &Bucket) -> usize {
    let below = |trie: &Trie<Bucket>| trie.each(&mut |bucket| Some(depth(bucket))).unwrap_or(0);
    match bucket {
        Bucket::One(_) | Bucket::Few(_) => 0,
        Bucket::ByLocal(trie) | Bucket::ByRank(trie) => 1 + below(trie),
    }
}

#[test]
fn many_policies_for_all_addresses_of_the_peer_are_told_apart_by_ours_and_then_by_rank() {
    let (mut random, mut both) = (Random(5), Both::default());
    for v6 in [false, true] {
        for network in 0..200 {
            let start = random.address(v6) & !0xff | network;
            let local = Selector::new(0, ip(start, v6), ip(start, v6), 0, 65535).unwrap();
            both.add(Selectors::new(vec![local], vec![any(v6, (0, 65535))]), 1);
            both.add(Selectors::new(vec![any(v6, (network as u16, 65535))], vec![any(v6, (0, 65535))]), 2);
        }
    }
    assert!(both.compare(&mut random, 2000) > 500);
    assert!(both.index.0.iter().all(|trie| trie.each(&mut |bucket| Some(depth(bucket))) == Some(2)));
    while both.list.len() > 1 {
        both.remove(random.below(both.list.len() as u64) as usize);
        both.compare(&mut random, 5);
    }
}

#[test]
fn whoever_could_match_the_same_packet_is_visited() {
    let (mut random, mut both) = (Random(9), Both::default());
    (0..300).for_each(|_| both.add(random.selectors(), 0));
    let mut shared = 0;
    for _ in 0..500 {
        let (flow, selectors) = (random.flow(), random.selectors());
        if selectors.match_outbound(&flow) {
            let mut visited = std::collections::HashSet::new();
            both.index.overlapping(&selectors, |policy| _ = visited.insert(policy.id));
            let others = both.list.iter().filter(|policy| policy.selectors.match_outbound(&flow));
            others.for_each(|policy| assert!(visited.contains(&policy.id)));
            shared += 1;
        }
    }
    assert!(shared > 10, "{shared}");
}

#[test]
fn a_policy_with_very_many_ranges_lies_under_a_bounded_number_of_prefixes() {
    let single = |host: u128| Selector::new(0, ip(host * 3, false), ip(host * 3 + 1, false), 0, 65535).unwrap();
    let selectors: Vec<_> = (0..255).map(single).collect();
    for limit in [REMOTE_PREFIXES, LOCAL_PREFIXES] {
        let prefixes = prefixes(&selectors, false, limit);
        assert!((2..=limit).contains(&prefixes.len()));
        let covered =
            |host: u128| prefixes.iter().any(|prefix| (prefix.first()..=prefix.last()).contains(&key(host * 3, false)));
        assert!((0..255).all(covered));
    }
}

#[test]
fn a_range_lies_under_at_most_two_prefixes_of_less_than_twice_its_size() {
    let sizes = |start: u128, end: u128| {
        let selector = Selector::new(0, ip(start, false), ip(end, false), 0, 65535).unwrap();
        covers(&selector).iter().flatten().map(|prefix| 1 << (32 - prefix.len())).collect::<Vec<u64>>()
    };
    assert_eq!(sizes(0, u32::MAX.into()), [1 << 32]);
    assert_eq!(sizes(256, 511), [256]);
    assert_eq!(sizes(7, 7), [1]);
    assert_eq!(sizes(1, 254), [128, 128]);
    assert_eq!(sizes(255, 256), [1, 1]);
    let mut random = Random(3);
    for _ in 0..1000 {
        let (one, other) = (random.below(1 << 32), random.below(1 << 32));
        let (start, end) = (one.min(other), one.max(other));
        assert!(sizes(start.into(), end.into()).iter().sum::<u64>() < 2 * (end - start + 1));
    }
}
