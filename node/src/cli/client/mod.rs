//! `quorate client`: reads and writes as a user does.

mod key;
mod print;
mod txn;

pub use txn::parse as transaction;

use super::output::say;
use crate::client::{Client, Session};
use crate::rpc::proto::{BlocksRequest, Consistency, RangeRequest, Receipt};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use std::path::PathBuf;
use std::time::Duration;
use storage::{Operation, Request, Span};

/// Writes and reads keys of a running cluster.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example: against the cluster that `quorate testnet` started\n  quorate client put hello world\n  quorate client --endpoint http://127.0.0.1:7011 get hello\n\nThe key that signs: --key, else the file named by QUORATE_KEY, else ./testnet/client.key."
)]
pub(super) struct Args {
    /// A node's RPC address; several stand in for one another.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:7001"
    )]
    endpoint: Vec<String>,
    /// The file of the key that signs.
    #[arg(id = "key_file", long = "key", global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    /// How long to try.
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = super::duration)]
    timeout: Duration,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a value.
    #[command(after_help = "Example:\n  quorate client put hello world")]
    Put {
        /// Which key.
        key: String,
        /// What to write.
        value: String,
    },
    /// Read a value; prints nothing if there is none.
    #[command(after_help = "Example:\n  quorate client get hello")]
    Get {
        /// Which key.
        key: String,
        /// Read what this node has, which may be old: faster.
        #[arg(long)]
        local: bool,
    },
    /// Remove a key.
    #[command(after_help = "Example:\n  quorate client delete hello")]
    Delete {
        /// Which key.
        key: String,
    },
    /// Read all keys that begin with a prefix ('' for all).
    #[command(after_help = "Example:\n  quorate client range user/ --limit 10")]
    Range {
        /// How they begin.
        prefix: String,
        /// Print at most so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Read what this node has, which may be old: faster.
        #[arg(long)]
        local: bool,
    },
    /// Execute a transaction of several operations, with conditions.
    #[command(after_help = txn::HELP)]
    Txn {
        /// A JSON file; - is stdin.
        file: PathBuf,
    },
    /// Print the receipt of an earlier transaction of this key.
    #[command(after_help = "Example:\n  quorate client receipt 12")]
    Receipt {
        /// Its sequence.
        sequence: u64,
    },
    /// Print the committed log.
    #[command(after_help = "Example:\n  quorate client blocks --from 100 --follow")]
    Blocks {
        /// The first height.
        #[arg(long, value_name = "HEIGHT", default_value_t = 1)]
        from: u64,
        /// Go on as blocks commit.
        #[arg(long)]
        follow: bool,
    },
    /// Print the state of the node.
    #[command(
        after_help = "Example:\n  quorate client --endpoint http://127.0.0.1:7021 status --json"
    )]
    Status,
}

pub(super) fn run(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(execute(args))
}

async fn execute(args: Args) -> Result<()> {
    let client = Client::new(&args.endpoint, args.timeout)?;
    let json = args.json;
    match &args.command {
        Command::Put { key, value } => {
            let operation = Operation::Put {
                key: bytes(key),
                value: bytes(value),
            };
            let receipt = write(&client, &args, Request::all(vec![operation])).await?;
            Ok(say(print::receipt(&receipt, json))?)
        }
        Command::Delete { key } => {
            let operation = Operation::Delete { key: bytes(key) };
            let receipt = write(&client, &args, Request::all(vec![operation])).await?;
            Ok(say(print::receipt(&receipt, json))?)
        }
        Command::Txn { file } => {
            let request = txn::read(file)?;
            let receipt = write(&client, &args, request).await?;
            Ok(say(print::receipt(&receipt, json))?)
        }
        Command::Get { key, local } => match client.get(key.as_bytes(), consistency(*local)).await?
        {
            Some(pair) if json => Ok(say(print::pair(&pair))?),
            Some(pair) => Ok(say(&pair.value)?),
            None => Ok(()),
        },
        Command::Range {
            prefix,
            limit,
            local,
        } => range(&client, prefix, *limit, *local, json).await,
        Command::Receipt { sequence } => {
            let key = key::find(args.key.as_deref())?;
            let receipt = client.receipt(key.public(), *sequence).await?;
            Ok(say(print::receipt(&receipt, json))?)
        }
        Command::Blocks { from, follow } => blocks(&client, *from, *follow, json).await,
        Command::Status => Ok(say(print::status(&client.status().await?, json))?),
    }
}

async fn write(client: &Client, args: &Args, request: Request) -> Result<Receipt> {
    let key = key::find(args.key.as_deref())?;
    let mut session = Session::open(client, key).await?;
    Ok(session.execute(client, request.encode()).await?)
}

/// Page by page, all at the revision of the first one.
async fn range(
    client: &Client,
    prefix: &str,
    limit: Option<u64>,
    local: bool,
    json: bool,
) -> Result<()> {
    let end = Span::prefix(bytes(prefix)).until();
    let mut left = limit.unwrap_or(u64::MAX);
    let mut request = RangeRequest {
        key: bytes(prefix),
        range_end: end.unwrap_or_else(|| Bytes::from_static(&[0])),
        consistency: consistency(local).into(),
        ..RangeRequest::default()
    };
    while left > 0 {
        request.limit = limit.map_or(0, |_| left);
        let page = client.range(request.clone()).await?;
        for pair in &page.kvs {
            say(if json {
                print::pair(pair).into_bytes()
            } else {
                [&pair.key[..], b"\t", &pair.value[..]].concat()
            })?;
        }
        left -= (page.kvs.len() as u64).min(left);
        if !page.more {
            break;
        }
        request.key = page.next_key;
        // The revision exists: this node or another has shown it. One that lags says so.
        request.revision = page.revision;
    }
    Ok(())
}

async fn blocks(client: &Client, from: u64, follow: bool, json: bool) -> Result<()> {
    let request = BlocksRequest {
        from,
        follow,
        batches: false,
    };
    let mut stream = client.blocks(request).await?;
    loop {
        match stream.message().await {
            Ok(Some(block)) => say(print::block(&block, json))?,
            Ok(None) => return Ok(()),
            Err(status) => anyhow::bail!("the stream of blocks broke: {}", status.message()),
        }
    }
}

fn consistency(local: bool) -> Consistency {
    if local {
        Consistency::Local
    } else {
        Consistency::Linearizable
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
