//! A testnet's own load: where nothing is ordered, nobody has anything to lie about.

use crate::cli::cluster::Cluster;
use crate::client::{Client, ClientError, Session};
use anyhow::Result;
use crypto::{Hasher, KeyFile, SecretKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::{Operation, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tonic::Code;

/// Puts a second where nodes lie and nobody said how many.
const UNDER_ATTACK: u32 = 100;
/// The most puts a second: who wants more has `quorate bench`.
pub(super) const MOST: u32 = 1_000;
/// Puts a second of each writer, who has one on the way at a time: an answer may take half a second, which is
/// as long as a liar makes it.
const EACH: u32 = 2;
/// Different keys that they write, however long it goes on.
const KEYS: u64 = 1_000;
/// What a put may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// After a put that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How many puts a second are written: as many as were asked for; else some if anybody lies.
pub(super) fn rate(asked: Option<u32>, attacked: bool) -> u32 {
    asked.unwrap_or(if attacked { UNDER_ATTACK } else { 0 })
}

/// Writers at work, until it is dropped.
pub(super) struct Load {
    _writers: JoinSet<()>,
}

impl Load {
    /// So many puts a second at the honest nodes, of whom there has to be one if there are any puts. The writers' keys follow from the testnet's client key,
    /// and are not that one: its next sequence would always be taken, and whoever pastes a command refused.
    pub(super) fn start(cluster: &Cluster, rate: u32) -> Result<Self> {
        let mut writers = JoinSet::new();
        if rate > 0 {
            let key = KeyFile::read(&cluster.client_key())?;
            let urls: Vec<&str> = honest(cluster).map(|node| cluster.rpc(node)).collect();
            let count = rate.div_ceil(EACH);
            let every = Duration::from_secs(1) * count / rate;
            let refused = Arc::new(AtomicBool::new(false));
            for number in 0..count {
                let first = number as usize % urls.len();
                let order = [&urls[first..], &urls[..first]].concat();
                let writer = Writer {
                    number: number.into(),
                    step: count.into(),
                    client: Client::new(&order, DEADLINE)?,
                    key: own_key(&key, number),
                    refused: refused.clone(),
                };
                let begins = Instant::now() + every * number / count;
                writers.spawn(writer.run(begins, every));
            }
        }
        Ok(Self { _writers: writers })
    }
}

/// The nodes that do not lie.
pub(super) fn honest(cluster: &Cluster) -> impl Iterator<Item = usize> {
    (0..cluster.n()).filter(|node| !cluster.lies(*node))
}

fn own_key(of: &SecretKey, number: u32) -> SecretKey {
    let mut hasher = Hasher::new("quorate/testnet/load");
    let seed = hasher.bytes(&*of.seed()).number(number.into()).finish();
    SecretKey::from_seed(&seed.0)
}

struct Writer {
    number: u64,
    /// To its next put, over those of the others.
    step: u64,
    client: Client,
    key: SecretKey,
    /// Somebody has told already that nothing is taken.
    refused: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self, begins: Instant, every: Duration) {
        let mut ticks = interval_at(begins, every);
        // What could not be written in time is not made up for in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut session = None;
        for put in (self.number..).step_by(self.step as usize) {
            ticks.tick().await;
            match self.put(&mut session, put).await {
                Ok(()) => {}
                Err(error) if error.code() == Code::PermissionDenied => {
                    if !self.refused.swap(true, Ordering::Relaxed) {
                        eprintln!("warning: the load is refused: {error}; --load 0 writes none");
                    }
                    return;
                }
                // The rate says that it is not served; and it may be a node's last moment.
                Err(_) => {
                    session = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn put(&self, session: &mut Option<Session>, put: u64) -> Result<(), ClientError> {
        let session = match session {
            Some(session) => session,
            None => {
                let key = SecretKey::from_seed(&self.key.seed());
                session.insert(Session::open(&self.client, key).await?)
            }
        };
        let operation = Operation::Put {
            key: format!("load/{:03}", put % KEYS).into(),
            value: format!("put {put}").into(),
        };
        let body = Request::all(vec![operation]).encode();
        session.execute(&self.client, body).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_load_where_nodes_lie_unless_it_is_switched_off() {
        assert_eq!(rate(None, true), 100);
        assert_eq!(rate(None, false), 0);
        assert_eq!(rate(Some(0), true), 0);
        assert_eq!(rate(Some(7), false), 7);
    }
}
