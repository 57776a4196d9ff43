//! Compiles the RPC definitions without protoc, and names the build for `--version`.

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "proto/quorate/v1/ledger.proto";
    println!("cargo:rerun-if-changed={proto}");
    let definitions = protox::compile([proto], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(definitions)?;

    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=QUORATE_COMMIT={}", commit());
    let profile = std::env::var("PROFILE")?;
    println!("cargo:rustc-env=QUORATE_PROFILE={profile}");
    Ok(())
}

/// The commit that is built, or `unknown` outside of a git checkout.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // A commit moves the log of HEAD, also in a linked worktree.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !changes.is_empty() => format!("{commit}+changes"),
        _ => commit,
    }
}
