//! Plain ESP out: one packet a message, many messages a system call, to the next hop's link-layer address or, where that is
//! not known, through the kernel's IP.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::time::Duration;

use super::{Arena, BLOCKED_MS, RUNS, Run};
use crate::counters::Counter;
use crate::egress::Outlet;
use crate::endpoint::Control;
use crate::plain::Plain;
use crate::sys;
use crate::tally::Batch;
use crate::udp;

/// How long a device whose ring is full may hold us up: a gigabit link sends sixteen large packets meanwhile.
const DEVICE_FULL: Duration = Duration::from_micros(200);

impl Arena {
    /// Sends runs of one packet each, all of one IP version.
    pub(super) fn send_plain(&self, runs: &[Run], plain: &Plain, v6: bool, outlet: &Outlet<'_>) {
        for runs in runs.chunks(RUNS) {
            let sent = self.send_frames(runs, plain.packet_fd(), v6, outlet);
            if sent < runs.len() {
                outlet.counters.add(Counter::PlainRawSends, runs.len() - sent);
                self.send_raw(&runs[sent..], plain.raw_fd(v6), outlet);
            }
        }
    }

    /// How many of the runs went out as frames. The first that cannot ends it: the order is worth more than its speed.
    fn send_frames(&self, runs: &[Run], fd: RawFd, v6: bool, outlet: &Outlet<'_>) -> usize {
        // SAFETY: all zeros are a valid sockaddr_ll, and a valid mmsghdr.
        let (mut names, mut messages): ([libc::sockaddr_ll; RUNS], [libc::mmsghdr; RUNS]) =
            unsafe { std::mem::zeroed() };
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; RUNS];
        let mut count = 0;
        for run in runs {
            let endpoint = &self.turns[run.turn].endpoint;
            let Some(hop) = endpoint.next_hop().filter(|hop| run.length <= hop.mtu) else { break };
            names[count] = hop.raw(v6);
            let octets = &self.octets[run.start..run.start + run.length];
            vectors[count] = sys::vector(octets);
            let header = &mut messages[count].msg_hdr;
            header.msg_name = (&raw mut names[count]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
            header.msg_iov = &raw mut vectors[count];
            header.msg_iovlen = 1;
            count += 1;
        }
        self.send_all(fd, &mut messages[..count], &runs[..count], outlet, false)
    }

    fn send_raw(&self, runs: &[Run], fd: Option<RawFd>, outlet: &Outlet<'_>) {
        let Some(fd) = fd else {
            for run in runs {
                self.drop(run, Counter::DropSendFailed, 1, outlet);
            }
            return;
        };
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; RUNS];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; RUNS];
        // SAFETY: all zeros are a valid mmsghdr.
        let mut messages: [libc::mmsghdr; RUNS] = unsafe { std::mem::zeroed() };
        for (index, run) in runs.iter().enumerate() {
            let endpoint = &self.turns[run.turn].endpoint;
            // The kernel writes the IP header, and fragments.
            let octets = &self.octets[run.start + endpoint.front()..run.start + run.length];
            vectors[index] = sys::vector(octets);
            let control = controls[index].write(run.control(endpoint));
            messages[index].msg_hdr = udp::header(Some(&endpoint.raw_remote), control, &mut vectors[index..=index]);
        }
        self.send_all(fd, &mut messages[..runs.len()], runs, outlet, true);
    }

    /// Sends messages in order and says how many it has done with: sent or, where the queue stayed full, dropped. Another error
    /// ends it, or with `last` drops that message alone.
    fn send_all(
        &self,
        fd: RawFd,
        messages: &mut [libc::mmsghdr],
        runs: &[Run],
        outlet: &Outlet<'_>,
        last: bool,
    ) -> usize {
        let (mut next, mut waited) = (0, self.waited.get());
        while next < messages.len() {
            outlet.counters.count(Counter::PlainSendCalls);
            let rest = &mut messages[next..];
            // SAFETY: the headers point to names, controls and octets that live and stay during the call.
            let sent = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT) };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                outlet.counters.add(Counter::PlainSends, sent);
                (0..sent).for_each(|_| outlet.counters.batches.count(Batch::SendRun, 1));
                next += sent;
                continue;
            }
            match remedy(io::Error::last_os_error().raw_os_error(), waited) {
                Remedy::Again => {}
                Remedy::AwaitRoom => {
                    waited = true;
                    udp::wait_writable(fd, BLOCKED_MS);
                }
                Remedy::Pause => {
                    waited = true;
                    std::thread::sleep(DEVICE_FULL);
                }
                Remedy::Drop => {
                    self.drop(&runs[next], Counter::DropSendBlocked, 1, outlet);
                    next += 1;
                }
                Remedy::AnotherWay if last => {
                    self.drop(&runs[next], Counter::DropSendFailed, 1, outlet);
                    next += 1;
                }
                Remedy::AnotherWay => break,
            }
        }
        self.waited.set(waited);
        next
    }
}

/// What to do after a send that failed.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    Again,
    /// The socket's buffer is full, and the socket tells when there is room.
    AwaitRoom,
    /// The device's ring is full. The socket counts as writable all the time: it has no part in that ring.
    Pause,
    Drop,
    AnotherWay,
}

fn remedy(error: Option<i32>, waited: bool) -> Remedy {
    match error {
        Some(libc::EINTR) => Remedy::Again,
        Some(libc::EAGAIN | libc::ENOBUFS) if waited => Remedy::Drop,
        Some(libc::EAGAIN) => Remedy::AwaitRoom,
        Some(libc::ENOBUFS) => Remedy::Pause,
        _ => Remedy::AnotherWay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_is_polled_and_a_full_device_given_a_moment_once() {
        assert_eq!(remedy(Some(libc::EAGAIN), false), Remedy::AwaitRoom);
        assert_eq!(remedy(Some(libc::ENOBUFS), false), Remedy::Pause);
        assert_eq!([libc::EAGAIN, libc::ENOBUFS].map(|error| remedy(Some(error), true)), [Remedy::Drop, Remedy::Drop]);
    }

    #[test]
    fn an_interrupted_send_is_repeated_and_any_other_failure_says_nothing_of_room() {
        for waited in [false, true] {
            assert_eq!(remedy(Some(libc::EINTR), waited), Remedy::Again);
            assert_eq!(remedy(Some(libc::EMSGSIZE), waited), Remedy::AnotherWay);
            assert_eq!(remedy(None, waited), Remedy::AnotherWay);
        }
    }
}
