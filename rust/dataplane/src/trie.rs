//! A persistent prefix map: a compressed trie that branches sixteen ways, whose versions share what they have in common.
//!
//! A change copies the nodes on its own path and nothing else. Readers of a version therefore need no lock, and the price of a
//! change does not depend on how much the map holds. The nodes below one node lie side by side, each in the size of a cache line,
//! so that a step down touches one line: with many policies, that is what a lookup costs.

use std::sync::Arc;

/// Bits that one step down decides; every prefix in a trie has a multiple of them.
const STEP: u8 = 4;

/// The first `len` bits of an address that begins at the left of 128 bits; the others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    bits: u128,
    len: u8,
}

impl Prefix {
    /// The prefix of `len` bits, at most 128, that `address` has.
    #[must_use]
    pub fn new(address: u128, len: u8) -> Self {
        Self { bits: address & mask(len), len }
    }

    /// The longest prefix that both addresses have.
    #[must_use]
    pub fn common(one: u128, other: u128) -> Self {
        Self::new(one, (one ^ other).leading_zeros() as u8)
    }

    /// Its first address.
    #[must_use]
    pub fn first(self) -> u128 {
        self.bits
    }

    /// Its last address.
    #[must_use]
    pub fn last(self) -> u128 {
        self.bits | !mask(self.len)
    }

    /// How many bits it fixes.
    #[must_use]
    pub fn len(self) -> u8 {
        self.len
    }

    /// The prefix without its last step.
    #[must_use]
    pub fn shortened(self) -> Self {
        Self::new(self.bits, self.len.saturating_sub(STEP))
    }

    /// The prefixes, at most eight, that make up this one and can be in a trie.
    pub fn steps(self) -> impl Iterator<Item = Self> {
        let len = self.len.next_multiple_of(STEP);
        let distance = (!mask(len)).wrapping_add(1);
        (0..1_u128 << (len - self.len)).map(move |number| Self { bits: self.bits + number * distance, len })
    }

    /// Whether every address with `other` has this one.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.len <= other.len && (self.bits ^ other.bits) & mask(self.len) == 0
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

/// What one node and those below it hold.
#[derive(Clone)]
struct Node<T> {
    bits: u128,
    value: Option<T>,
    below: Arc<[Node<T>]>,
    /// Which values of the next four bits the nodes below have.
    branches: u16,
    len: u8,
}

/// Values by prefix. A clone is another version; it costs one count.
// The root alone, or nothing.
#[derive(Clone)]
pub struct Trie<T>(Arc<[Node<T>]>);

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl<T> Trie<T> {
    /// The values of all prefixes that `address` has, the shortest first.
    #[inline]
    pub fn covering(&self, address: u128) -> impl Iterator<Item = &T> {
        let mut next = self.0.first();
        std::iter::from_fn(move || {
            loop {
                let node = next.filter(|node| (node.bits ^ address) & mask(node.len) == 0)?;
                next = node.toward(address);
                if node.value.is_some() {
                    return node.value.as_ref();
                }
            }
        })
    }

    /// The values of all prefixes that cover `prefix` or that it covers: the shorter before the longer, else in order of
    /// address. The first that `visit` takes ends it.
    pub fn overlapping<'a, R>(&'a self, prefix: Prefix, visit: &mut impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        let mut next = self.0.first();
        while let Some(node) = next.filter(|node| node.len < prefix.len && node.prefix().covers(prefix)) {
            if let Some(taken) = node.value.as_ref().and_then(&mut *visit) {
                return Some(taken);
            }
            next = node.toward(prefix.bits);
        }
        next.filter(|node| prefix.covers(node.prefix()))?.each(visit)
    }

