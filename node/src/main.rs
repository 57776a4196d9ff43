//! The program. All of it is in the library, where tests reach it.

use std::process::ExitCode;

/// Much is allocated in one thread and freed in another, where glibc's is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quorate::cli::main()
}
