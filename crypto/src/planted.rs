//! Planted bugs: each is one line of production code behind `--cfg planted`, which no manifest
//! sets, chosen at run time. The simulator has to find every one of them, or its checks prove
//! nothing. Without the cfg, [`planted!`](crate::planted) is `false`.

#[cfg(all(planted, not(debug_assertions)))]
compile_error!("planted bugs are for tests: build them with debug assertions");

/// Whether a bug is planted and chosen: `planted!(VoteTwice)`.
#[cfg(planted)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is($crate::planted::Bug::$bug)
    };
}

/// Whether a bug is planted and chosen: `planted!(VoteTwice)`.
#[cfg(not(planted))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(planted)]
pub use chosen::{ALL, Bug, choose, is};

#[cfg(planted)]
mod chosen {
    use std::cell::Cell;

    macro_rules! bugs {
        ($($(#[$doc:meta])* $name:ident,)*) => {
            /// What can be planted.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Bug { $($(#[$doc])* $name,)* }
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$name,)*];
        };
    }

    bugs! {
        /// Gate: messages leave before what they rely on is durable.
        SendBeforeDurable,
        /// Guard: a second statement for an occupied slot is signed.
        SignTwice,
        /// Guard: what was promised is forgotten by a restart.
        ForgetPromises,
        /// HotStuff: votes regardless of the view last voted in.
        VoteAgain,
        /// HotStuff: the lock is never taken.
        NoLock,
        /// HotStuff: the commit rule without consecutive views.
        CommitGaps,
        /// HotStuff: commits what is certified once.
        CommitEarly,
        /// HotStuff: the view starts at 1 after a restart.
        ForgetView,
        /// HotStuff: timeouts are sent once and never again.
        NoResend,
        /// HotStuff: a timeout certificate's leader proposes on any certificate.
        ForgetHighest,
        /// Mempool: a payload is held before it is.
        VoteBlind,
        /// Mempool: what is missing is never asked for.
        NoFetch,
        /// Storage: the session check is skipped.
        ExecuteTwice,
        /// Storage: the state digest depends on the node's history of restarts.
        DigestDrifts,
        /// Storage: answers before the sync.
        AnswerBeforeSync,
        /// Engine: a client is answered before his transaction is committed.
        AckEarly,
        /// Engine: a replica counts a quorum one short.
        ShortQuorum,
    }

    thread_local! {
        static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Chooses the bug of this thread, or none.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.set(bug);
    }
    /// Whether this one is chosen.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get() == Some(bug)
    }
}
