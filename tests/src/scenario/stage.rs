//! All replicas of a scenario, and what is under way between them.

use super::replicas::{Actor, Company};
use super::script::{Cast, Spoken, batches, state};
use anyhow::{Context as _, Result, bail, ensure};
use consensus::replica::{Effect, ReplicaInput, Wire};
use consensus::{Input, Loaded, ReadId, To};
use crypto::{Digest, NodeId, Time, codec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// More messages than any script needs: whoever says more talks in circles.
const MOST_MESSAGES: usize = 10_000;

/// Between whom; `None`: anybody.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub from: Option<u16>,
    pub to: Option<u16>,
}

/// Which of the messages under way.
#[derive(Clone, Debug)]
pub enum Choice {
    All,
    Last,
    Named(String),
}

struct Way<P: Spoken> {
    from: u16,
    to: u16,
    message: Arc<Wire<P::Message>>,
}

/// See the module.
pub struct Stage<P: Spoken> {
    company: Company,
    actors: Vec<Actor<P>>,
    now: Time,
    under_way: Vec<Way<P>>,
    /// What arrived last on each link.
    arrived: BTreeMap<(u16, u16), Arc<Wire<P::Message>>>,
    todo: VecDeque<(u16, ReplicaInput<P>)>,
    said: Vec<String>,
    /// Messages are not shown.
    quiet: bool,
}

impl<P: Spoken> Stage<P> {
    pub fn new(cast: &Cast<P>) -> Result<Self> {
        ensure!(cast.nodes > 0, "`nodes` comes first");
        let company = Company::new(cast)?;
        let stored = |i: u16| {
            let own = cast.stored.iter().filter(|(node, _)| *node == i);
            own.flat_map(|(_, records)| records.clone()).collect()
        };
        let mut stage = Self {
            actors: (0..cast.nodes).map(|i| Actor::new(stored(i))).collect(),
            company,
            now: Time(0),
            under_way: Vec::new(),
            arrived: BTreeMap::new(),
            todo: VecDeque::new(),
            said: Vec::new(),
            quiet: false,
        };
        for i in 0..cast.nodes {
            let effects = stage.actors[usize::from(i)].start(i, &stage.company, stage.now)?;
            stage.take(i, effects)?;
        }
        stage.settle()?;
        Ok(stage)
    }
    /// What was said since the last time.
    pub fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
    fn say(&mut self, line: String) {
        self.said.push(line);
    }

    // ---- what a script does ----

