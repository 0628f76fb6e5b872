//! The policies in an order that finds the first one to match without asking the others.
//!
//! Each address range of a policy is put under prefixes that cover it, the peer's addresses first and ours below them where many
//! policies share a prefix. All policies that can match a packet are among those under the prefixes of its addresses; which of
//! them comes first in the SPD, and whether it does match, is then decided as RFC 4301 4.4.1 says, by rank and selectors.

use std::slice;
use std::sync::Arc;

use crate::flow::Flow;
use crate::policy::{Policy, Rank};
use crate::selector::{Selector, Selectors};
use crate::trie::{Prefix, Trie};

/// Policies under one prefix that are asked one by one; more of them are told apart.
const FEW: usize = 8;
/// Prefixes for the peer's addresses of one policy. What has more is put under shorter ones.
const REMOTE_PREFIXES: usize = 64;
/// The same for our addresses.
const LOCAL_PREFIXES: usize = 16;

/// The policies by family of addresses. A clone is another version.
#[derive(Clone, Default)]
pub struct Index([Trie<Bucket>; 2]);

/// Policies that have a prefix in common.
#[derive(Clone)]
enum Bucket {
    One(Arc<Policy>),
    /// In order of rank.
    Few(Arc<[Arc<Policy>]>),
    /// Too many for the peer's addresses alone: by ours.
    ByLocal(Trie<Bucket>),
    /// Too many for both: in order of rank, so that adding one copies little.
    ByRank(Trie<Bucket>),
}

impl Index {
    /// The first policy that covers `flow`.
    #[must_use]
    #[inline]
    pub fn find(&self, flow: &Flow) -> Option<&Arc<Policy>> {
        let mut best = None;
        for bucket in self.0[usize::from(flow.v6)].covering(key(flow.destination, flow.v6)) {
            bucket.find(flow, &mut best);
        }
        best
    }

    /// Adds a policy whose rank no other has.
    pub fn insert(&mut self, new: &Arc<Policy>) {
        for (v6, trie) in [false, true].into_iter().zip(&mut self.0) {
            for prefix in remote_prefixes(&new.selectors, v6) {
                trie.update(prefix, |old| Some(Bucket::with(old, new, v6, Bucket::ByLocal)));
            }
        }
    }

    /// Removes a policy.
    pub fn remove(&mut self, old: &Policy) {
        for (v6, trie) in [false, true].into_iter().zip(&mut self.0) {
            for prefix in remote_prefixes(&old.selectors, v6) {
                trie.update(prefix, |bucket| bucket?.without(old, v6));
            }
        }
    }

    /// Visits the policies that may match a packet that also `selectors` match, and perhaps others; some more than once.
    pub fn overlapping(&self, selectors: &Selectors, mut visit: impl FnMut(&Policy)) {
        for (v6, trie) in [false, true].into_iter().zip(&self.0) {
            let local = local_prefixes(selectors, v6);
            for prefix in remote_prefixes(selectors, v6) {
                trie.overlapping(prefix, &mut |bucket| {
                    bucket.overlapping(&local, &mut visit);
                    None::<()>
                });
            }
        }
    }
}

impl Bucket {
    /// Puts a better match than `best` there; true when no policy of a higher rank could be one.
    #[inline]
    fn find<'a>(&'a self, flow: &Flow, best: &mut Option<&'a Arc<Policy>>) -> bool {
        match self {
            Self::One(policy) => first(slice::from_ref(policy), flow, best),
            Self::Few(list) => first(list, flow, best),
            Self::ByLocal(trie) => {
                trie.covering(key(flow.source, flow.v6)).for_each(|bucket| _ = bucket.find(flow, best));
                false
            }
            Self::ByRank(trie) => trie.each(&mut |bucket| bucket.find(flow, best).then_some(())).is_some(),
        }
    }

    /// A copy of `old` with one policy more; if they are too many then, divided by `divided`.
    fn with(old: Option<&Self>, new: &Arc<Policy>, v6: bool, divided: fn(Trie<Self>) -> Self) -> Self {
        let list = match old {
            None => return Self::One(Arc::clone(new)),
            Some(Self::One(policy)) => slice::from_ref(policy),
            Some(Self::Few(list)) => list,
            Some(Self::ByLocal(trie)) => {
                return Self::ByLocal(with_each(trie, local_prefixes(&new.selectors, v6), new, v6));
            }
            Some(Self::ByRank(trie)) => return Self::ByRank(with_each(trie, vec![by_rank(new.rank)], new, v6)),
        };
        if list.len() < FEW {
            let (before, after) = list.split_at(list.partition_point(|present| present.rank < new.rank));
            return Self::Few(before.iter().chain([new]).chain(after).cloned().collect());
        }
        let start = divided(Trie::default());
        list.iter().chain([new]).fold(start, |bucket, policy| Self::with(Some(&bucket), policy, v6, divided))
    }

    /// A copy without a policy; None when no other is left.
    fn without(&self, old: &Policy, v6: bool) -> Option<Self> {
        let list: Arc<[_]> = match self {
            Self::One(policy) => return (policy.rank != old.rank).then(|| self.clone()),
            Self::Few(list) => list.iter().filter(|present| present.rank != old.rank).cloned().collect(),
            Self::ByLocal(trie) => {
                let trie = without_each(trie, local_prefixes(&old.selectors, v6), old, v6);
                return (!trie.is_empty()).then_some(Self::ByLocal(trie));
            }
            Self::ByRank(trie) => {
                let trie = without_each(trie, vec![by_rank(old.rank)], old, v6);
                return (!trie.is_empty()).then_some(Self::ByRank(trie));
            }
        };
        Some(if let [only] = &*list { Self::One(Arc::clone(only)) } else { Self::Few(list) })
    }

    fn overlapping(&self, local: &[Prefix], visit: &mut impl FnMut(&Policy)) {
        let mut below = |bucket: &Self| {
            bucket.overlapping(local, &mut *visit);
            None::<()>
        };
        match self {
            Self::One(policy) => visit(policy),
            Self::Few(list) => list.iter().for_each(|policy| visit(policy)),
            Self::ByLocal(trie) => local.iter().for_each(|prefix| _ = trie.overlapping(*prefix, &mut below)),
            Self::ByRank(trie) => _ = trie.each(&mut below),
        }
    }
}

