//! The calls that are stood before. Each does what the C library's does, by the same system call.

// They are what the manual pages say they are, and take what callers of those give.
#![allow(clippy::missing_safety_doc)]

use crate::paths::Path;
use crate::record::Kind;
use crate::trace::{append, below, give_up, head, next_sync, on, order, ours, set_ours};
use libc::{
    DIR, FILE, c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t,
};
use std::ffi::CStr;

/// The path of a call, if it is one that is recorded.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn recorded(dir: c_int, path: *const c_char) -> Option<Path> {
    if !on() {
        return None;
    }
    // SAFETY: by the caller's word.
    let path = unsafe { Path::absolute(dir, path) }?;
    // RocksDB's own log, which nothing reads.
    let name = path.bytes().rsplit(|byte| *byte == b'/').next()?;
    (below(&path) && !name.starts_with(b"LOG")).then_some(path)
}

unsafe fn do_open(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_openat, dir, path, flags, mode) as c_int };
    // SAFETY: `open` takes a C string.
    let Some(whole) = (unsafe { recorded(dir, path) }) else {
        let fd = call();
        set_ours(fd, false);
        return fd;
    };
    let _order = order();
    let fd = call();
    if fd >= 0 {
        set_ours(fd, true);
        let mut head = head(Kind::Open, fd);
        head.a = flags as u64;
        append(head, whole.bytes(), &[]);
    }
    fd
}

/// `open`. The mode is an argument like any other here: Linux passes what is variable in the same
/// registers on all machines that this is built for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { do_open(libc::AT_FDCWD, path, flags, mode) }
}

/// See [`open`]: what it becomes where the compiler checks that there is a mode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { do_open(libc::AT_FDCWD, path, flags, 0) }
}

/// See [`open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { do_open(dir, path, flags, mode) }
}

/// `creat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    // SAFETY: the caller's own arguments.
    unsafe { do_open(libc::AT_FDCWD, path, flags, mode) }
}

/// `close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    // Before it is: after that another thread may be given the number.
    set_ours(fd, false);
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// The names by which programs that are built for large files call the same.
macro_rules! large {
    ($($name:ident = $plain:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("See [`", stringify!($plain), "`].")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            // SAFETY: the caller's own arguments.
            unsafe { $plain($($argument),*) }
        }
    )*};
}

large! {
    open64 = open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    __open64_2 = __open_2(path: *const c_char, flags: c_int) -> c_int;
    openat64 = openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    creat64 = creat(path: *const c_char, mode: mode_t) -> c_int;
    pwrite64 = pwrite(fd: c_int, from: *const c_void, len: size_t, at: off_t) -> ssize_t;
    pwritev64 = pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t;
    ftruncate64 = ftruncate(fd: c_int, len: off_t) -> c_int;
    fallocate64 = fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int;
    posix_fallocate64 = posix_fallocate(fd: c_int, at: off_t, len: off_t) -> c_int;
}

/// The C library's own function of this name, for what is no system call.
///
/// # Safety
/// `F` is the type of that function.
unsafe fn theirs<F: Copy>(name: &CStr) -> F {
    // SAFETY: a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        give_up(b"quorate-recorder: a function of the C library is missing\n");
    }
    // SAFETY: by the caller's word; both are pointers.
    unsafe { std::mem::transmute_copy(&found) }
}

/// `fclose`, which does not call [`close`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fclose(file: *mut FILE) -> c_int {
    // SAFETY: the caller's own argument, and the type of the manual page.
    unsafe {
        set_ours(libc::fileno(file), false);
        theirs::<unsafe extern "C" fn(*mut FILE) -> c_int>(c"fclose")(file)
    }
}

/// `closedir`, which does not call [`close`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(dir: *mut DIR) -> c_int {
    // SAFETY: the caller's own argument, and the type of the manual page.
    unsafe {
        set_ours(libc::dirfd(dir), false);
        theirs::<unsafe extern "C" fn(*mut DIR) -> c_int>(c"closedir")(dir)
    }
}

/// Makes a change and, if it succeeds and is of a file of ours, has it recorded with its result.
fn change(fd: c_int, call: impl FnOnce() -> c_long, record: impl FnOnce(c_long)) -> c_long {
    if !ours(fd) {
        return call();
    }
    let _order = order();
    let result = call();
    if result >= 0 {
        record(result);
    }
    result
}

/// So many bytes from there on; none of nothing, which may lie nowhere.
///
/// # Safety
/// They are there.
unsafe fn bytes_at<'a>(from: *const c_void, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: by the caller's word.
    unsafe { std::slice::from_raw_parts(from.cast(), len) }
}

/// Where a write of so many bytes began that has just ended at the descriptor's place: also with `O_APPEND`.
fn behind(fd: c_int, written: c_long) -> u64 {
    // SAFETY: no pointers.
    let end = unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
    if end < written {
        give_up(b"quorate-recorder: a write to what is no file\n");
    }
    (end - written) as u64
}

fn written(fd: c_int, at: u64, bytes: &[u8]) {
    let mut head = head(Kind::Write, fd);
    head.a = at;
    append(head, bytes, &[]);
}

/// `write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: size_t) -> ssize_t {
    change(
        fd,
        // SAFETY: the caller's own arguments.
        || unsafe { libc::syscall(libc::SYS_write, fd, from, len) },
        |n| {
            // SAFETY: the kernel has just read so many bytes there.
            let bytes = unsafe { bytes_at(from, n as usize) };
            written(fd, behind(fd, n), bytes);
        },
    ) as ssize_t
}

