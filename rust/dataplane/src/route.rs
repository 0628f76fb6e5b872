//! A question to the kernel's routing (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::sys::{check, check_size};

/// Octets of `nlmsghdr` and of `rtmsg` behind it.
const HEADER: usize = 16;
const ROUTE: usize = 12;
/// Where the kind of route stands in an answer.
const KIND: usize = HEADER + 7;

/// Whether a packet to `address` is for this host, as the kernel would decide. An error says nothing about it.
pub fn is_local(address: IpAddr) -> io::Result<bool> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain call; the result is ours.
    let socket = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?) };
    let question = question(address);
    let mut answer = [0; 1024];
    // SAFETY: the pointers and lengths are those of the buffers. The kernel has answered when the first call returns.
    let length = unsafe {
        check_size(libc::send(socket.as_raw_fd(), question.as_ptr().cast(), question.len(), 0))?;
        let room = answer.len();
        check_size(libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), room, libc::MSG_DONTWAIT))?
    };
    read(&answer[..length])
}

fn question(address: IpAddr) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let attribute = 4 + octets.len();
    let mut message = ((HEADER + ROUTE + attribute) as u32).to_ne_bytes().to_vec();
    message.extend(libc::RTM_GETROUTE.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence number and port, which a socket with a single question needs not.
    message.extend([0; 8]);
    message.extend([family.cast_unsigned() as u8, octets.len() as u8 * 8]);
    message.extend([0; ROUTE - 2]);
    message.extend((attribute as u16).to_ne_bytes());
    message.extend(libc::RTA_DST.to_ne_bytes());
    message.extend(octets);
    message
}

fn read(answer: &[u8]) -> io::Result<bool> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let header: &[u8; HEADER] = answer.first_chunk().ok_or_else(malformed)?;
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    if kind == libc::RTM_NEWROUTE {
        return answer.get(KIND).map(|kind| *kind == libc::RTN_LOCAL).ok_or_else(malformed);
    }
    let code = answer[HEADER..].first_chunk().map(|code| -i32::from_ne_bytes(*code));
    match code.filter(|_| i32::from(kind) == libc::NLMSG_ERROR).ok_or_else(malformed)? {
        // Without a route, or with one that refuses, it is nobody's here.
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES => Ok(false),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::network_of_our_own;

    #[test]
    fn addresses_of_this_host_are_local_and_others_not_even_where_sockets_may_have_them() {
        if !network_of_our_own() {
            return;
        }
        for version in ["4", "6"] {
            std::fs::write(format!("/proc/sys/net/ipv{version}/ip_nonlocal_bind"), "1").unwrap();
        }
        let ask = |address: &str| is_local(address.parse().unwrap()).unwrap();
        assert!(ask("127.0.0.1") && ask("127.1.2.3") && ask("::1"));
        assert!(!ask("192.0.2.1") && !ask("2001:db8::1"));
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for answer in [&[][..], &[0; HEADER], &[0; HEADER + 4]] {
            assert!(read(answer).is_err());
        }
    }
}
