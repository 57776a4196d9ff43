//! The trace: whether it is on, which files are looked at, and how a record gets there.

use crate::paths::Path;
use crate::record::{Head, Kind};
use libc::{c_char, c_int, c_long};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// File descriptors from here on are not looked at.
const FDS: usize = 65_536;

/// Which descriptors are files of ours.
static OURS: [AtomicBool; FDS] = [const { AtomicBool::new(false) }; FDS];
/// The trace's descriptor; negative while there is none.
static TRACE: AtomicI32 = AtomicI32::new(-1);
/// The directory, without a slash at its end.
static ROOT: Mutex<Path> = Mutex::new(Path::EMPTY);
/// Held while a change is made and recorded.
static ORDER: Mutex<()> = Mutex::new(());
static SYNCS: AtomicU64 = AtomicU64::new(0);
static START: Once = Once::new();

/// Whether anything is recorded. The first call looks at the environment.
pub fn on() -> bool {
    START.call_once(start);
    TRACE.load(Ordering::Acquire) >= 0
}

fn start() {
    let (Some(file), Some(root)) = (variable(c"QUORATE_TRACE"), variable(c"QUORATE_TRACED")) else {
        return;
    };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: the path is a C string of the environment, which nobody changes.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, file, flags, 0o600) };
    if fd < 0 {
        give_up(b"quorate-recorder: cannot open QUORATE_TRACE\n");
    }
    // SAFETY: as above.
    let Some(root) = (unsafe { Path::absolute(libc::AT_FDCWD, root) }) else {
        give_up(b"quorate-recorder: QUORATE_TRACED is no path\n");
    };
    *ROOT.lock().unwrap_or_else(PoisonError::into_inner) = root;
    // Far above those that a program gets next, which are the same then as without a trace.
    // SAFETY: no pointers.
    let high = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, 900) };
    let fd = if high < 0 {
        fd
    } else {
        // SAFETY: no pointers; nobody else has it.
        unsafe { libc::syscall(libc::SYS_close, fd) };
        high
    };
    TRACE.store(fd as i32, Ordering::Release);
}

fn variable(name: &std::ffi::CStr) -> Option<*const c_char> {
    // SAFETY: the name is a C string.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    (!value.is_null()).then_some(value.cast_const())
}

/// A trace with a hole proves nothing.
pub fn give_up(why: &[u8]) -> ! {
    // SAFETY: pointer and length are of one slice.
    unsafe { libc::syscall(libc::SYS_write, 2, why.as_ptr(), why.len()) };
    // SAFETY: it takes nothing.
    unsafe { libc::abort() }
}

/// Whether the path is below the directory, or is it.
pub fn below(path: &Path) -> bool {
    let root = ROOT.lock().unwrap_or_else(PoisonError::into_inner);
    let rest = path.bytes().strip_prefix(root.bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Whether the descriptor is a file of ours.
pub fn ours(fd: c_int) -> bool {
    let flag = usize::try_from(fd).ok().and_then(|fd| OURS.get(fd));
    flag.is_some_and(|flag| flag.load(Ordering::Acquire))
}

/// From now on it is, or is not.
pub fn set_ours(fd: c_int, is: bool) {
    match usize::try_from(fd).ok().and_then(|fd| OURS.get(fd)) {
        Some(flag) => flag.store(is, Ordering::Release),
        None if is => give_up(b"quorate-recorder: too many open files\n"),
        None => {}
    }
}

/// No other change is made or recorded as long as this is held.
pub struct Order {
    _turn: MutexGuard<'static, ()>,
}

/// Waits until it is this thread's turn. Whoever wants to kill the process locks the trace first, so that no change
/// is made and then not recorded.
pub fn order() -> Order {
    let turn = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    lock(libc::LOCK_SH);
    Order { _turn: turn }
}

impl Drop for Order {
    fn drop(&mut self) {
        lock(libc::LOCK_UN);
    }
}

fn lock(how: c_int) {
    let fd = TRACE.load(Ordering::Acquire);
    loop {
        // SAFETY: no pointers.
        if unsafe { libc::syscall(libc::SYS_flock, fd, how) } == 0 {
            return;
        }
        // SAFETY: the place of `errno` is this thread's.
        if unsafe { *libc::__errno_location() } != libc::EINTR {
            give_up(b"quorate-recorder: the trace cannot be locked\n");
        }
    }
}

/// The number of a sync that begins.
pub fn next_sync() -> u64 {
    SYNCS.fetch_add(1, Ordering::Relaxed)
}

/// A record's head, of this process.
pub fn head(kind: Kind, fd: c_int) -> Head {
    Head {
        kind,
        pid: std::process::id(),
        fd,
        fd2: 0,
        a: 0,
        b: 0,
        first: 0,
        second: 0,
    }
}

/// Appends a record, in one call.
pub fn append(head: Head, first: &[u8], second: &[u8]) {
    let head = Head {
        first: first.len() as u32,
        second: second.len() as u32,
        ..head
    }
    .encode();
    let parts = [&head[..], first, second].map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    let all = head.len() + first.len() + second.len();
    let fd = TRACE.load(Ordering::Acquire);
    // SAFETY: three parts, which live until the call returns and are only read.
    let written = unsafe { libc::syscall(libc::SYS_writev, fd, parts.as_ptr(), parts.len()) };
    if written != all as c_long {
        give_up(b"quorate-recorder: the trace cannot be written\n");
    }
}
