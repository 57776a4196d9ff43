//! The leader goes, killed or asked to: its clients' requests outlive it.

use crate::world::{GIVEN_UP, PATIENCE, World, fresh_session, get, pbft, put, raft};
use quorate::rpc::proto::Consistency;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Clients of each follower.
const CLIENTS: usize = 4;
/// A time-out that is not over by chance, and leaves requests time to outlive it.
const LONG: Duration = Duration::from_secs(20);
/// Between two looks at how many answers there are.
const LOOK: Duration = Duration::from_millis(5);
/// Answers that each client has before the leader goes, and again after.
const ANSWERS: usize = 10;

/// One client who writes and reads, one request after the other, and gives up at the first failure.
struct Asker {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    task: JoinHandle<Asked>,
}

/// What became of his requests.
#[derive(Default)]
struct Asked {
    done: Vec<Instant>,
    failed: Option<String>,
}

impl Asker {
    /// Of the one node, so that no other can help out.
    fn start(world: &World, node: usize, name: String) -> Self {
        let client = world.client(&[node]);
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicUsize::new(0));
        let (stopped, answered) = (stop.clone(), answers.clone());
        let task = tokio::spawn(async move {
            let mut session = fresh_session(&client).await;
            let mut asked = Asked::default();
            for i in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (key, value) = (format!("{name}/{}", i % 7), format!("value {i}"));
                if let Err(error) = put(&client, &mut session, &key, &value).await {
                    asked.failed = Some(format!("{key}: {error}"));
                    break;
                }
                asked.done.push(Instant::now());
                let found = get(&client, &key, Consistency::Linearizable).await;
                assert_eq!(found.as_ref(), Some(&value), "{key}");
                asked.done.push(Instant::now());
                answered.store(asked.done.len(), Ordering::Relaxed);
            }
            asked
        });
        Self {
            stop,
            answers,
            task,
        }
    }

    /// Waits until so many requests are answered, or one has failed.
    async fn has(&self, answers: usize) {
        let end = Instant::now() + PATIENCE;
        while !self.task.is_finished() && self.answers() < answers {
            assert!(Instant::now() < end, "only {} answers", self.answers());
            sleep(LOOK).await;
        }
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    async fn finish(self) -> Asked {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Loads the followers, lets the leader go, and returns the longest time after that in which no
/// client at all was answered.
async fn gap(world: &mut World, killed: bool) -> Duration {
    let leader = world.leader(0).await;
    let others = world.but(leader);
    let askers: Vec<Asker> = others
        .iter()
        .flat_map(|node| (0..CLIENTS).map(move |i| (*node, i)))
        .map(|(node, i)| Asker::start(world, node, format!("{node}/{i}")))
        .collect();
    for asker in &askers {
        asker.has(ANSWERS).await;
    }
    let went = Instant::now();
    if killed {
        world.cluster.kill(leader).await.unwrap();
    } else {
        let status = world.cluster.stop(leader).await.unwrap();
        assert!(status.success(), "{status}");
    }
    let before: Vec<_> = askers.iter().map(Asker::answers).collect();
    for (asker, before) in askers.iter().zip(before) {
        asker.has(before + ANSWERS).await;
    }
    let mut answered = vec![went];
    for asker in askers {
        let asked = asker.finish().await;
        assert_eq!(asked.failed, None);
        answered.extend(asked.done.into_iter().filter(|at| *at > went));
    }
    answered.sort_unstable();
    world.agrees(&others).await;
    let gaps = answered.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap()
}

/// The leader is killed: the others give it up, and not again and again.
async fn outlived(mut world: World) {
    let leader = world.leader(0).await;
    let others = world.but(leader);
    let before = world.given_up(&others);
    let gap = gap(&mut world, true).await;
    println!("no answer for {gap:?} after a kill");
    let given_up = world.given_up(&others) - before;
    // By no timer at all, if the connection was seen to break first.
    assert!(given_up <= GIVEN_UP, "{given_up} times");
    world.another_leads(others[0], leader).await;
    world.end().await;
}

#[tokio::test]
async fn no_request_at_a_follower_fails_when_the_leader_is_killed() {
    outlived(World::of(raft, 3).await).await;
}

#[tokio::test]
async fn no_request_at_a_backup_fails_when_the_primary_is_killed() {
    outlived(World::of(pbft, 4).await).await;
}

/// From its next start on a node gives no leader up before [`LONG`] is over.
fn made_patient(world: &World, node: usize) {
    let path = world.cluster.home(node).node_toml();
    let text = std::fs::read_to_string(&path).unwrap();
    let long = format!("\"{}s\"", LONG.as_secs());
    let patient = text
        .replace("timeout = \"300ms\"", &format!("timeout = {long}"))
        .replace("timeout_cap = \"10s\"", &format!("timeout_cap = {long}"));
    assert_eq!(patient.matches(&long).count(), 2, "{text}");
    std::fs::write(&path, patient).unwrap();
}

/// Whoever is left would wait for long before he stood by himself; but he is told to. On a busy machine he
/// may have lagged so much that the leader did not wait for him: so there are several goes.
#[tokio::test]
async fn a_leader_that_is_asked_to_stop_hands_over_first() {
    let mut world = World::of(raft, 3).await;
    let leader = world.leader(0).await;
    for node in world.but(leader) {
        made_patient(&world, node);
        world.cluster.stop(node).await.unwrap();
        world.cluster.start(node).unwrap();
        world.cluster.joined(PATIENCE).await.unwrap();
    }
    made_patient(&world, leader);
    let mut gaps = Vec::new();
    while gaps.len() < 3 && gaps.iter().all(|gap| *gap >= LONG) {
        let leader = world.leader(0).await;
        gaps.push(gap(&mut world, false).await);
        world.cluster.start(leader).unwrap();
        world.cluster.joined(PATIENCE).await.unwrap();
    }
    println!("no answer for {gaps:?} after hand-overs");
    assert!(gaps.iter().any(|gap| *gap < LONG), "{gaps:?}");
    let log = (0..3).map(|node| std::fs::read_to_string(world.cluster.home(node).log_file()));
    assert!(
        log.into_iter()
            .all(|text| !text.unwrap().contains("panicked"))
    );
    world.end().await;
}
