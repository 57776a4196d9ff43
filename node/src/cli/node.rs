//! `quorate node`: one node, in the foreground.

use crate::assemble::{self, Running};
use crate::rpc::{Listeners, NodeInfo, serve};
use crate::runtime::stop_on_signal;
use anyhow::{Context as _, Result, anyhow};
use genesis::{Home, Loaded, LogFormat, NodeConfig};
use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Runs one node until Ctrl-C or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: the first node of `quorate genesis --out cluster`\n  quorate node --home cluster/node0\n\nAddresses and limits are in HOME/node.toml. Logs go to stderr; QUORATE_LOG overrides their filter."
)]
pub(super) struct Args {
    /// The node's directory: node.toml, genesis.toml, keys/, data/.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Stop when stdin ends: for whoever starts nodes and must not leave any behind.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    serve_home(&args.home, args.until_stdin_closes, assemble::start)
}

/// Runs the node of a home, which `start` makes, until it is told to stop. `until_stdin_closes`: or
/// until then.
///
/// # Errors
/// What keeps it from starting or going on, in a line for the operator.
pub fn serve_home(
    home: &Path,
    until_stdin_closes: bool,
    start: impl AsyncFnOnce(Loaded) -> Result<Running>,
) -> Result<()> {
    let home = Home::new(home);
    let loaded = home.load()?;
    start_log(&loaded.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("quorate")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let listen = &loaded.config.listen;
        let listeners = Listeners::bind(listen.rpc, listen.http).await?;
        let info = NodeInfo::new(Arc::new(loaded.genesis.clone()), loaded.config.rpc.clone());
        let (rpc, http) = listeners.addresses()?;
        let running = start(loaded).await?;
        let handle = &running.handle;
        let stop = handle.shutdown();
        stop_on_signal(stop.clone()).context("cannot watch for signals")?;
        if until_stdin_closes {
            stop_with_stdin(stop.clone());
        }
        let pid = PidFile::write(&home)?;
        tracing::info!(
            node = handle.status().node.0,
            version = super::VERSION,
            p2p = %handle.network_address(),
            %rpc,
            %http,
            "started"
        );
        let served = serve(listeners, handle.clone(), info).await;
        // If a server failed, the node must not run on unseen.
        stop.cancel();
        let stopped = handle.stopped().await;
        drop(pid);
        stopped.map_err(|reason| anyhow!(reason))?;
        served
    });
    // A read that hangs in the disk must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

/// Stops the node when whoever started it is gone.
fn stop_with_stdin(stop: CancellationToken) {
    // A thread of its own: a read of stdin cannot be taken back, and must not keep the runtime.
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut sink), Ok(n) if n > 0) {}
        tracing::info!("stopping: stdin was closed");
        stop.cancel();
    });
}

/// Quiet by default: the node speaks of what an operator must know.
fn start_log(config: &NodeConfig) -> Result<()> {
    let filter = std::env::var("QUORATE_LOG").unwrap_or_else(|_| config.log.filter.clone());
    let filter = EnvFilter::try_new(&filter).with_context(|| {
        format!(
            "log.filter {filter:?} is no filter: use one like \"info\" or \"info,quorate=debug\""
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}

/// `node.pid`, for as long as the node runs.
struct PidFile(PathBuf);

impl PidFile {
    fn write(home: &Home) -> Result<Self> {
        let path = home.pid_file();
        fs::write(&path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A file left behind misleads nobody: the data directory's lock decides.
        fs::remove_file(&self.0).ok();
    }
}
