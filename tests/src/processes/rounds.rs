//! Rounds of faults on a running cluster, one after the other, and what came of them.

mod replay;
mod report;

pub use report::{Failure, Report, Round};

use super::book::Journal;
use super::clients::{self, One, Work};
use super::failures::broken;
use super::plan::{Event, Plan, What};
use super::{Attack, Caps, Cast, Diary, Fault, Lab, Most, Setup, Told, Watch, pauses, told};
use anyhow::Result;
use crypto::SecretKey;
use quorate::client::{Client, Session};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// All nodes serve again so soon after everything is healed. Far more than it takes: longest time-out
/// (10 s) and silence of a connection (6 s) included, on a machine that is busy with other things.
pub const BOUND: Duration = Duration::from_secs(90);
/// Views that a leader keeps where some lie: so liars lead several times in a round (HotStuff).
const TENURE: u64 = 8;

/// Rounds to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The cluster.
    pub setup: Setup,
    /// How many, at most.
    pub rounds: u64,
    /// How long the faults of each go on.
    pub span: Duration,
    /// How many clients.
    pub clients: usize,
    /// No round begins after so long.
    pub limit: Option<Duration>,
    /// No round begins once there is a proof against each liar.
    pub until_proven: bool,
    /// In the end a replica sleeps for so long under load.
    pub pause: Option<Duration>,
    /// Who lies meanwhile: see [`Campaign::attacked`].
    pub attack: Attack,
    /// What a process may hold.
    pub caps: Caps,
    /// Where its files are; they are kept then. Else in a directory that is deleted if all goes well.
    pub dir: Option<PathBuf>,
}

impl Campaign {
    /// So many rounds on a cluster, the first with the setup's seed, each other with the next one.
    #[must_use]
    pub fn new(setup: Setup, rounds: u64) -> Self {
        Self {
            setup,
            rounds,
            span: Duration::from_secs(4),
            clients: 6,
            limit: None,
            until_proven: false,
            pause: None,
            attack: Attack::Nobody,
            caps: Caps::default(),
            dir: None,
        }
    }

    /// The same with nodes that lie. Whatever a plan does to honest ones, safety holds; that they serve is
    /// expected of them once all is healed, when nobody is faulty but the liars. So none of them sleeps in
    /// the end: the others would be too few.
    #[must_use]
    pub fn attacked(mut self, attack: Attack) -> Self {
        if attack != Attack::Nobody {
            self.setup.tenure = Some(TENURE);
            self.pause = None;
        }
        self.attack = attack;
        self
    }

    /// Runs them, and tells of each round as it ends. Stops at the first failure.
    pub async fn run(&self, news: &dyn Fn(&Round)) -> Report {
        let mut report = Report::of(self);
        let begun = Instant::now();
        let started = Lab::start(self.setup, self.dir.as_deref()).await;
        let result = match started {
            Err(error) => Err((error, self.dir.clone())),
            Ok(mut lab) => match self.all(&mut lab, &mut report, begun, news).await {
                Ok(()) => lab.end().await.map_err(|error| (error, None)),
                Err(error) => Err((error, Some(lab.keep()))),
            },
        };
        report.seconds = begun.elapsed().as_secs_f64();
        if let Err((error, kept)) = result {
            report.failed(self, &error, kept);
        }
        report
    }

