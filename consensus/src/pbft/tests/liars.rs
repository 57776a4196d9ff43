//! Members that lie: what they say to whom is chosen here, with their keys.

use super::super::ViewChange;
use super::super::{Assigned, Message, rules, slot};
use super::cluster::Cluster;
use super::craft::{Craft, EVERY, Solo, payload};
use crypto::{Height, Payload, Time, View};
use std::sync::Arc;

/// Liars are down as nodes; the test speaks for them.
fn without(n: u16, liars: &[u16]) -> (Cluster, Craft) {
    let mut cluster = Cluster::new(n);
    liars.iter().for_each(|liar| cluster.crash(*liar));
    (cluster, Craft::new(n))
}

fn say(cluster: &mut Cluster, from: u16, to: &[u16], message: &Message) {
    for node in to {
        cluster.inject(from, *node, message.clone());
    }
}

#[test]
fn an_equivocating_primary_forks_nobody() {
    // How many of the honest get the first payload; the others get the second, or nothing.
    for n in [4u16, 7] {
        let f = (n - 1) / 3;
        let liars: Vec<u16> = (1..=f).collect();
        let honest: Vec<u16> = (0..n).filter(|it| !liars.contains(it)).collect();
        for first in 0..=honest.len() {
            for second_to_others in [false, true] {
                let (mut cluster, craft) = without(n, &liars);
                let (camp, others) = honest.split_at(first);
                let one = craft.assigned(1, 1, &payload(51));
                let two = craft.assigned(1, 1, &payload(52));
                let mut said = vec![(camp, one, payload(51))];
                if second_to_others {
                    said.push((others, two, payload(52)));
                }
                for (to, assigned, payload) in said {
                    let pre_prepare = craft.pre_prepare(1, 1, &payload);
                    say(&mut cluster, 1, to, &pre_prepare);
                    for liar in &liars {
                        if *liar != 1 {
                            say(&mut cluster, *liar, to, &craft.prepare(*liar, assigned));
                        }
                        say(&mut cluster, *liar, to, &craft.commit(*liar, assigned));
                    }
                }
                cluster.submit(1);
                let what = format!("n {n}, {first} of {}", honest.len());
                cluster.run_until(Time::millis(10_000), &what, Cluster::all_done);
                // Agreement is judged at each commit. Whoever was shown both accuses the liar only.
                let accused = cluster.evidence.iter().map(|it| it.node.0);
                assert!(accused.into_iter().all(|node| liars.contains(&node)));
            }
        }
    }
}

/// One honest node alone has seen a commit; the liar, primary of the next view, tries every quorum of
/// view changes that might leave it out.
#[test]
fn what_one_has_committed_is_in_every_new_view() {
    for n in [4u16, 7] {
        let craft = Craft::new(n);
        let q = craft.quorum();
        let assigned = craft.assigned(1, 1, &payload(1));
        let prepared = craft.prepared_by(assigned, &craft.first());
        // Prepared by the first q, of whom up to f lie about it now.
        let change = |node: u16| {
            let f = craft.quorums.f as u16;
            let knows = (node as usize) < q && node >= f;
            let shown: &[_] = if knows {
                std::slice::from_ref(&prepared)
            } else {
                &[]
            };
            craft.change(node, 2, 0, shown)
        };
        for chosen in subsets(n, q) {
            let changes: Vec<ViewChange> = chosen.into_iter().map(change).collect();
            let said: Vec<_> = changes.iter().map(|it| &it.change).collect();
            assert_eq!(rules::carried_over(&said), [assigned.digest]);
        }
    }
}

fn subsets(n: u16, size: usize) -> Vec<Vec<u16>> {
    let all = 0u32..1 << n;
    let members = |set: u32| (0..n).filter(move |i| set >> i & 1 == 1).collect();
    all.filter(|set| set.count_ones() as usize == size)
        .map(members)
        .collect()
}

#[test]
fn a_view_opened_twice_by_a_liar_leads_to_no_fork() {
    for n in [4u16, 7] {
        // The primary of view 2 lies.
        let liar = 2;
        let (mut cluster, craft) = without(n, &[liar]);
        cluster.submit(1);
        cluster.run(Time::millis(5));
        let honest: Vec<u16> = (0..n).filter(|it| *it != liar).collect();
        let q = craft.quorum();
        let slots: Vec<_> = (1..=cluster.height(0))
            .filter_map(|h| cluster.protocol(0).log.get(Height(h))?.prepared.clone())
            .collect();
        let (a, b) = honest.split_at(honest.len() / 2);
        for (camp, members) in [(a, &honest[..q]), (b, &honest[honest.len() - q..])] {
            let changes: Vec<_> = members
                .iter()
                .map(|node| craft.change(*node, 2, 0, &slots))
                .collect();
            let opened = Message::NewView(Arc::new(craft.new_view(2, &changes)));
            say(&mut cluster, liar, camp, &opened);
            let next = craft.pre_prepare(2, 2, &payload(u64::from(camp[0]) + 60));
            say(&mut cluster, liar, camp, &next);
        }
        cluster.submit(2);
        let what = format!("n {n}");
        cluster.run_until(Time::millis(10_000), &what, Cluster::all_done);
    }
}

