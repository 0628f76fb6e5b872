//! The data plane of ironswan: SAD and SPD, a TUN device, UDP sockets, and worker threads that carry packets between
//! them. It knows no IKE, no configuration and no Python.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod arena;
pub mod checksum;
pub mod coalesce;
mod counters;
mod course;
mod device;
pub mod ds_field;
mod duty;
mod egress;
pub mod endpoint;
mod error;
pub mod flow;
mod fragments;
mod frame_buffer;
mod gathering;
mod ike;
pub mod inbound;
mod index;
mod ingress;
mod lanes;
pub mod limits;
mod lines;
mod local;
mod merging;
mod mss;
mod notice;
pub mod outbound;
mod own;
mod packet_ring;
mod patience;
mod placement;
pub mod plain;
mod plane;
pub mod policy;
mod processors;
mod raw;
mod round;
mod route;
pub mod selector;
pub mod spd;
pub mod split;
mod station;
mod sys;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod too_big;
pub mod traffic;
pub mod transport;
mod trial;
mod trie;
mod tun;
mod turn;
mod udp;
pub mod urgency;
pub mod vnet;
mod worker;

pub use ds_field::{CopyDs, CopyDscp};
pub use error::Error;
pub use ike::IkeSpi;
pub use limits::Limits;
pub use notice::{Notice, NoticeKind};
pub use plain::NextHop;
pub use plane::{DataPlane, Offload, Options, Path, SaParameters, socket_address};
pub use selector::{Selector, Selectors};
pub use transport::Mode;
pub use tun::{OffloadMode, Offloads};