    pub fn tick(&mut self, i: u16) -> Result<()> {
        let shell = self.actor(i)?.shell.as_ref().context("it is down")?;
        let at = shell.deadline().context("it waits for no time")?;
        self.now = self.now.max(at);
        self.put_in(i, Input::Tick)
    }
    pub fn wait(&mut self, span: Time) {
        self.now = self.now.plus(span);
    }
    pub fn deliver(&mut self, ends: &Ends, which: &Choice) -> Result<()> {
        let chosen = self.choose(ends, which)?;
        for way in chosen {
            self.arrive(&way)?;
        }
        Ok(())
    }
    pub fn again(&mut self, ends: &Ends) -> Result<()> {
        let (Some(from), Some(to)) = (ends.from, ends.to) else {
            bail!("of which link?");
        };
        let last = self
            .arrived
            .get(&(from, to))
            .context("nothing arrived yet")?;
        let message = Arc::clone(last);
        self.arrive(&Way { from, to, message })
    }
    pub fn lose(&mut self, ends: &Ends, which: &Choice) -> Result<()> {
        self.choose(ends, which).map(drop)
    }
    /// The sender says something else than what is under way, and it arrives.
    pub fn lie(&mut self, ends: &Ends, which: &Choice) -> Result<()> {
        for way in self.choose(ends, which)? {
            let Wire::Protocol(message) = &*way.message else {
                bail!("only messages of the protocol are lied in");
            };
            let signer = self.company.signer(way.from);
            let lie = P::lie(message, &|statement| signer.sign(statement));
            let lie = lie.context("nobody knows how to lie so")?;
            self.say(format!("{} > {}: {}", way.from, way.to, P::line(&lie)));
            let message = Arc::new(Wire::Protocol(lie));
            self.arrive(&Way { message, ..way })?;
        }
        Ok(())
    }
    pub fn run(&mut self, among: Option<BTreeSet<u16>>) -> Result<()> {
        let inside = |node: u16| among.as_ref().is_none_or(|it| it.contains(&node));
        self.quiet = true;
        let mut count = 0;
        loop {
            self.under_way
                .retain(|it| !inside(it.from) || inside(it.to));
            let next = self.under_way.iter().position(|it| inside(it.from));
            let Some(next) = next else { break };
            let way = self.under_way.remove(next);
            self.arrive(&way)?;
            count += 1;
            ensure!(count < MOST_MESSAGES, "they talk in circles");
        }
        self.quiet = false;
        Ok(())
    }
    pub fn submit(&mut self, batch: u64, at: Option<u16>) -> Result<()> {
        let nodes: Vec<u16> = match at {
            Some(node) => vec![node],
            None => (0..self.company.n()).collect(),
        };
        for node in nodes {
            self.actor(node)?.pool.insert(batch);
            self.put_in(
                node,
                Input::Pending {
                    oldest: Some(self.now),
                },
            )?;
        }
        Ok(())
    }
    pub fn read(&mut self, i: u16, id: u64) -> Result<()> {
        self.put_in(i, Input::Read { id: ReadId(id) })
    }
    pub fn overdue(&mut self, i: u16) -> Result<()> {
        // Which batch it is changes nothing.
        let batch = P::payload(&[1]).references()[0];
        self.put_in(i, Input::Overdue { batch })
    }
    pub fn transfer(&mut self, i: u16, to: NodeId) -> Result<()> {
        self.put_in(i, Input::Transfer { to: Some(to) })
    }
    pub fn slow(&mut self, i: u16) -> Result<()> {
        self.actor(i)?.slow = true;
        Ok(())
    }
    /// It stays slow afterwards.
    pub fn sync(&mut self, i: u16) -> Result<()> {
        let actor = self.actor(i)?;
        actor.slow = false;
        let fence = actor.synced();
        actor.slow = true;
        if let Some(fence) = fence {
            self.todo.push_back((i, ReplicaInput::Durable(fence)));
        }
        self.settle()
    }
    pub fn crash(&mut self, i: u16) -> Result<()> {
        self.actor(i)?.crash();
        self.under_way.retain(|it| it.to != i);
        Ok(())
    }
    pub fn start(&mut self, i: u16) -> Result<()> {
        self.actor(i)?;
        let effects = self.actors[usize::from(i)].start(i, &self.company, self.now)?;
        self.take(i, effects)?;
        for j in (0..self.company.n()).filter(|j| *j != i) {
            if self.actors[usize::from(j)].shell.is_some() {
                self.put_in(i, Input::Connected { peer: NodeId(j) })?;
                self.put_in(j, Input::Connected { peer: NodeId(i) })?;
            }
        }
        self.tell_pending(i);
        self.settle()
    }
    pub fn show(&mut self) {
        for (i, actor) in self.actors.iter().enumerate() {
            let line = match &actor.shell {
                Some(shell) => state::<P>(&shell.status(), &actor.line()),
                None => format!("down; {}", actor.line()),
            };
            self.said.push(format!("{i}: {line}"));
        }
    }

    // ---- what comes of it ----