    async fn all(
        &self,
        lab: &mut Lab,
        report: &mut Report,
        begun: Instant,
        news: &dyn Fn(&Round),
    ) -> Result<()> {
        let cast = self.attack.cast(&self.setup, self.setup.seed);
        lab.disguise(&cast).await?;
        let watch = watch(lab);
        let mut people = People::open(lab, self).await?;
        let mut journal = Journal::default();
        let mut first = None;
        for number in 0..self.rounds {
            if self.limit.is_some_and(|limit| begun.elapsed() > limit) {
                break;
            }
            let seed = self.setup.seed + number;
            let cast = self.attack.cast(&self.setup, seed);
            report.begins(seed, &cast);
            lab.disguise(&cast).await?;
            let before = told_so_far(lab, &cast);
            let mut round = self.round(lab, seed, &mut people, &mut journal).await?;
            round.told = told::since(&before, told_so_far(lab, &cast));
            round.lies = cast.clone();
            let (most, now) = (watch.take(), watch.now());
            round.held(most);
            news(&round);
            report.took_place(round);
            report.proven.extend(lab.proven().await?);
            let caught = cast.keys().all(|liar| report.proven.contains(liar));
            most.within(self.caps)?;
            now.grown(*first.get_or_insert(now))?;
            if self.until_proven && caught {
                break;
            }
        }
        report.last_words = true;
        let all: Vec<usize> = (0..lab.n()).collect();
        lab.kill(&all).await?;
        lab.heal()?;
        people.serve(lab, None).await?;
        read_back(lab, "journal/", &journal).await?;
        lab.agrees(Instant::now() + BOUND).await?;
        if let Some(span) = self.pause {
            let sleeper = lab.some_leader().await?;
            let slept = pauses::under_load(lab, sleeper, span, self.caps).await?;
            report.slept(&slept);
        }
        let most = watch.take();
        report.held(most);
        most.within(self.caps)
    }

    async fn round(
        &self,
        lab: &mut Lab,
        seed: u64,
        people: &mut People,
        journal: &mut Journal,
    ) -> Result<Round> {
        let plan = Plan::draw(seed, lab.n(), lab.f(), self.span);
        let work = Arc::new(Work::of(seed));
        let running = clients::run(std::mem::take(&mut people.clients), &work);
        carry_out(lab, &plan).await?;
        let healed = Instant::now();
        lab.heal()?;
        people.serve(lab, Some(&work)).await?;
        let back = healed.elapsed();
        work.stop.store(true, Ordering::Relaxed);
        people.clients = running.join_all().await;
        lab.agrees(healed + BOUND).await?;
        read_shared(lab, &work).await?;
        let tally = work.book.tally();
        let prefix = work.journal();
        let work = Arc::into_inner(work).expect("its clients are back");
        let written = work.book.close()?;
        read_back(lab, &prefix, &written).await?;
        let round = Round::new(seed, &plan, &tally, written.acknowledged(), back);
        journal.extend(written);
        Ok(round)
    }
}

/// What these have told, in all their lives.
fn told_so_far(lab: &Lab, cast: &Cast) -> Told {
    let mut all = Told::new();
    for (node, name) in cast {
        for (way, count) in Diary::read(lab.cluster.home(*node).dir(), name) {
            *all.entry(way).or_default() += count;
        }
    }
    all
}

/// A watch over the processes of a lab's honest nodes.
pub(super) fn watch(lab: &Lab) -> Watch {
    let nodes = lab.honest().into_iter();
    let files = nodes.map(|node| lab.cluster.home(node).pid_file());
    Watch::start(files.collect())
}

/// Everybody who asks: the same in all rounds.
struct People {
    clients: Vec<One>,
    /// For each honest node one who asks only it.
    probes: Vec<Probe>,
}

struct Probe {
    node: usize,
    client: Client,
    session: Session,
    asked: u64,
}

impl People {
    async fn open(lab: &Lab, campaign: &Campaign) -> Result<Self> {
        let seed = campaign.setup.seed;
        let mut clients = Vec::new();
        for number in 0..campaign.clients {
            clients.push(One::open(lab, number, seed).await?);
        }
        let mut probes = Vec::new();
        for node in lab.honest() {
            let client = lab.client(&[node], BOUND)?;
            let mut hasher = crypto::Hasher::new("quorate/rounds/probe");
            let key = SecretKey::from_seed(&hasher.number(seed).number(node as u64).finish().0);
            let session = Session::open(&client, key).await?;
            probes.push(Probe {
                node,
                client,
                session,
                asked: 0,
            });
        }
        Ok(Self { clients, probes })
    }

    /// Waits until each honest node by itself has served a write (L1).
    async fn serve(&mut self, lab: &mut Lab, work: Option<&Arc<Work>>) -> Result<()> {
        let end = Instant::now() + BOUND;
        let mut asking = JoinSet::new();
        for probe in self.probes.drain(..) {
            asking.spawn(probe.ask(work.cloned(), end));
        }
        while !asking.is_empty() {
            tokio::select! {
                Some(answer) = asking.join_next() => match answer? {
                    Ok(probe) => self.probes.push(probe),
                    Err((node, why)) => {
                        let said = lab.said().await;
                        let what = format!("node{node} does not serve {BOUND:?} after all was healed: {why}; they say{said}");
                        return Err(broken("L1", what));
                    }
                },
                () = sleep(Duration::from_millis(200)) => lab.alive()?,
            }
        }
        Ok(())
    }
}

