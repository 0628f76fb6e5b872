//! On which of the machine's processors a thread may run.

use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::sys::{check, get_option};

/// A set of processors.
#[derive(Clone, Copy)]
pub struct Processors(libc::cpu_set_t);

impl Processors {
    /// Those on which the calling thread may run.
    pub fn of_this_thread() -> io::Result<Self> {
        // SAFETY: a set of no processors is all zeros.
        let mut set: libc::cpu_set_t = unsafe { zeroed() };
        // SAFETY: the set is as long as is said; 0 stands for the calling thread.
        check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
        Ok(Self(set))
    }

    /// That one of them alone; none if it is not among them.
    pub fn only(&self, processor: usize) -> Self {
        // SAFETY: a set of no processors is all zeros.
        let mut set: libc::cpu_set_t = unsafe { zeroed() };
        if self.has(processor) {
            // SAFETY: the set has a place for what another has.
            unsafe { libc::CPU_SET(processor, &mut set) };
        }
        Self(set)
    }

    /// All but that one.
    pub fn without(mut self, processor: usize) -> Self {
        if self.has(processor) {
            // SAFETY: the set has it.
            unsafe { libc::CPU_CLR(processor, &mut self.0) };
        }
        self
    }

    /// Whether it is one of them.
    pub fn has(&self, processor: usize) -> bool {
        // SAFETY: the set has a place for all that are asked for.
        processor < libc::CPU_SETSIZE.cast_unsigned() as usize && unsafe { libc::CPU_ISSET(processor, &self.0) }
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        // SAFETY: it only counts.
        unsafe { libc::CPU_COUNT(&self.0) }.cast_unsigned() as usize
    }

    /// Lets the calling thread run on these only.
    pub fn keep(&self) -> io::Result<()> {
        // SAFETY: the set is as long as is said; 0 stands for the calling thread.
        check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) }).map(drop)
    }
}

/// The processor on which the kernel has handled what came last for a socket. It tells of connected ones only; None of
/// others, and before anything has come.
pub fn of_arrival(fd: RawFd) -> Option<usize> {
    let processor: i32 = get_option(fd, libc::SOL_SOCKET, libc::SO_INCOMING_CPU).ok()?;
    usize::try_from(processor).ok()
}

/// How long a thread has waited for a processor while it had something to do.
pub struct Waits(Option<File>);

impl Waits {
    /// Those of the calling thread.
    pub fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// All of them together, from when it began; nothing where the kernel keeps no account of them.
    pub fn total(&self) -> Duration {
        let mut octets = [0_u8; 64];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut octets, 0).ok());
        read.and_then(|length| waited(&octets[..length])).unwrap_or(Duration::ZERO)
    }
}

/// An account is a thread's time on processors, the time it waited for one, both in nanoseconds, and how often it had one.
fn waited(account: &[u8]) -> Option<Duration> {
    let number = str::from_utf8(account).ok()?.split_ascii_whitespace().nth(1)?;
    number.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_set_has_what_was_left_in_it() {
        let all = Processors::of_this_thread().unwrap();
        let some = (0..1024).find(|&processor| all.has(processor)).unwrap();
        assert!(all.count() >= 1);
        assert_eq!((all.only(some).count(), all.only(some).has(some)), (1, true));
        assert_eq!((all.without(some).count(), all.without(some).has(some)), (all.count() - 1, false));
        let none = all.only(some).without(some);
        assert_eq!((none.count(), none.only(some).count(), none.without(some).count()), (0, 0, 0));
        assert!(!all.has(usize::MAX) && !all.has(libc::CPU_SETSIZE as usize));
    }

    #[test]
    fn a_thread_keeps_to_the_processors_it_is_given_and_to_none_it_cannot() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let all = Processors::of_this_thread().unwrap();
                let some = (0..1024).find(|&processor| all.has(processor)).unwrap();
                all.only(some).keep().unwrap();
                assert_eq!(Processors::of_this_thread().unwrap().count(), 1);
                assert!(all.only(some).without(some).keep().is_err());
                all.keep().unwrap();
                assert_eq!(Processors::of_this_thread().unwrap().count(), all.count());
            });
        });
    }

    #[test]
    fn waits_are_the_second_number_of_the_account() {
        assert_eq!(waited(b"856257 56775 4\n"), Some(Duration::from_nanos(56_775)));
        for text in ["", "856257", "856257 -1 4", "1 18446744073709551616 1", "a b c"] {
            assert_eq!(waited(text.as_bytes()), None, "{text}");
        }
        assert_eq!(waited(&[0xff, b' ', b'1']), None);
        assert_eq!(Waits(None).total(), Duration::ZERO);
    }

    #[test]
    fn a_thread_has_waited_no_longer_than_it_has_lived() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let began = std::time::Instant::now();
                let waits = Waits::of_this_thread();
                let before = waits.total();
                std::thread::yield_now();
                assert!((Duration::ZERO..=began.elapsed()).contains(&waits.total().checked_sub(before).unwrap()));
            });
        });
    }

    #[test]
    fn what_comes_is_handled_where_it_is_sent_on_the_loopback() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let all = Processors::of_this_thread().unwrap();
                let some = (0..1024).rfind(|&processor| all.has(processor)).unwrap();
                all.only(some).keep().unwrap();
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                assert_eq!(of_arrival(socket.as_raw_fd()), None);
                socket.connect(socket.local_addr().unwrap()).unwrap();
                socket.send(b"one").unwrap();
                socket.recv(&mut [0; 3]).unwrap();
                assert_eq!(of_arrival(socket.as_raw_fd()), Some(some));
            });
        });
        assert_eq!(of_arrival(-1), None);
    }
}