    fn actor(&mut self, i: u16) -> Result<&mut Actor<P>> {
        let actor = self.actors.get_mut(usize::from(i));
        actor.with_context(|| format!("there is no replica {i}"))
    }
    fn choose(&mut self, ends: &Ends, which: &Choice) -> Result<Vec<Way<P>>> {
        let wanted = |way: &Way<P>| {
            let name = match which {
                Choice::Named(name) => way.message.name() == name,
                Choice::All | Choice::Last => true,
            };
            let from = ends.from.is_none_or(|it| it == way.from);
            name && from && ends.to.is_none_or(|it| it == way.to)
        };
        let all = std::mem::take(&mut self.under_way).into_iter();
        let (mut chosen, rest): (Vec<_>, Vec<_>) = all.partition(wanted);
        self.under_way = rest;
        ensure!(!chosen.is_empty(), "no such message is under way");
        if matches!(which, Choice::Last) {
            let last = chosen.pop();
            self.under_way.splice(0..0, chosen);
            chosen = last.into_iter().collect();
        }
        Ok(chosen)
    }
    fn arrive(&mut self, way: &Way<P>) -> Result<()> {
        let (from, to) = (way.from, way.to);
        self.arrived.insert((from, to), Arc::clone(&way.message));
        let Some(shell) = &self.actor(to)?.shell else {
            return Ok(());
        };
        let views = shell.window().views;
        let position = way.message.position();
        if position.is_some_and(|(view, _)| view < views.0 || view > views.1) {
            self.say(format!("{to} has no more use for what {from} says"));
            return Ok(());
        }
        // Over the codec, as in life.
        let message = codec::decode(&codec::encode(&*way.message))?;
        match ReplicaInput::verify(NodeId(from), message, &self.company.verifier) {
            Ok(input) => self.todo.push_back((to, input)),
            Err(reject) => self.say(format!("{to} refuses what {from} says: {reject}")),
        }
        self.settle()
    }
    fn put_in(&mut self, i: u16, input: Input<P>) -> Result<()> {
        self.actor(i)?;
        self.todo.push_back((i, ReplicaInput::Protocol(input)));
        self.settle()
    }
    fn settle(&mut self) -> Result<()> {
        while let Some((i, input)) = self.todo.pop_front() {
            let mut effects = Vec::new();
            if let Some(shell) = &mut self.actors[usize::from(i)].shell {
                shell.step(self.now, input, &mut effects);
            }
            self.take(i, effects)?;
        }
        Ok(())
    }
    fn take(&mut self, i: u16, effects: Vec<Effect<P>>) -> Result<()> {
        for effect in effects {
            self.effect(i, effect)?;
        }
        if let Some(fence) = self.actors[usize::from(i)].synced() {
            self.todo.push_back((i, ReplicaInput::Durable(fence)));
        }
        Ok(())
    }
    fn effect(&mut self, i: u16, effect: Effect<P>) -> Result<()> {
        let mut answer = |input| self.todo.push_back((i, ReplicaInput::Protocol(input)));
        let actor = &mut self.actors[usize::from(i)];
        match effect {
            Effect::Write { fence, ops, sync } => actor.write(fence, ops, sync),
            Effect::WantPayload {
                ticket, exclude, ..
            } => {
                let mut waiting = actor.waiting();
                waiting.retain(|number| !exclude.contains(&digest::<P>(*number)));
                let payload = P::payload(&waiting);
                answer(Input::Payload { ticket, payload });
            }
            Effect::CheckPayload { block, .. } => answer(Input::Checked {
                block,
                held: Ok(()),
            }),
            Effect::Load { token, which } => {
                let records = actor.load(&which);
                answer(Input::Loaded(Loaded { token, records }));
            }
            Effect::Send { to, message } => self.send(i, to, &message),
            Effect::Commit { committed: it, .. } => {
                let (height, numbers) = (it.height, P::batches(&it.payload));
                actor.commit(&numbers);
                answer(Input::Executed {
                    height,
                    state: it.history,
                });
                self.tell_pending(i);
                self.say(format!("{i} commits {height}: {}", batches(&numbers)));
            }
            Effect::Return(payload) => {
                let numbers = batches(&P::batches(&payload));
                self.say(format!("{i} gives back {numbers}"));
            }
            Effect::Read(id, Ok(height)) => {
                self.say(format!("{i} answers read {} at {height}", id.0))
            }
            Effect::Read(id, Err(why)) => self.say(format!("{i} fails read {}: {why:?}", id.0)),
            Effect::Leader(leader) if leader == NodeId(i) => self.say(format!("{i} leads")),
            Effect::Leader(leader) => self.say(format!("{i} follows {leader}")),
            Effect::Reject(from, reject) => {
                self.say(format!("{i} rejects what {from} said: {reject}"))
            }
            Effect::Evidence(it) => self.say(format!("{i} has evidence against {}", it.node)),
            Effect::Behind { target, .. } => self.say(format!("{i} needs the state at {target}")),
            Effect::Halt(why) => bail!("{i} stops: {why}"),
            Effect::Stable(it) => self.say(format!("{i} has height {} stable", it.height)),
            Effect::DropCheck(_) => {}
        }
        Ok(())
    }
    fn tell_pending(&mut self, i: u16) {
        let waits = !self.actors[usize::from(i)].waiting().is_empty();
        let oldest = waits.then_some(self.now);
        let input = ReplicaInput::Protocol(Input::Pending { oldest });
        self.todo.push_back((i, input));
    }
    fn send(&mut self, from: u16, to: To, message: &Arc<Wire<P::Message>>) {
        let (name, peers): (String, Vec<u16>) = match to {
            To::One(node) => (node.to_string(), vec![node.0]),
            _ => {
                let others = (0..self.company.n()).filter(|j| *j != from);
                ("all".to_owned(), others.collect())
            }
        };
        if let Wire::Protocol(inner) = &**message
            && !self.quiet
        {
            self.say(format!("{from} > {name}: {}", P::line(inner)));
        }
        self.under_way.extend(peers.into_iter().map(|to| Way {
            from,
            to,
            message: Arc::clone(message),
        }));
    }
}

/// The digest of a numbered batch, as uncommitted ancestors are named by.
fn digest<P: Spoken>(number: u64) -> Digest {
    P::payload(&[number]).references()[0].digest
}
