//! The normal case: what is submitted commits, then silence.

use super::cluster::Cluster;
use crypto::Time;

#[test]
fn payload_commits_everywhere() {
    for n in [1, 2, 3, 4, 5, 6, 7, 10] {
        let mut cluster = Cluster::new(n);
        for number in 1..=20 {
            cluster.submit(number);
            cluster.run(Time::millis(2));
            let statuses = cluster.statuses();
            let waiting = statuses
                .iter()
                .find_map(|status| status.as_ref()?.waiting.clone());
            assert_eq!(waiting, None, "n {n}: nothing to say while all goes well");
        }
        cluster.run_until(Time::millis(100), "commit", Cluster::all_done);
        assert!(cluster.views().iter().all(|view| *view == 1));
    }
}

#[test]
fn one_payload_takes_three_phases_and_then_all_is_silent() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        cluster.run(Time::millis(5000));
        assert!(
            cluster.spoken().is_empty(),
            "an idle cluster sends nothing: {:?}",
            cluster.sent
        );
        cluster.submit(1);
        cluster.run(Time::millis(20));
        assert!(cluster.all_done());
        let others = u64::from(n - 1);
        let sent = cluster.sent.clone();
        assert_eq!(sent["pre_prepare"], others);
        assert_eq!(sent["prepare"], others * others, "the primary sends none");
        assert_eq!(sent["commit"], others * u64::from(n));
        let spoken = cluster.spoken();
        cluster.run(Time::millis(60_000));
        assert_eq!(cluster.spoken(), spoken, "idle again");
    }
}

#[test]
fn checkpoints_move_the_watermarks_under_load() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        for number in 1..=200 {
            cluster.submit(number);
            cluster.run(Time::millis(2));
        }
        cluster.run_until(Time::millis(500), "commit", Cluster::all_done);
        cluster.run(Time::millis(20));
        for i in 0..n {
            let log = &cluster.protocol(i).log;
            assert!(log.committed().0 > 40, "{}", log.committed());
            assert!(log.committed().0 - log.low().0 < 2 * super::craft::EVERY);
            assert!(log.slots().count() <= 2 * super::craft::EVERY as usize);
        }
    }
}

#[test]
fn while_all_goes_well_nothing_is_said_twice() {
    for n in [4, 7] {
        let mut cluster = Cluster::new(n);
        for number in 1..=200 {
            cluster.submit(number);
            cluster.run(Time::millis(5));
        }
        cluster.run_until(Time::millis(500), "commit", Cluster::all_done);
        let (slots, others) = (cluster.height(0), u64::from(n - 1));
        assert_eq!(cluster.sent["pre_prepare"], slots * others);
        assert_eq!(cluster.sent["prepare"], slots * others * others);
        assert_eq!(cluster.sent["commit"], slots * others * u64::from(n));
        let asked = cluster.sent.get("ask_progress").copied().unwrap_or(0);
        assert!(asked <= others * u64::from(n), "but at the start: {asked}");
    }
}
