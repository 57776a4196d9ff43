//! Planted bugs: each is one line of production code behind `--cfg planted`, which no manifest
//! sets, chosen at run time. The simulator has to find every one of them, or its checks prove
//! nothing. Without the cfg, [`planted!`](crate::planted) is `false`.

#[cfg(all(planted, not(debug_assertions)))]
compile_error!("planted bugs are for tests: build them with debug assertions");

/// Whether one of these bugs is planted and chosen: `planted!(SignTwice | Equivocate)`.
#[cfg(planted)]
#[macro_export]
macro_rules! planted {
    ($($bug:ident)|+) => {
        $($crate::planted::is($crate::planted::Bug::$bug))||+
    };
}

/// Whether one of these bugs is planted and chosen: `planted!(SignTwice | Equivocate)`.
#[cfg(not(planted))]
#[macro_export]
macro_rules! planted {
    ($($bug:ident)|+) => {
        false
    };
}

#[cfg(planted)]
pub use chosen::{ALL, Bug, choose, is};

#[cfg(planted)]
mod chosen {
    use std::cell::Cell;
    use std::sync::LazyLock;

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
        /// Quorums are one short.
        ShortQuorum,
        /// Gate: messages leave before what they rely on is durable.
        SendBeforeDurable,
        /// Recovery: what was promised and proposed is forgotten.
        ForgetPromises,
        /// HotStuff and guard: a leader proposes again after a restart, and both are signed.
        SignTwice,
        /// HotStuff and guard: a leader proposes twice in each view, and both are voted for.
        Equivocate,
        /// HotStuff and guard: votes go on in a tenure that was given up.
        VoteAfterTimeout,
        /// HotStuff: the highest certificate in a timeout certificate is not taken over.
        ForgetHighest,
        /// HotStuff: the highest certificate in a timeout is not taken over.
        IgnoreShown,
        /// HotStuff: a block that a timeout certificate admits may lie below its highest certificate.
        BuildBelow,
        /// HotStuff: votes are given against the lock.
        ForgetLock,
        /// HotStuff: both of the former, since either rule keeps members in agreement without the other.
        VoteFreely,
        /// HotStuff: an older certificate lowers the lock.
        LowerLock,
        /// HotStuff: the commit rule without consecutive views.
        CommitGaps,
        /// HotStuff: what is certified is committed.
        CommitEarly,
        /// HotStuff: a restart forgets by which timeout certificate the view was entered.
        ForgetView,
        /// HotStuff: blocks that one certificate commits come newest first.
        CommitBackwards,
        /// HotStuff: which block of a height was committed is not stored.
        ForgetBranch,
        /// HotStuff: a timeout that nobody heard is not said again.
        SayOnce,
        /// Evidence: statements of two views are taken for two statements of one.
        Slander,
        /// HotStuff: who lags is not answered.
        NoHelp,
        /// HotStuff: who asks for blocks is not answered. Raft: who lacks old entries gets none.
        NoCatchUp,
        /// A read asks nobody else.
        ReadAlone,
        /// Raft: a second candidate gets the vote of the same term.
        VoteTwice,
        /// Raft: a candidate whose log lacks what is committed gets the vote.
        AnyLog,
        /// Raft: entries of former terms are committed by counting (figure 8).
        CommitOldTerm,
        /// Raft: a term begins without an entry of its own.
        BeginBare,
        /// Raft: a leader counts itself before its own disk has the entry.
        CountUnsynced,
        /// Raft: an old answer moves the match index back, and with it what is sent.
        MatchMovesBack,
        /// Raft: entries that are here already are cut and written anew.
        CutAlways,
        /// Raft: a leader answers reads before it has committed an entry of its term.
        ReadEarly,
        /// Raft: a follower commits whatever its leader has, be it the same entry or not.
        CommitBlind,
        /// Raft: a lease that was once held does not end by time.
        LeaseForever,
        /// Raft: what was sent to a follower counts as held by it.
        CountSent,
        /// PBFT: whatever is accepted counts as prepared.
        CommitUnprepared,
        /// PBFT: a view change leaves out what was prepared.
        DropPrepared,
        /// PBFT: a new view carries the certificate of the lowest view over, not of the highest.
        CarryLowest,
        /// PBFT: a primary carries nothing over, and what it says of a new view is not computed again.
        TrustNewView,
        /// PBFT and guard: who has asked for a higher view goes on in the lower one.
        GoOnAfterChange,
        /// PBFT: one view change is enough to join.
        JoinAnyone,
        /// PBFT: a restart forgets what was prepared up to the last commit.
        ForgetPrepared,
        /// PBFT: a restart forgets which checkpoint was shown to be stable.
        ForgetStable,
        /// PBFT: commits that come before their pre-prepare are lost.
        DropEarlyCommits,
        /// Evidence: every statement of every member is remembered for ever.
        HoardStatements,
        /// HotStuff: votes of views long past are kept. PBFT: stable slots are kept.
        HoardVotes,
        /// Mempool: as many transactions are taken as come.
        EndlessPool,
        /// Checks: every signature is genuine.
        BelieveSignatures,
        /// Checks: a certificate needs no quorum.
        BelieveFew,
        /// PBFT: slots are kept however far above the window.
        EndlessWindow,
        /// Mempool: no leader offers what a certain client signs.
        Censor,
        /// HotStuff and PBFT: a leader that leaves a batch out for too long is kept.
        IgnoreOverdue,
        /// Mempool: what a peer says of its clients' signatures is believed.
        BelieveClients,
        /// HotStuff and PBFT: what is fetched need not hold the payload that is certified.
        BelieveAnswers,
        /// Mempool: a block may hold no batch that expires more than a lifetime ahead, though leaders order it.
        RefuseLate,
        /// Engine: the operator is told nothing.
        SayNothing,
        /// Engine: the operator is told of a standstill while all goes well.
        CryWolf,
        /// Engine: every node has a state of its own. Found by the first seed, or the hunt is at fault.
        Canary,
        /// Mempool: a vote is given for payload that is not held.
        VoteBlind,
        /// Mempool: what is missing is never asked for.
        NoFetch,
        /// Engine: batches are kept in memory only.
        StoreNothing,
        /// Engine: heights are executed before they are in the log.
        ExecuteEarly,
        /// Storage: the log is not synced, nor the safety file written.
        AnswerBeforeSync,
        /// Storage: the state goes to disk before the log.
        StateAhead,
        /// Storage: who asks again is told another place than the first time.
        MisquoteReceipt,
        /// Storage: the session check is skipped.
        ExecuteTwice,
        /// Storage: who was idle for a moment is forgotten.
        ForgetSessions,
        /// Storage: a restart counts revisions anew.
        DigestDrifts,
    }

    thread_local! {
        static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    }
    /// What a unit test is run with, which chooses nothing itself: `QUORATE_PLANTED=SayOnce`.
    // No program that is shipped has this module.
    #[allow(clippy::disallowed_methods)]
    static OF_THE_PROCESS: LazyLock<Option<Bug>> = LazyLock::new(|| {
        let name = std::env::var("QUORATE_PLANTED").ok()?;
        let found = ALL.iter().copied().find(|bug| format!("{bug:?}") == name);
        Some(found.unwrap_or_else(|| panic!("no bug is called {name}")))
    });

    /// Chooses the bug of this thread, or none.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.set(bug);
    }
    /// Whether this one is chosen.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get().or(*OF_THE_PROCESS) == Some(bug)
    }
}
