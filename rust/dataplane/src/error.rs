//! What the control plane can ask for and not get.

use std::fmt;

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// All slots of the SAD are in use.
    NoSpi,
    /// The SPI was not allocated here, or has no SA.
    UnknownSpi(u32),
    /// No outbound SA has this handle.
    UnknownHandle(u64),
    /// There are fewer workers.
    UnknownWorker(usize),
    /// No policy has this id.
    UnknownPolicy(u64),
    /// No interface has this number.
    UnknownInterface(u32),
    /// A policy has this id already.
    PolicyExists(u64),
    /// No suite has this keyword.
    UnknownSuite(String),
    /// The keys do not fit the suite.
    BadKey,
    /// Not an IPv4 or IPv6 address.
    BadAddress(String),
    /// Families differ or a range is reversed.
    BadSelector,
    /// Plain ESP without the right to open raw sockets.
    NoRawSockets,
    /// Plain ESP from an address that is not given, or to one of another version.
    NoSource,
    /// Transport mode with more than one address on a side, or original addresses of another family.
    NotHostToHost,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpi => write!(f, "all inbound SPIs are in use"),
            Self::UnknownSpi(spi) => write!(f, "no inbound SPI {spi:#010x}"),
            Self::UnknownHandle(handle) => write!(f, "no outbound SA {handle}"),
            Self::UnknownWorker(worker) => write!(f, "no worker {worker}"),
            Self::UnknownPolicy(id) => write!(f, "no policy {id}"),
            Self::UnknownInterface(id) => write!(f, "no interface {id}"),
            Self::PolicyExists(id) => write!(f, "policy {id} exists already"),
            Self::UnknownSuite(keyword) => write!(f, "unknown suite {keyword:?}"),
            Self::BadKey => write!(f, "keymat does not fit the suite"),
            Self::BadAddress(text) => write!(f, "{text:?} is no IP address"),
            Self::BadSelector => write!(f, "selector families differ or a range is reversed"),
            Self::NoRawSockets => write!(f, "plain ESP needs raw sockets (CAP_NET_RAW); ESP in UDP does not"),
            Self::NoSource => write!(f, "plain ESP needs a local address of the same version as the remote one"),
            Self::NotHostToHost => write!(f, "transport mode needs one address on each side, of one family"),
        }
    }
}

impl std::error::Error for Error {}
