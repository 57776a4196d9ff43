//! Paths, without an allocation.

use libc::{c_char, c_int};
use std::ffi::CStr;

/// Longest path.
const LONGEST: usize = 4096;

/// An absolute path.
pub struct Path {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Path {
    /// None.
    pub const EMPTY: Path = Path {
        bytes: [0; LONGEST],
        len: 0,
    };

    /// The absolute path of what a call names; `None` if there is none, or it is too long. It is as the
    /// caller writes it: nothing in it is resolved.
    ///
    /// # Safety
    /// `path` is null or a C string.
    pub unsafe fn absolute(dir: c_int, path: *const c_char) -> Option<Path> {
        if path.is_null() {
            return None;
        }
        // SAFETY: a C string by the caller's word.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        let mut whole = Path::EMPTY;
        if path.first() != Some(&b'/') {
            whole.directory(dir)?;
            whole.push(b"/")?;
        }
        whole.push(path)?;
        while whole.len > 1 && whole.bytes[whole.len - 1] == b'/' {
            whole.len -= 1;
        }
        Some(whole)
    }

    /// What it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let room = self.bytes.get_mut(self.len..self.len + bytes.len())?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    /// Begins with the path of an open directory.
    fn directory(&mut self, dir: c_int) -> Option<()> {
        let mut link = [0u8; 32];
        let name: &[u8] = if dir == libc::AT_FDCWD {
            b"/proc/self/cwd\0"
        } else {
            let mut digits = [0u8; 10];
            let (mut at, mut rest) = (digits.len(), u32::try_from(dir).ok()?);
            loop {
                at -= 1;
                digits[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            let (start, number) = (b"/proc/self/fd/", &digits[at..]);
            link[..start.len()].copy_from_slice(start);
            link[start.len()..start.len() + number.len()].copy_from_slice(number);
            &link
        };
        let room = self.bytes.len();
        // SAFETY: the name ends with a zero, and the call writes no more than there is room for.
        let len = unsafe {
            libc::syscall(
                libc::SYS_readlinkat,
                libc::AT_FDCWD,
                name.as_ptr(),
                self.bytes.as_mut_ptr(),
                room,
            )
        };
        self.len = usize::try_from(len).ok().filter(|len| *len < room)?;
        Some(())
    }
}
