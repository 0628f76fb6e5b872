//! Lines: sockets that are connected to a peer each. For such a socket the kernel keeps the route and finds it at one look, while
//! for the socket all peers share it asks the rules and tables of routing about every message, both ways. A line also has a buffer
//! of its own, which a flood from elsewhere does not fill. Packets come by it, and leave by it where no socket only sends.
//!
//! There are a few, for the peers that came first; the shared socket serves the others. With several workers there are none: only
//! what comes to the shared port is steered among them by SPI.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

use crate::duty::FIRST_DEVICE;
use crate::sys::Epoll;
use crate::udp::{UdpOptions, UdpSocket};

/// Lines of a worker at most.
pub const LINES: usize = 48;
/// The token of the first line.
pub const FIRST_LINE: u64 = 16;

const _: () = assert!(FIRST_LINE + LINES as u64 <= FIRST_DEVICE, "a token says which kind of socket it is");

/// A socket connected to a peer.
pub struct Line {
    /// The socket.
    pub socket: UdpSocket,
    local: SocketAddr,
    remote: SocketAddr,
}

/// The lines of a worker.
pub struct Lines {
    slots: [ArcSwapOption<Line>; LINES],
    options: UdpOptions,
    one_writer: Mutex<()>,
}

impl Lines {
    /// None yet.
    #[must_use]
    pub fn new(options: UdpOptions) -> Self {
        Self { slots: std::array::from_fn(|_| ArcSwapOption::empty()), options, one_writer: Mutex::default() }
    }

    /// The line between these two, which may have to be made; from then on it is known to `epoll`. None when there are enough of
    /// them, when the kernel makes none, and when the calling thread is in another network namespace than the shared socket.
    pub fn between(&self, local: SocketAddr, remote: SocketAddr, epoll: &Epoll) -> Option<Arc<Line>> {
        let _one_writer = self.one_writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = self.slots.iter().filter_map(ArcSwapOption::load_full);
        if let Some(line) = lines.find(|line| (line.local, line.remote) == (local, remote)) {
            return Some(line);
        }
        // What no SA uses any more still takes what comes, until its place is wanted.
        let is_free = |slot: &ArcSwapOption<Line>| slot.load().as_ref().is_none_or(|line| Arc::strong_count(line) == 1);
        let number = self.slots.iter().position(is_free)?;
        let socket = UdpSocket::connected(local, remote, self.options).ok()?;
        let line = Arc::new(Line { socket, local, remote });
        self.slots[number].store(Some(Arc::clone(&line)));
        if epoll.add(line.socket.fd(), FIRST_LINE + number as u64).is_err() {
            self.slots[number].store(None);
            return None;
        }
        Some(line)
    }

    /// The line with this number.
    #[inline]
    pub fn get(&self, number: usize) -> Guard<Option<Arc<Line>>> {
        self.slots[number].load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::port_of;

    const OPTIONS: UdpOptions = UdpOptions { mark: 0, shared: false, gro: false, namespace: None };

    fn bound() -> (UdpSocket, u16) {
        let socket = UdpSocket::bind(false, 0, true, OPTIONS).unwrap();
        let port = port_of(&socket);
        (socket, port)
    }

    fn shared_port() -> (UdpSocket, u16) {
        let (socket, port) = bound();
        socket.share_port().unwrap();
        (socket, port)
    }

    fn arrived(socket: &UdpSocket) {
        let mut wanted = libc::pollfd { fd: socket.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, which lives through the call.
        assert_eq!(unsafe { libc::poll(&raw mut wanted, 1, 10_000) }, 1);
    }

    fn at(octet: u8, port: u16) -> SocketAddr {
        ([127, 0, 0, octet], port).into()
    }

    #[test]
    fn a_line_takes_what_its_peer_sends_and_the_shared_socket_all_else() {
        let (shared, port) = shared_port();
        let (peer, other) =
            (std::net::UdpSocket::bind(at(2, 0)).unwrap(), std::net::UdpSocket::bind(at(3, 0)).unwrap());
        let (lines, epoll) = (Lines::new(OPTIONS), Epoll::new().unwrap());
        let line = lines.between(at(1, port), peer.local_addr().unwrap(), &epoll).unwrap();
        peer.send_to(b"of the peer", at(1, port)).unwrap();
        other.send_to(b"of another", at(1, port)).unwrap();
        arrived(&line.socket);
        arrived(&shared);
        let mut receiver = crate::udp::Receiver::default();
        for (socket, text) in [(&line.socket, &b"of the peer"[..]), (&shared, b"of another")] {
            assert_eq!(receiver.receive(socket.fd()).unwrap(), 1);
            assert_eq!(&receiver.octets[..receiver.received(0).length], text);
        }
        let ready: Vec<_> = epoll.wait(false).unwrap().collect();
        assert_eq!(ready, []);
        peer.send_to(b"again", at(1, port)).unwrap();
        assert_eq!(epoll.wait(true).unwrap().collect::<Vec<_>>(), [FIRST_LINE]);
    }

    #[test]
    fn all_sas_to_a_peer_have_one_line_and_one_that_none_has_gives_its_place_away() {
        let (_shared, port) = shared_port();
        let (lines, epoll) = (Lines::new(OPTIONS), Epoll::new().unwrap());
        let mut held: Vec<_> =
            (0..LINES as u16).map(|peer| lines.between(at(1, port), at(2, 1000 + peer), &epoll).unwrap()).collect();
        assert!(Arc::ptr_eq(&held[7], &lines.between(at(1, port), at(2, 1007), &epoll).unwrap()));
        assert!(lines.between(at(1, port), at(3, 1000), &epoll).is_none());
        held.remove(7);
        let line = lines.between(at(1, port), at(3, 1000), &epoll).unwrap();
        assert!(Arc::ptr_eq(&line, lines.get(7).as_ref().unwrap()));
    }

    #[test]
    fn in_another_namespace_than_that_of_the_shared_socket_there_is_no_line() {
        let (socket, port) = shared_port();
        let between = |namespace| {
            let lines = Lines::new(UdpOptions { namespace: Some(namespace), ..OPTIONS });
            lines.between(at(1, port), at(2, 1000), &Epoll::new().unwrap()).is_some()
        };
        let here = socket.namespace().unwrap();
        assert_eq!([here, here + 1].map(between), [true, false]);
    }

    #[test]
    fn where_the_port_is_not_shared_there_is_no_line() {
        let (_socket, port) = bound();
        let lines = Lines::new(OPTIONS);
        assert!(lines.between(at(1, port), at(2, 1000), &Epoll::new().unwrap()).is_none());
        assert!(lines.get(0).is_none());
    }
}
