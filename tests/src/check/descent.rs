//! S1 under HotStuff, seen closer than by histories: what was committed, or might be by anybody who
//! is shown the certificates that exist, is an ancestor of whatever is certified in a later view, be
//! that committed or not. A fork is seen where it begins, and not three certificates later.

use super::{Certified, Check, Proven, Seen};
use crypto::{Digest, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a block.
#[derive(Clone, Copy)]
struct Block {
    parent: Digest,
    view: u64,
    height: u64,
}

/// What was committed in a view, and where this was seen.
#[derive(Clone, Copy)]
struct Commit {
    block: Digest,
    height: u64,
    node: NodeId,
}

/// See the module.
#[derive(Default)]
pub struct Descent {
    blocks: BTreeMap<Digest, Block>,
    /// What was certified in each view. (That it is one block a view is S2.)
    certified: BTreeMap<u64, (Digest, NodeId)>,
    /// By the view of the block. Only what is committed by itself, and not as an ancestor: beside that
    /// others may well have been certified.
    committed: BTreeMap<u64, Commit>,
    /// Views whose certified block has an ancestor that is not known yet.
    unknown: BTreeSet<u64>,
}

impl Descent {
    fn learn(&mut self, digest: Digest, block: Block) -> Result<(), String> {
        if self.blocks.insert(digest, block).is_some() {
            return Ok(());
        }
        let unknown = std::mem::take(&mut self.unknown);
        unknown.into_iter().try_for_each(|view| self.certify(view))
    }
    fn show(&mut self, node: NodeId, it: &Certified) -> Result<(), String> {
        // The first view is where all begin.
        if it.view == 0 || self.certified.contains_key(&it.view) {
            return Ok(());
        }
        self.certified.insert(it.view, (it.block, node));
        self.certify(it.view)
    }
    /// Judges the certificate of a view, and whatever it commits.
    fn certify(&mut self, view: u64) -> Result<(), String> {
        self.judge(view)?;
        let Some(&(block, node)) = self.certified.get(&view) else {
            return Ok(());
        };
        match self.committed_by(&block) {
            Some(Some((block, it))) => self.commit(node, block, it),
            Some(None) => Ok(()),
            None => {
                self.unknown.insert(view);
                Ok(())
            }
        }
    }
    /// What the certificate of a block commits, if anything: the first of three in views that follow each
    /// other. `None` as long as that is not known.
    fn committed_by(&self, block: &Digest) -> Option<Option<(Digest, Block)>> {
        let b0 = self.blocks.get(block)?;
        if b0.height < 3 {
            return Some(None);
        }
        let b1 = self.blocks.get(&b0.parent)?;
        if b1.view + 1 != b0.view {
            return Some(None);
        }
        let b2 = self.blocks.get(&b1.parent)?;
        Some((b2.view + 1 == b1.view).then_some((b1.parent, *b2)))
    }
    fn commit(&mut self, node: NodeId, block: Digest, it: Block) -> Result<(), String> {
        let height = it.height;
        let commit = Commit {
            block,
            height,
            node,
        };
        if let Some(known) = self.committed.get(&it.view) {
            let (same, by, view) = (known.block == block, known.node, it.view);
            let known = known.block;
            let what = || {
                format!(
                    "view {view}: {known:?} is committed at node {by}, {block:?} at node {node}"
                )
            };
            return if same { Ok(()) } else { Err(what()) };
        }
        self.committed.insert(it.view, commit);
        let later: Vec<u64> = self
            .certified
            .range(it.view + 1..)
            .map(|it| *it.0)
            .collect();
        later.into_iter().try_for_each(|view| self.judge(view))
    }
    /// Judges the certificate of a view by the last commit of an earlier one, which descends from all
    /// before it, since it is certified.
    fn judge(&mut self, view: u64) -> Result<(), String> {
        let commit = self.committed.range(..view).next_back();
        let (Some((of, commit)), Some((block, node))) = (commit, self.certified.get(&view)) else {
            return Ok(());
        };
        match self.descends(*block, commit) {
            Some(true) => Ok(()),
            Some(false) => Err(format!(
                "{:?} of view {of} is committed at node {}, and {block:?}, which does not descend from it, \
                 is certified in view {view} at node {node}",
                commit.block, commit.node
            )),
            None => {
                self.unknown.insert(view);
                Ok(())
            }
        }
    }
    /// Whether a block descends from what is committed, as far as that is known.
    fn descends(&self, mut block: Digest, from: &Commit) -> Option<bool> {
        while block != from.block {
            let it = self.blocks.get(&block)?;
            if it.height <= from.height {
                return Some(false);
            }
            block = it.parent;
        }
        Some(true)
    }
    fn proven(&mut self, node: NodeId, it: &Proven) -> Result<(), String> {
        for link in &it.links {
            let block = Block {
                parent: link.parent,
                view: link.view,
                height: link.height,
            };
            self.learn(link.block, block)?;
        }
        // Whether these commit it is S4.
        let [.., b2, _, _] = &it.links[..] else {
            return Ok(());
        };
        self.commit(node, b2.block, self.blocks[&b2.block])
    }
}

impl Check for Descent {
    fn property(&self) -> &'static str {
        "S1"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Stored {
                block,
                parent,
                place: (view, height),
                ..
            } => {
                let (parent, view, height) = (*parent, *view, *height);
                let it = Block {
                    parent,
                    view,
                    height,
                };
                self.learn(*block, it)
            }
            Seen::Committed(node, it) => self.proven(*node, it),
            Seen::Certified(node, it) => self.show(*node, it),
            Seen::Sent {
                node, certified, ..
            } => certified.iter().try_for_each(|it| self.show(*node, it)),
            _ => Ok(()),
        }
    }
}
