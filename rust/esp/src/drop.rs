//! Why a packet was not opened.

/// The reason an inbound packet is dropped (the auditable events of RFC 4303 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// Too short, or of a length that no packet of this suite has.
    Malformed,
    /// A sequence number that is zero, seen before, or left of the window.
    Replayed,
    /// The ICV does not match.
    IcvMismatch,
    /// Padding that is not 1, 2, 3, …, or a Pad Length that does not fit.
    BadPadding,
    /// A dummy packet (next header 59): authentic, and to be discarded.
    Dummy,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Malformed, Self::Replayed, Self::IcvMismatch, Self::BadPadding, Self::Dummy];

    /// A word for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
            Self::IcvMismatch => "icv_mismatch",
            Self::BadPadding => "bad_padding",
            Self::Dummy => "dummy",
        }
    }
}
