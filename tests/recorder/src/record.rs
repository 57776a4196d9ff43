//! How a record lies in the trace: a head of fixed length, then two strings of bytes.

/// Bytes of a head.
pub const HEAD: usize = 40;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A file or directory was opened: path; `a`: flags.
    Open = 1,
    /// Bytes were written: the bytes; `a`: where.
    Write = 2,
    /// `a`: the file's length from now on.
    Truncate = 3,
    /// `a`, `b`: where and how much; `fd2`: the mode of `fallocate`.
    Allocate = 4,
    /// A sync is asked for; `a`: its number in this process.
    SyncBegin = 5,
    /// It is done.
    SyncEnd = 6,
    /// Both paths.
    Rename = 7,
    /// Path.
    Unlink = 8,
    /// Path.
    MakeDir = 9,
    /// Path.
    RemoveDir = 10,
    /// What somebody notes beside the calls: bytes of his own.
    Mark = 11,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind::Open,
        Kind::Write,
        Kind::Truncate,
        Kind::Allocate,
        Kind::SyncBegin,
        Kind::SyncEnd,
        Kind::Rename,
        Kind::Unlink,
        Kind::MakeDir,
        Kind::RemoveDir,
        Kind::Mark,
    ];
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of what.
    pub kind: Kind,
    /// The process.
    pub pid: u32,
    /// The file descriptor in that process.
    pub fd: i32,
    /// See [`Kind`].
    pub fd2: i32,
    /// See [`Kind`].
    pub a: u64,
    /// See [`Kind`].
    pub b: u64,
    /// Bytes of the first string.
    pub first: u32,
    /// Bytes of the second.
    pub second: u32,
}

impl Head {
    /// Its bytes, all numbers little-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[0..4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        out[4..8].copy_from_slice(&self.pid.to_le_bytes());
        out[8..12].copy_from_slice(&self.fd.to_le_bytes());
        out[12..16].copy_from_slice(&self.fd2.to_le_bytes());
        out[16..24].copy_from_slice(&self.a.to_le_bytes());
        out[24..32].copy_from_slice(&self.b.to_le_bytes());
        out[32..36].copy_from_slice(&self.first.to_le_bytes());
        out[36..40].copy_from_slice(&self.second.to_le_bytes());
        out
    }

    /// The inverse; `None` for what is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.get(..HEAD)?.try_into().ok()?;
        let four = |at: usize| -> [u8; 4] { std::array::from_fn(|i| bytes[at + i]) };
        let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|i| bytes[at + i]) };
        let number = u32::from_le_bytes(four(0));
        Some(Self {
            kind: *Kind::ALL.iter().find(|kind| **kind as u32 == number)?,
            pid: u32::from_le_bytes(four(4)),
            fd: i32::from_le_bytes(four(8)),
            fd2: i32::from_le_bytes(four(12)),
            a: u64::from_le_bytes(eight(16)),
            b: u64::from_le_bytes(eight(24)),
            first: u32::from_le_bytes(four(32)),
            second: u32::from_le_bytes(four(36)),
        })
    }
}
