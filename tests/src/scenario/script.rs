//! Reads a script, line by line, and writes it with what came of each line.

use super::stage::{Choice, Ends, Stage};
use anyhow::{Context as _, Result, anyhow, bail};
use consensus::{Protocol, Status};
use crypto::{FaultModel, NodeId, Payload, Signature, Statement, Time};
use std::fmt::Write as _;
use std::num::NonZeroU64;

/// What the language has to know of a protocol.
pub trait Spoken: Protocol {
    /// What its nodes may do.
    const FAULTS: FaultModel;
    /// What it calls a view.
    const VIEW: &'static str;
    /// A payload of numbered batches.
    fn payload(batches: &[u64]) -> Payload;
    /// The batches of a payload.
    fn batches(payload: &Payload) -> Vec<u64> {
        payload.references().iter().map(|it| it.number).collect()
    }
    /// A message in one short line.
    fn line(message: &Self::Message) -> String;
    /// What lies on a disk, in one short line.
    fn disk(records: &[Self::Record]) -> String;
    /// Reads what `stored` says.
    ///
    /// # Errors
    /// What is not understood.
    fn stored(words: &[&str]) -> Result<Vec<Self::Record>>;
    /// What a liar says in place of a message, signed; `None`: it has no such lie.
    fn lie(
        _message: &Self::Message,
        _sign: &dyn Fn(&Statement) -> Signature,
    ) -> Option<Self::Message> {
        None
    }
}

/// How the replicas are started.
pub struct Cast<P: Spoken> {
    pub nodes: u16,
    pub tenure: u64,
    pub quorums: Option<(usize, usize)>,
    pub lease: Option<Time>,
    /// Heights between checkpoints.
    pub checkpoints: NonZeroU64,
    pub stored: Vec<(u16, Vec<P::Record>)>,
}

impl<P: Spoken> Default for Cast<P> {
    fn default() -> Self {
        Self {
            nodes: 0,
            tenure: 8192,
            quorums: None,
            lease: None,
            checkpoints: NonZeroU64::new(128).expect("not zero"),
            stored: Vec::new(),
        }
    }
}

/// Plays a script; gives it back with what came of it.
///
/// # Errors
/// Which line is not understood, or cannot be done.
pub fn play<P: Spoken>(script: &str) -> Result<String> {
    let mut cast = Cast::<P>::default();
    let mut stage = None;
    let mut played = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        let Some(command) = line.strip_prefix('>') else {
            if line.is_empty() || line.starts_with('#') {
                writeln!(played, "{line}")?;
            }
            continue;
        };
        writeln!(played, "{line}")?;
        let words: Vec<&str> = command.split_whitespace().collect();
        let done = act(&mut cast, &mut stage, &words);
        let said = done.with_context(|| format!("line {number}: {line}"))?;
        for line in said {
            writeln!(played, "  {line}")?;
        }
    }
    Ok(played)
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| anyhow!("{word} is no number"))
}

fn act<P: Spoken>(
    cast: &mut Cast<P>,
    stage: &mut Option<Stage<P>>,
    words: &[&str],
) -> Result<Vec<String>> {
    match (words, stage.is_some()) {
        (["nodes", n], false) => cast.nodes = number(n)?,
        (["tenure", views], false) => cast.tenure = number(views)?,
        (["quorums", c, e], false) => cast.quorums = Some((number(c)?, number(e)?)),
        (["lease", span], false) => cast.lease = Some(Time::millis(number(span)?)),
        (["checkpoints", every], false) => cast.checkpoints = number(every)?,
        (["stored", node, records @ ..], false) => {
            cast.stored.push((number(node)?, P::stored(records)?));
        }
        _ => {
            if stage.is_none() {
                *stage = Some(Stage::new(cast)?);
            }
            let stage = stage.as_mut().context("it has begun")?;
            perform(stage, words)?;
            return Ok(stage.said());
        }
    }
    Ok(Vec::new())
}

fn perform<P: Spoken>(stage: &mut Stage<P>, words: &[&str]) -> Result<()> {
    match words {
        ["tick", node] => stage.tick(number(node)?),
        ["wait", span] => {
            stage.wait(Time::millis(number(span)?));
            Ok(())
        }
        ["deliver", ends] => stage.deliver(&link(ends)?, &Choice::All),
        ["deliver", ends, which] => stage.deliver(&link(ends)?, &choice(which)),
        ["again", ends] => stage.again(&link(ends)?),
        ["lie", ends] => stage.lie(&link(ends)?, &Choice::All),
        ["lie", ends, which] => stage.lie(&link(ends)?, &choice(which)),
        ["drop", ends] => stage.lose(&link(ends)?, &Choice::All),
        ["drop", ends, which] => stage.lose(&link(ends)?, &choice(which)),
        ["run"] => stage.run(None),
        ["run", nodes @ ..] => {
            let nodes = nodes.iter().map(|it| number(it)).collect::<Result<_>>()?;
            stage.run(Some(nodes))
        }
        ["submit", batch] => stage.submit(number(batch)?, None),
        ["submit", batch, "at", node] => stage.submit(number(batch)?, Some(number(node)?)),
        ["read", node, id] => stage.read(number(node)?, number(id)?),
        ["overdue", node] => stage.overdue(number(node)?),
        ["transfer", node, to] => stage.transfer(number(node)?, NodeId(number(to)?)),
        ["slow", node] => stage.slow(number(node)?),
        ["sync", node] => stage.sync(number(node)?),
        ["crash", node] => stage.crash(number(node)?),
        ["start", node] => stage.start(number(node)?),
        ["show"] => {
            stage.show();
            Ok(())
        }
        _ => bail!("not understood"),
    }
}

fn link(word: &str) -> Result<Ends> {
    let end = |word: &str| match word {
        "*" => Ok(None),
        word => number(word).map(Some),
    };
    match word.split_once('>') {
        Some((from, to)) => Ok(Ends {
            from: end(from)?,
            to: end(to)?,
        }),
        None if word == "*" => Ok(Ends {
            from: None,
            to: None,
        }),
        None => bail!("{word} is no link: 0>1"),
    }
}

fn choice(word: &str) -> Choice {
    match word {
        "last" => Choice::Last,
        name => Choice::Named(name.to_owned()),
    }
}

/// What a replica knows, in one line.
pub fn state<P: Spoken>(status: &Status, disk: &str) -> String {
    let leader = match status.leader {
        Some(leader) => format!("led by {leader}"),
        None => "no leader".to_owned(),
    };
    let (word, view, height) = (P::VIEW, status.view, status.height);
    format!("{word} {view}, {leader}, {height} committed; {disk}")
}

/// Batches in a line.
pub fn batches(numbers: &[u64]) -> String {
    if numbers.is_empty() {
        return "nothing".to_owned();
    }
    let numbers: Vec<String> = numbers.iter().map(|number| format!("#{number}")).collect();
    numbers.join(" ")
}
