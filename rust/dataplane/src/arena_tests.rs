//! By which socket what was sealed leaves.

use std::net::{SocketAddr, UdpSocket as Peer};

use super::*;
use crate::limits::Limits;
use crate::lines::Lines;
use crate::outbound::tests::sample;
use crate::sys::Epoll;
use crate::testing::{Rig, port_of};
use crate::udp::UdpOptions;

const LENGTH: usize = 100;

#[test]
fn packets_and_runs_leave_by_the_socket_that_only_sends_and_where_there_is_none_by_the_line() {
    let options = UdpOptions { mark: 0, shared: false, gro: false, namespace: None };
    let shared = UdpSocket::bind(false, 0, true, options).unwrap();
    shared.share_port().unwrap();
    let sender = UdpSocket::for_sending(false, 0, options).unwrap();
    let peer = Peer::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let (local, remote) = (SocketAddr::from(([127, 0, 0, 1], port_of(&shared))), peer.local_addr().unwrap());
    let (lines, epoll) = (Lines::new(options), Epoll::new().unwrap());
    let endpoint = Endpoint::new(local, remote).over(lines.between(local, remote, &epoll));
    let entry = Arc::new(sample(0, Limits::default()));
    entry.endpoint.store(Arc::new(endpoint));

    let mut rig = Rig::new(Vec::new());
    rig.shared.segmentation = true;
    let mut arena = Arena::default();
    // Nothing leaves by a socket that is not connected while there is a line.
    let other = UdpSocket::bind(false, 0, true, options).unwrap();
    for (socket, by) in [(&sender, &sender), (&other, &shared)] {
        for count in [1, 2] {
            let outlet = Outlet { sockets: [[Some(socket), None], [None; 2]], ..rig.outlet() };
            assert!(arena.reserve(&entry, count, LENGTH, &outlet));
            for _ in 0..count {
                arena.place(LENGTH, 0);
            }
            arena.flush(&outlet);
            for _ in 0..count {
                assert_eq!(peer.recv_from(&mut [0; LENGTH]).unwrap().1.port(), port_of(by), "{count}");
            }
        }
    }
}
