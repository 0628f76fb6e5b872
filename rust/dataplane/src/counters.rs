//! Counters: one set a worker, written by that worker alone and summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ironswan_esp::Drop;

use crate::tally::Histograms;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What is counted: batch statistics first, then one counter for each reason to drop.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name),* }

        impl Counter {
            /// Every counter with its name.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                Self::ALL[self as usize].1
            }
        }
    };
}

counters! {
    /// Reads from the TUN that gave a frame.
    TunReads = "tun_reads",
    /// Packets in those frames, after segmentation.
    TunPackets = "tun_packets",
    /// Writes to the TUN.
    TunWrites = "tun_writes",
    /// Packets merged into a write another packet began.
    Coalesced = "coalesced_packets",
    /// Packets sealed.
    Sealed = "sealed_packets",
    /// Inner octets sealed.
    SealedBytes = "sealed_bytes",
    /// Packets opened and handed on.
    Opened = "opened_packets",
    /// Inner octets of them.
    OpenedBytes = "opened_bytes",
    /// System calls that sent ESP.
    UdpSendCalls = "udp_send_calls",
    /// Messages sent by them; one is a run of equal datagrams.
    UdpRuns = "udp_send_runs",
    /// System calls that received.
    UdpReceiveCalls = "udp_receive_calls",
    /// Messages they gave; one is a run of equal datagrams.
    UdpMessages = "udp_receive_messages",
    /// Datagrams received.
    UdpDatagrams = "udp_datagrams",
    /// Plain ESP packets received.
    PlainPackets = "plain_packets",
    /// Those of them that came through the raw socket.
    PlainRawPackets = "plain_raw_packets",
    /// System calls that sent plain ESP.
    PlainSendCalls = "plain_send_calls",
    /// Packets they sent.
    PlainSends = "plain_sends",
    /// Those of them that went through the raw socket.
    PlainRawSends = "plain_raw_sends",
    /// Times the packet ring was left for the raw socket, because fragments, extension headers or large packets came.
    EspRingFallbacks = "esp_ring_fallbacks",
    /// Runs of packets of one SA that came to another worker than the SPI names.
    StrayedRuns = "strayed_runs",
    /// IKE messages handed to the control plane.
    IkeDatagrams = "ike_datagrams",
    /// NAT keepalives received.
    Keepalives = "keepalives",
    /// Frames held while an SA is set up.
    Held = "held_frames",
    /// Acquires raised.
    Acquires = "acquires",
    /// Runs the kernel would not segment, sent one by one.
    SegmentationFallbacks = "segmentation_fallbacks",
    /// Senders that were told that their packets are too big.
    TooBigTold = "too_big_told",
    /// Frame from the TUN that is no IP packet, or whose offload header contradicts it.
    DropMalformedInner = "drop_malformed_inner",
    /// Frame that the kernel could not give us.
    DropTunRead = "drop_tun_read",
    /// No policy covers the packet.
    DropNoPolicy = "drop_no_policy",
    /// Transport mode cannot carry it: a fragment, IPv4 options, or IPv6 headers for the routers on the way.
    DropNotTransportable = "drop_not_transportable",
    /// Longer than the path of its SA carries, and not to be cut.
    DropTooBig = "drop_too_big",
    /// The hold queue of the policy is full.
    DropHoldFull = "drop_hold_full",
    /// Held longer than the limit.
    DropHoldExpired = "drop_hold_expired",
    /// A hard limit of the outbound or inbound SA is reached.
    DropSaExpired = "drop_sa_expired",
    /// The sequence numbers of the outbound SA are used up.
    DropSequenceExhausted = "drop_sequence_exhausted",
    /// The kernel refused to send, or the data plane was stopped.
    DropSendFailed = "drop_send_failed",
    /// The socket buffer stayed full.
    DropSendBlocked = "drop_send_blocked",
    /// The TUN refused a packet.
    DropTunWrite = "drop_tun_write",
    /// Datagram too short to be anything, or of which the kernel does not say whose it is.
    DropRunt = "drop_runt",
    /// No SA has this SPI.
    DropUnknownSpi = "drop_unknown_spi",
    /// ESP packet with impossible lengths.
    DropMalformedEsp = "drop_malformed_esp",
    /// Sequence number seen before or left of the window.
    DropReplayed = "drop_replayed",
    /// ICV does not match.
    DropIcvMismatch = "drop_icv_mismatch",
    /// Dummy packet, next header 59.
    DropDummy = "drop_dummy",
    /// Padding or its length is wrong.
    DropBadPadding = "drop_bad_padding",
    /// Next header or inner header is not one we carry.
    DropBadInner = "drop_bad_inner",
    /// Authentic, yet outside the selectors of its SA.
    DropSelectorMismatch = "drop_selector_mismatch",
    /// Congestion was met on the way, and the inner packet's sender would not understand (RFC 6040 4.2).
    DropEcnIllegal = "drop_ecn_illegal",
    /// Sent as IKE, and no IKE message by its header.
    DropIkeMalformed = "drop_ike_malformed",
    /// IKE messages that name no IKE SA of ours come faster than they are taken.
    DropIkeRate = "drop_ike_rate",
    /// IKE queue full.
    DropIkeQueueFull = "drop_ike_queue_full",
    /// Notice queue full.
    DropNoticeQueueFull = "drop_notice_queue_full",
    /// Datagram larger than the receive buffer.
    DropTruncated = "drop_truncated",
}

impl From<Drop> for Counter {
    fn from(reason: Drop) -> Self {
        match reason {
            Drop::Replayed => Self::DropReplayed,
            Drop::IcvMismatch => Self::DropIcvMismatch,
            Drop::Dummy => Self::DropDummy,
            Drop::BadPadding => Self::DropBadPadding,
            Drop::Malformed => Self::DropMalformedEsp,
        }
    }
}

/// One worker's counters, on cache lines of their own.
#[repr(align(128))]
pub struct Counters {
    counts: [AtomicU64; Counter::ALL.len()],
    /// Sizes of the batches of the thread that has these counters.
    pub batches: Histograms,
}

impl Default for Counters {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), batches: Histograms::default() }
    }
}

impl Counters {
    /// Adds one.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, counter: Counter, amount: usize) {
        self.counts[counter as usize].fetch_add(amount as u64, Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Relaxed)
    }
}