#[test]
fn a_liar_that_claims_to_have_prepared_what_nobody_did_is_not_believed() {
    for n in [4u16, 7] {
        let mut solo = Solo::start(n, 0);
        let craft = Craft::new(n);
        let f = craft.quorums.f as u16;
        // As many signatures as liars can make: theirs, and one repeated.
        let assigned = craft.assigned(1, 1, &payload(66));
        let liars: Vec<u16> = (1..=f).collect();
        let fake = craft.prepared_by(assigned, &liars);
        let message = craft.view_change(1, 2, 0, &[fake]);
        assert!(solo.try_deliver(1, message).is_err());
        let checkpoint = {
            let mut stable = (*craft.stable(EVERY)).clone();
            stable.state = slot::null();
            Arc::new(stable)
        };
        let reached = super::super::message::Reached::Stable(checkpoint);
        assert!(solo.try_deliver(1, Message::Certificate(reached)).is_err());
        assert_eq!(solo.replica.log.low(), Height(0));
    }
}

#[test]
fn a_certificate_seen_elsewhere_convicts_an_equivocating_primary() {
    for n in [4, 7] {
        let mut solo = Solo::start(n, 0);
        solo.pre_prepare(1, 1, &payload(1));
        let other = solo.craft.prepared_at(1, 1, 2);
        let shown = super::super::message::Reached::Prepared(other);
        solo.deliver(3, Message::Certificate(shown));
        assert_eq!(solo.evidence.len(), 1);
        assert_eq!(solo.evidence[0].node.0, 1);
        solo.evidence[0].check(&solo.craft.verifier).unwrap();
        // What q have prepared is what may be committed.
        assert!(solo.said("commit").is_empty());
        let assigned: Assigned = solo.craft.assigned(1, 1, &payload(2));
        assert_eq!(
            solo.replica
                .log
                .get(Height(1))
                .unwrap()
                .prepared
                .as_ref()
                .unwrap()
                .assigned,
            assigned
        );
    }
}

/// A primary that orders nothing but null slots serves nobody.
#[test]
fn a_primary_that_orders_nothing_is_deposed() {
    for n in [4u16, 7] {
        let (mut cluster, craft) = without(n, &[1]);
        cluster.submit(1);
        for height in 1..=6 {
            let message = craft.pre_prepare(1, height, &Payload::EMPTY);
            let honest: Vec<u16> = (0..n).filter(|it| *it != 1).collect();
            say(&mut cluster, 1, &honest, &message);
            let assigned = craft.assigned(1, height, &Payload::EMPTY);
            say(&mut cluster, 1, &honest, &craft.commit(1, assigned));
            cluster.run(Time::millis(100));
        }
        cluster.run_until(Time::millis(2_000), "commit", Cluster::all_done);
        assert!(cluster.protocol(0).view >= View(2));
    }
}

/// Whoever keeps new views from arriving drives all timers up (Computer Journal 2024, bxae027). One
/// commit later a dead primary costs no more than it did before.
#[test]
fn after_timers_were_driven_up_a_dead_primary_costs_as_little_as_before() {
    for n in [4u16, 7] {
        let mut cluster = Cluster::new(n);
        cluster.submit(1);
        cluster.run(Time::millis(20));
        cluster.crash(1);
        cluster.filter = Some(Box::new(|_, _, it| {
            matches!(it, Message::NewView(_) | Message::Opened(_))
        }));
        cluster.submit(2);
        cluster.run(Time::millis(20_000));
        let grown = (0..n)
            .filter(|i| *i != 1)
            .map(|i| cluster.protocol(i).timers.span());
        assert!(grown.min() >= Some(Time::millis(2_000)), "n {n}");
        cluster.heal();
        cluster.run_until(Time::millis(60_000), "commit", Cluster::all_done);
        cluster.start(1);
        cluster.submit(3);
        cluster.run_until(Time::millis(5_000), "commit", Cluster::all_done);
        cluster.run(Time::millis(2_000));
        let view = cluster.protocol(0).view;
        let primary = Craft::new(n).primary(view.0);
        cluster.crash(primary);
        cluster.submit(4);
        cluster.run_until(Time::millis(1_000), "as before", Cluster::all_done);
    }
}