    /// All values in order, as `overlapping`.
    pub fn each<'a, R>(&'a self, visit: &mut impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        self.0.first()?.each(visit)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Clone> Trie<T> {
    /// Lets `change` make a new value for a prefix of whole steps of the old one, if there is one; None removes it.
    pub fn update(&mut self, prefix: Prefix, change: impl FnOnce(Option<&T>) -> Option<T>) {
        let changed = match self.0.first() {
            Some(root) => root.updated(prefix, change),
            None => change(None).map(|value| Node::leaf(prefix, value)),
        };
        self.0 = changed.into_iter().collect();
    }
}

impl<T> Node<T> {
    fn leaf(prefix: Prefix, value: T) -> Self {
        Self { bits: prefix.bits, value: Some(value), below: Arc::new([]), branches: 0, len: prefix.len }
    }

    fn prefix(&self) -> Prefix {
        Prefix { bits: self.bits, len: self.len }
    }

    /// The bit in `branches` of the node below that leads to an address.
    #[inline]
    fn branch(&self, address: u128) -> u16 {
        1 << (address << self.len >> (128 - STEP))
    }

    /// Where that node is, or would be.
    #[inline]
    fn place(&self, branch: u16) -> usize {
        (self.branches & (branch - 1)).count_ones() as usize
    }

    #[inline]
    fn toward(&self, address: u128) -> Option<&Self> {
        if self.branches == 0 {
            return None;
        }
        let branch = self.branch(address);
        if self.branches & branch == 0 { None } else { self.below.get(self.place(branch)) }
    }

    fn each<'a, R>(&'a self, visit: &mut impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        let own = self.value.as_ref().and_then(&mut *visit);
        own.or_else(|| self.below.iter().find_map(|node| node.each(visit)))
    }
}

impl<T: Clone> Node<T> {
    fn updated(&self, prefix: Prefix, change: impl FnOnce(Option<&T>) -> Option<T>) -> Option<Self> {
        if self.prefix() == prefix {
            return Self { value: change(self.value.as_ref()), ..self.clone() }.tidied();
        }
        if self.prefix().covers(prefix) {
            let old = self.toward(prefix.bits);
            let new = match old {
                Some(node) => node.updated(prefix, change),
                None => change(None).map(|value| Self::leaf(prefix, value)),
            };
            return self.with(self.branch(prefix.bits), old.is_some(), new).tidied();
        }
        let Some(value) = change(None) else { return Some(self.clone()) };
        let leaf = Self::leaf(prefix, value);
        let shared = Prefix::common(self.bits, prefix.bits).len / STEP * STEP;
        if prefix.len <= shared {
            return Some(leaf.with(leaf.branch(self.bits), false, Some(self.clone())));
        }
        let bits = prefix.bits & mask(shared);
        let fork = Self { bits, value: None, below: Arc::new([]), branches: 0, len: shared };
        let fork = fork.with(fork.branch(self.bits), false, Some(self.clone()));
        Some(fork.with(fork.branch(prefix.bits), false, Some(leaf)))
    }

    /// A copy with another node below, or without it.
    fn with(&self, branch: u16, present: bool, node: Option<Self>) -> Self {
        let (before, after) = self.below.split_at(self.place(branch));
        let branches = if node.is_some() { self.branches | branch } else { self.branches & !branch };
        let after = &after[usize::from(present)..];
        let below = before.iter().cloned().chain(node).chain(after.iter().cloned()).collect();
        Self { bits: self.bits, value: self.value.clone(), below, branches, len: self.len }
    }