impl Probe {
    async fn ask(mut self, work: Option<Arc<Work>>, end: Instant) -> Result<Self, (usize, String)> {
        let node = self.node;
        loop {
            self.asked += 1;
            let asked = match &work {
                Some(work) => {
                    let key = format!("{}probe{node}/{}", work.journal(), self.asked);
                    let Self {
                        client, session, ..
                    } = &mut self;
                    clients::write_once(&work.book, client, session, &key, "served").await
                }
                None => {
                    let value = self.asked.to_string();
                    let key = format!("probe/{node}");
                    let put = clients::put(&self.client, &mut self.session, &key, value).await;
                    put.map(drop)
                }
            };
            match asked {
                Ok(()) => return Ok(self),
                Err(error) if Instant::now() > end => return Err((node, error.to_string())),
                // What it signs may have expired while it was silent.
                Err(_) => drop(self.session.refresh(&self.client).await),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How an event ends.
enum Cure {
    Start(Vec<usize>),
    Wake(Vec<usize>),
    Mend(Vec<(usize, usize)>),
}

enum Act<'a> {
    Begin(&'a Event),
    End(Cure),
}

/// Lets a plan happen.
async fn carry_out(lab: &mut Lab, plan: &Plan) -> Result<()> {
    let begun = Instant::now();
    let events = plan.events.iter().enumerate();
    let mut due: BTreeMap<(Duration, usize), Act> = events
        .map(|(i, event)| ((event.at, i), Act::Begin(event)))
        .collect();
    while let Some(((at, i), act)) = due.pop_first() {
        sleep_until(begun + at).await;
        lab.alive()?;
        match act {
            Act::Begin(event) => {
                let cure = begin(lab, &event.what).await?;
                due.insert((at + event.lasts, plan.events.len() + i), Act::End(cure));
            }
            Act::End(Cure::Start(nodes)) => lab.start_again(&nodes)?,
            Act::End(Cure::Wake(nodes)) => lab.wake(&nodes),
            Act::End(Cure::Mend(pairs)) => befall(lab, &pairs, Fault::Sound),
        }
    }
    sleep_until(begun + plan.span).await;
    lab.alive()
}

async fn begin(lab: &mut Lab, what: &What) -> Result<Cure> {
    Ok(match what {
        What::Kill(victims) => {
            let nodes = victims.named(lab.leader().await);
            lab.kill(&nodes).await?;
            Cure::Start(nodes)
        }
        What::Pause(victims) => {
            let nodes = victims.named(lab.leader().await);
            lab.pause(&nodes);
            Cure::Wake(nodes)
        }
        What::Links(fault, pairs) => {
            befall(lab, pairs, *fault);
            Cure::Mend(pairs.clone())
        }
    })
}

fn befall(lab: &Lab, pairs: &[(usize, usize)], fault: Fault) {
    for (from, to) in pairs {
        lab.links.set(*from, *to, fault);
    }
}

/// Each honest node is asked for each shared key once more: what it says is part of the history.
async fn read_shared(lab: &Lab, work: &Work) -> Result<()> {
    for node in lab.honest() {
        let client = lab.client(&[node], BOUND)?;
        for key in work.shared() {
            let read = clients::read(&work.book, &client, &key).await;
            read.map_err(|error| {
                broken("L1", format!("node{node} does not serve {key}: {error}"))
            })?;
        }
    }
    Ok(())
}

/// All that was acknowledged is there, whichever honest node is asked, and nothing else is (S8).
async fn read_back(lab: &Lab, prefix: &str, journal: &Journal) -> Result<()> {
    for node in lab.honest() {
        let client = lab.client(&[node], BOUND)?;
        let found = clients::all_below(&client, prefix).await?;
        let judged = journal.judge(&found);
        judged.map_err(|error| error.context(format!("read at node{node}")))?;
    }
    Ok(())
}

/// The most of two.
fn more(one: &mut Most, other: Most) {
    *one = one.max(other);
}
