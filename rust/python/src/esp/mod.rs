//! `ironswan.esp`: batches of packets in, batches of packets out.

mod ah;
mod arguments;
mod batch;
mod inbound;
mod number;
mod outbound;
mod pool;
mod process;
pub mod registry;
mod results;

pub use ah::{AhInboundSa, AhOutboundSa};
pub use batch::PacketBatch;
pub use inbound::InboundSa;
pub use outbound::OutboundSa;
pub use registry::SuiteInfo;
pub use results::Results;