    /// A node without value is there for several below; with one, that one takes its place.
    fn tidied(self) -> Option<Self> {
        match (&self.value, &*self.below) {
            (None, []) => None,
            (None, [only]) => Some(only.clone()),
            _ => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(bits: u32, len: u8) -> Prefix {
        Prefix::new(u128::from(bits) << 96, len)
    }

    fn covering(trie: &Trie<u32>, bits: u32) -> Vec<u32> {
        trie.covering(u128::from(bits) << 96).copied().collect()
    }

    fn sample() -> Trie<u32> {
        let mut trie = Trie::default();
        let prefixes = [(0x0a01_0200, 24), (0x0a00_0000, 8), (0, 0), (0x0a01_0000, 16), (0x0a80_0000, 16)];
        for ((bits, len), value) in prefixes.into_iter().zip([3, 1, 0, 2, 4]) {
            trie.update(prefix(bits, len), |_| Some(value));
        }
        trie
    }

    #[test]
    fn a_node_has_the_size_of_a_cache_line() {
        assert_eq!(size_of::<Node<[usize; 2]>>(), 64);
    }

    #[test]
    fn prefixes_of_an_address_come_shortest_first() {
        let trie = sample();
        assert_eq!(covering(&trie, 0x0a01_0203), [0, 1, 2, 3]);
        assert_eq!(covering(&trie, 0x0a80_0001), [0, 1, 4]);
        assert_eq!(covering(&trie, 0x0b00_0000), [0]);
    }

    #[test]
    fn overlapping_prefixes_are_those_above_and_those_below() {
        let seen = |bits, len| {
            let mut seen = Vec::new();
            let none: Option<()> = sample().overlapping(prefix(bits, len), &mut |value| {
                seen.push(*value);
                None
            });
            assert_eq!(none, None);
            seen
        };
        assert_eq!(seen(0x0a01_0000, 16), [0, 1, 2, 3]);
        assert_eq!(seen(0x0a01_0000, 20), [0, 1, 2, 3]);
        assert_eq!(seen(0x0a80_0000, 12), [0, 1, 4]);
        assert_eq!(seen(0x0a02_0000, 16), [0, 1]);
        assert_eq!(seen(0, 0), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_older_version_stays_as_it_was() {
        let mut trie = sample();
        let before = trie.clone();
        trie.update(prefix(0x0a01_0200, 20), |old| old.is_none().then_some(9));
        trie.update(prefix(0x0a01_0000, 16), |_| None);
        assert_eq!(covering(&trie, 0x0a01_0203), [0, 1, 9, 3]);
        assert_eq!(covering(&before, 0x0a01_0203), [0, 1, 2, 3]);
    }

    #[test]
    fn what_was_removed_leaves_no_node() {
        let mut trie = sample();
        trie.update(prefix(0x0a01_0000, 20), |_| None);
        trie.update(prefix(0x0c01_0000, 20), |_| None);
        trie.update(prefix(0x0a01_0000, 16), |old| Some(*old.unwrap_or(&9)));
        assert_eq!(covering(&trie, 0x0a01_0203), [0, 1, 2, 3]);
        for (bits, len) in [(0, 0), (0x0a01_0200, 24), (0x0a80_0000, 16), (0x0a00_0000, 8), (0x0a01_0000, 16)] {
            trie.update(prefix(bits, len), |_| None);
        }
        assert!(trie.is_empty());
    }

    #[test]
    fn whole_addresses_are_prefixes_too() {
        let mut trie = Trie::default();
        trie.update(Prefix::new(7, 128), |_| Some(1_u8));
        trie.update(Prefix::new(6, 128), |_| Some(2));
        assert_eq!(trie.covering(7).copied().collect::<Vec<_>>(), [1]);
        trie.update(Prefix::new(7, 128), |_| None);
        assert_eq!(trie.covering(7).count(), 0);
        assert_eq!(trie.covering(6).count(), 1);
    }

    #[test]
    fn a_prefix_is_made_up_of_prefixes_of_whole_steps() {
        let steps =
            |bits, len| prefix(bits, len).steps().map(|step| (step.first() >> 96, step.len())).collect::<Vec<_>>();
        assert_eq!(steps(0x0a00_0000, 8), [(0x0a00_0000, 8)]);
        assert_eq!(steps(0x0a00_0000, 7), [(0x0a00_0000, 8), (0x0b00_0000, 8)]);
        assert_eq!(steps(0x0a00_0080, 26), [0x80, 0x90, 0xa0, 0xb0].map(|host| (0x0a00_0000 + host, 28)));
        assert_eq!(Prefix::new(0, 0).steps().collect::<Vec<_>>(), [Prefix::new(0, 0)]);
        assert_eq!(Prefix::new(8, 125).steps().map(Prefix::first).collect::<Vec<_>>(), [8, 9, 10, 11, 12, 13, 14, 15]);
    }
}