/// `pwrite`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, len: size_t, at: off_t) -> ssize_t {
    change(
        fd,
        // SAFETY: the caller's own arguments.
        || unsafe { libc::syscall(libc::SYS_pwrite64, fd, from, len, at) },
        |n| {
            // SAFETY: the kernel has just read so many bytes there.
            let bytes = unsafe { bytes_at(from, n as usize) };
            written(fd, at as u64, bytes);
        },
    ) as ssize_t
}

/// One record for each part.
///
/// # Safety
/// The parts are those of a call that has written so many bytes of them.
unsafe fn all_written(fd: c_int, mut at: u64, parts: *const iovec, count: c_int, n: c_long) {
    if n == 0 {
        return;
    }
    // SAFETY: by the caller's word.
    let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
    let mut left = n as usize;
    for part in parts {
        let len = part.iov_len.min(left);
        if len > 0 {
            // SAFETY: the kernel has just read so many bytes there.
            let bytes = unsafe { bytes_at(part.iov_base, len) };
            written(fd, at, bytes);
            (at, left) = (at + len as u64, left - len);
        }
    }
}

/// `writev`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    change(
        fd,
        // SAFETY: the caller's own arguments.
        || unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) },
        // SAFETY: just written.
        |n| unsafe { all_written(fd, behind(fd, n), parts, count, n) },
    ) as ssize_t
}

/// `pwritev`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    change(
        fd,
        // The place is given in two halves, of which a machine of 64 bits uses the lower.
        // SAFETY: the caller's own arguments.
        || unsafe { libc::syscall(libc::SYS_pwritev, fd, parts, count, at, 0) },
        // SAFETY: just written.
        |n| unsafe { all_written(fd, at as u64, parts, count, n) },
    ) as ssize_t
}

/// `ftruncate`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    change(
        fd,
        // SAFETY: no pointers.
        || unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) },
        |_| {
            let mut head = head(Kind::Truncate, fd);
            head.a = len as u64;
            append(head, &[], &[]);
        },
    ) as c_int
}

/// `fallocate`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    change(
        fd,
        // SAFETY: no pointers.
        || unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, at, len) },
        |_| {
            let mut head = head(Kind::Allocate, fd);
            (head.fd2, head.a, head.b) = (mode, at as u64, len as u64);
            append(head, &[], &[]);
        },
    ) as c_int
}

/// `posix_fallocate`, which returns its error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(fd: c_int, at: off_t, len: off_t) -> c_int {
    // SAFETY: no pointers; the place of `errno` is this thread's.
    unsafe {
        match fallocate(fd, 0, at, len) {
            0 => 0,
            _ => *libc::__errno_location(),
        }
    }
}

/// A sync does not hold others up, who go on to write meanwhile: it covers what lies before its beginning,
/// and is one only if it ended.
fn sync(fd: c_int, number: c_long) -> c_int {
    // SAFETY: no pointers.
    let call = || unsafe { libc::syscall(number, fd) as c_int };
    if !ours(fd) {
        return call();
    }
    let mut head = head(Kind::SyncBegin, fd);
    head.a = next_sync();
    {
        let _order = order();
        append(head, &[], &[]);
    }
    let result = call();
    if result == 0 {
        head.kind = Kind::SyncEnd;
        let _order = order();
        append(head, &[], &[]);
    }
    result
}

/// `fsync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fsync)
}

/// `fdatasync`: also the length, so what is written can be read again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fdatasync)
}

/// Makes a change of names.
fn change_names(paths: [Option<&Path>; 2], kind: Kind, call: impl FnOnce() -> c_int) -> c_int {
    let first = match paths {
        [None, None] => return call(),
        [Some(path), _] | [None, Some(path)] => path,
    };
    let _order = order();
    let result = call();
    if result == 0 {
        let second = paths[1].map_or(&[][..], Path::bytes);
        append(head(kind, -1), first.bytes(), second);
    }
    result
}

/// `renameat2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: the caller's own arguments, C strings.
    let old = unsafe { recorded(from_dir, from) };
    // SAFETY: as above.
    let new = unsafe { recorded(to_dir, to) };
    if old.is_some() != new.is_some() || old.is_some() && flags != 0 {
        give_up(b"quorate-recorder: a rename from or to elsewhere, or an exchange\n");
    }
    change_names([old.as_ref(), new.as_ref()], Kind::Rename, || {
        // SAFETY: the caller's own arguments.
        unsafe { libc::syscall(libc::SYS_renameat2, from_dir, from, to_dir, to, flags) as c_int }
    })
}

/// `renameat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { renameat2(from_dir, from, to_dir, to, 0) }
}

/// `rename`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { renameat2(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

/// `unlinkat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments, a C string.
    let whole = unsafe { recorded(dir, path) };
    let kind = match flags & libc::AT_REMOVEDIR {
        0 => Kind::Unlink,
        _ => Kind::RemoveDir,
    };
    change_names([whole.as_ref(), None], kind, || {
        // SAFETY: the caller's own arguments.
        unsafe { libc::syscall(libc::SYS_unlinkat, dir, path, flags) as c_int }
    })
}

/// `unlink`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

/// `rmdir`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

/// `mkdirat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments, a C string.
    let whole = unsafe { recorded(dir, path) };
    change_names([whole.as_ref(), None], Kind::MakeDir, || {
        // SAFETY: the caller's own arguments.
        unsafe { libc::syscall(libc::SYS_mkdirat, dir, path, mode) as c_int }
    })
}

/// `mkdir`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}
