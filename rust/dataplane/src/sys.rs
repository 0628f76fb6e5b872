//! The few system calls the workers and the control side share.

use std::array::IntoIter;
use std::io;
use std::iter::Take;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What an epoll set tells at a time.
const READY: usize = 8;

/// Turns -1 into the error in errno.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As `check`, for calls that return a size.
pub fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Octets that a system call reads, during which their owner keeps them borrowed.
#[inline]
pub fn vector(octets: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() }
}

/// Sets a socket option that is an int.
pub fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_option_raw(fd, level, name, &value)
}

/// Sets a socket option of any plain type.
pub fn set_option_raw<T: Copy>(fd: RawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is valid for `length` octets.
    check(unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), length) }).map(drop)
}

/// A socket option of any plain type, of which zeros are a value.
pub fn get_option<T: Copy + Default>(fd: RawFd, level: i32, name: i32) -> io::Result<T> {
    let (mut value, mut length) = (T::default(), std::mem::size_of::<T>() as libc::socklen_t);
    // SAFETY: the pointer is valid for `length` octets.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) })?;
    Ok(value)
}

/// Lets this thread's short sleeps end when they should, not up to 50 µs later.
pub fn sleep_exactly() {
    // SAFETY: plain call; the slack is in nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000) };
}

/// Gives this thread a niceness. Without the privilege it keeps its own.
pub fn set_niceness(nice: i32) {
    // SAFETY: plain call; on Linux 0 stands for the calling thread alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// Whether the calling thread is scheduled as threads are unless somebody says otherwise.
pub fn is_ordinary() -> bool {
    // SAFETY: plain call; 0 stands for the calling thread.
    unsafe { libc::sched_getscheduler(0) == libc::SCHED_OTHER }
}

/// When the kernel lets a thread run that has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// In its turn by its niceness; perhaps at once.
    Ordinary,
    /// The same, but it interrupts nobody who runs.
    Batch,
    /// Before all ordinary ones, in turn with others like it.
    RealTime,
}

/// Puts the calling thread into a class. Its niceness stays, also for when it is in none where that counts.
pub fn set_class(class: Class) -> io::Result<()> {
    let (policy, priority) = match class {
        Class::Ordinary => (libc::SCHED_OTHER, 0),
        Class::Batch => (libc::SCHED_BATCH, 0),
        Class::RealTime => (libc::SCHED_RR, 1),
    };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` lives through the call; 0 stands for the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
}

/// Lets other threads run first that wait for this processor, if there are any.
pub fn let_others_run() {
    // SAFETY: plain call, which cannot fail.
    unsafe { libc::sched_yield() };
}

/// Whose time on a processor is told.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The calling thread's.
    Thread,
    /// That of all threads of this process.
    Process,
}

/// Time spent on processors.
pub fn processor_time(clock: Clock) -> Duration {
    let clock = match clock {
        Clock::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
        Clock::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
    };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned() as u32)
}

/// How often the calling thread has had nothing to do and slept.
pub fn sleeps() -> i64 {
    // SAFETY: plain numbers, of which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is ours; the call cannot fail for the thread that makes it.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_nvcsw
}

/// Random octets from the kernel.
pub fn random_u32() -> u32 {
    let mut octets = [0_u8; 4];
    // SAFETY: the buffer has 4 octets; getrandom gives up to 256 in one piece.
    while unsafe { libc::getrandom(octets.as_mut_ptr().cast(), 4, 0) } != 4 {}
    u32::from_ne_bytes(octets)
}

/// A non-blocking counter other threads can sleep on.
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Not signalled.
    pub fn new() -> io::Result<Self> {
        // SAFETY: plain call; a non-negative result is a new descriptor that nobody else owns.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The descriptor.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes it readable. It cannot block: a full counter is readable already.
    pub fn signal(&self) {
        let one = 1_u64;
        // SAFETY: 8 octets of a u64.
        let _ = unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        let mut value = 0_u64;
        // SAFETY: 8 octets of a u64.
        let _ = unsafe { libc::read(self.fd(), (&raw mut value).cast(), 8) };
    }
}

/// What is ready, a few at a time.
pub type Tokens = Take<IntoIter<u64, READY>>;

/// A level-triggered epoll set.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: plain call; the result is ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd` for input, known as `token`.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: `event` lives through the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    /// Watches `fd` no more.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        // SAFETY: no event is read.
        let none = std::ptr::null_mut();
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, none) }).map(drop)
    }

    /// The tokens of what is ready, a few at a time; with `sleep`, waits until something is.
    pub fn wait(&self, sleep: bool) -> io::Result<Tokens> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; READY];
        let (most, timeout) = ((READY as u32).cast_signed(), if sleep { -1 } else { 0 });
        // SAFETY: room for that many events.
        let result = check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), most, timeout) });
        let count = match result {
            Ok(count) => count.cast_unsigned() as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(events.map(|event| event.u64).into_iter().take(count))
    }
}