/// As `Bucket::find`, of policies in order of rank.
#[inline]
fn first<'a>(list: &'a [Arc<Policy>], flow: &Flow, best: &mut Option<&'a Arc<Policy>>) -> bool {
    for policy in list {
        if best.is_some_and(|best| best.rank <= policy.rank) {
            return true;
        }
        if policy.selectors.match_outbound(flow) {
            *best = Some(policy);
            return true;
        }
    }
    false
}

fn with_each(trie: &Trie<Bucket>, prefixes: Vec<Prefix>, new: &Arc<Policy>, v6: bool) -> Trie<Bucket> {
    prefixes.into_iter().fold(trie.clone(), |mut trie, prefix| {
        trie.update(prefix, |old| Some(Bucket::with(old, new, v6, Bucket::ByRank)));
        trie
    })
}

fn without_each(trie: &Trie<Bucket>, prefixes: Vec<Prefix>, old: &Policy, v6: bool) -> Trie<Bucket> {
    prefixes.into_iter().fold(trie.clone(), |mut trie, prefix| {
        trie.update(prefix, |bucket| bucket?.without(old, v6));
        trie
    })
}

/// An address at the left of 128 bits.
#[inline]
fn key(address: u128, v6: bool) -> u128 {
    if v6 { address } else { address << 96 }
}

/// Prefixes that sort like ranks.
fn by_rank((priority, order): Rank) -> Prefix {
    let priority = priority.cast_unsigned() ^ 1 << 63;
    Prefix::new(u128::from(priority) << 64 | u128::from(order), 128)
}

fn remote_prefixes(selectors: &Selectors, v6: bool) -> Vec<Prefix> {
    // Nothing of this family can match without addresses on both sides.
    if selectors.local().iter().any(|selector| selector.is_v6() == v6) {
        prefixes(selectors.remote(), v6, REMOTE_PREFIXES)
    } else {
        Vec::new()
    }
}

fn local_prefixes(selectors: &Selectors, v6: bool) -> Vec<Prefix> {
    prefixes(selectors.local(), v6, LOCAL_PREFIXES)
}

/// At most `limit` different prefixes that together cover the addresses of one family.
fn prefixes(selectors: &[Selector], v6: bool, limit: usize) -> Vec<Prefix> {
    let family = selectors.iter().filter(|selector| selector.is_v6() == v6);
    let mut all: Vec<_> = family.flat_map(covers).flatten().flat_map(Prefix::steps).collect();
    loop {
        all.sort_unstable();
        all.dedup_by(|next, kept| kept.covers(*next));
        if all.len() <= limit {
            return all;
        }
        let longest = all.iter().map(|prefix| prefix.len()).max();
        for prefix in all.iter_mut().filter(|prefix| Some(prefix.len()) == longest) {
            *prefix = prefix.shortened();
        }
    }
}

/// One prefix for a range that is one, else two: of each the range covers more than half.
fn covers(selector: &Selector) -> [Option<Prefix>; 2] {
    let (start, end) = selector.addresses();
    let below = if selector.is_v6() { 0 } else { (1 << 96) - 1 };
    let (start, end) = (key(start, selector.is_v6()), key(end, selector.is_v6()) | below);
    let whole = Prefix::common(start, end);
    if whole.first() == start && whole.last() == end {
        return [Some(whole), None];
    }
    // The bit where the two ends differ divides the range.
    let middle = whole.last() ^ (whole.last() ^ whole.first()) >> 1;
    [Some(Prefix::common(start, middle - 1)), Some(Prefix::common(middle, end))]
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
