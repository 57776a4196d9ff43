//! S6: a node's view never goes backwards as long as it runs; across restarts neither the view of
//! its newest promise goes backwards, nor its committed height below what it had executed durably; and
//! of its votes neither views nor locks ever do. Nor is one given to a block below its own lock, or
//! below what those show who gave the tenure before up: either rule alone keeps members in agreement,
//! so S1 does not see that one of them is missing.

use super::{Check, Footing, Report, Seen};
use crypto::NodeId;

/// What a node may not fall behind.
#[derive(Clone, Default)]
struct Node {
    view: u64,
    height: u64,
    /// Highest view of an own vote that left, in any life.
    voted: u64,
    /// Highest tenure of an own timeout that left, in any life.
    gave_up: Option<u64>,
    /// View and lock of the newest vote that it stored, if those have locks.
    stored: Option<(u64, u64)>,
    /// The same of the newest one that left: that is on disk.
    released: Option<(u64, u64)>,
}

/// See the module.
pub struct Monotone {
    /// Views of a tenure.
    tenure: u64,
    nodes: Vec<Node>,
}

impl Monotone {
    /// For this many nodes, and tenures of this many views.
    #[must_use]
    pub fn new(nodes: usize, tenure: u64) -> Self {
        Self {
            tenure,
            nodes: vec![Node::default(); nodes],
        }
    }
    fn started(&mut self, id: NodeId, report: &Report) -> Result<(), String> {
        let node = &mut self.nodes[id.index()];
        if report.view < node.voted {
            return Err(format!(
                "node {id} starts in view {} below view {} in which it voted",
                report.view, node.voted
            ));
        }
        if let Some(tenure) = node.gave_up
            && report.view / self.tenure < tenure
        {
            return Err(format!(
                "node {id} starts in view {} below tenure {tenure}, which it gave up",
                report.view
            ));
        }
        if report.height < report.state_height {
            return Err(format!(
                "node {id} starts at height {} below its durable state of height {}",
                report.height, report.state_height
            ));
        }
        (node.view, node.height) = (report.view, report.height.0);
        Ok(())
    }
    fn reported(&mut self, id: NodeId, report: &Report) -> Result<(), String> {
        let node = &mut self.nodes[id.index()];
        if report.view < node.view || report.height.0 < node.height {
            return Err(format!(
                "node {id} went from view {}, height {} back to view {}, height {}",
                node.view, node.height, report.view, report.height
            ));
        }
        (node.view, node.height) = (report.view, report.height.0);
        Ok(())
    }
    fn stored(&mut self, id: NodeId, view: u64, it: &Footing) -> Result<(), String> {
        let Footing {
            lock,
            parent,
            shown,
        } = *it;
        if parent < lock || shown.is_some_and(|shown| parent < shown) {
            return Err(format!(
                "node {id} votes in view {view} for a block on a certificate of view {parent}, with a \
                 lock of view {lock}, and {shown:?} shown by those who gave up"
            ));
        }
        let node = &mut self.nodes[id.index()];
        let vote = (view, lock);
        let before = node.stored.replace(vote);
        match before {
            Some(before) if vote.0 < before.0 || vote.1 < before.1 => Err(format!(
                "node {id} votes in view {} with a lock of view {}, after view {} with one of {}",
                vote.0, vote.1, before.0, before.1
            )),
            _ => Ok(()),
        }
    }
}

impl Check for Monotone {
    fn property(&self) -> &'static str {
        "S6"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Started(id, report) => self.started(*id, report),
            Seen::Reported(id, report) => self.reported(*id, report),
            Seen::Voted {
                node,
                view,
                footing: Some(footing),
            } => self.stored(*node, *view, footing),
            Seen::Stopped(id) => {
                let node = &mut self.nodes[id.index()];
                node.stored = node.released;
                Ok(())
            }
            Seen::Sent {
                node: id, promises, ..
            } => {
                let node = &mut self.nodes[id.index()];
                for promise in promises.iter().filter(|p| p.signer == *id) {
                    match promise.slot.kind {
                        "vote" | "grant" | "prepare" | "commit" => {
                            let view = promise.slot.view;
                            node.voted = node.voted.max(view);
                            if node.stored.is_some_and(|it| it.0 == view) {
                                node.released = node.stored;
                            }
                        }
                        "timeout" | "view_change" => {
                            node.gave_up = node.gave_up.max(Some(promise.slot.view));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
