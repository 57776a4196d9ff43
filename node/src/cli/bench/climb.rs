//! Step by step up to what a cluster carries: the knee of the curve of latency over throughput.

use super::report::Report;
use super::{Args, Target, measure};
use crate::cli::output::progress;
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// The first step, in requests a second.
const FIRST: f64 = 250.0;
/// How much faster each step is, until one is too much.
const FACTOR: f64 = 1.5;
/// Steps between the last rate that was carried and the first that was not.
const REFINEMENTS: usize = 2;
/// More would be a mistake in the measurement.
const MOST: usize = 40;
/// What an overload left in queues drains in.
const REST: Duration = Duration::from_secs(2);

/// The steps in the order in which they were made.
pub(super) struct Climb {
    steps: Vec<Step>,
    p99_ms: f64,
}

struct Step {
    rate: f64,
    /// `Err`: nothing came of it at all, and why.
    report: Result<Box<Report>, String>,
    /// Why it was too much; `None` if it was carried.
    overload: Option<String>,
}

/// Climbs until a step is too much, then halves the last stride.
pub(super) async fn climb(args: &Args, target: &Target) -> Result<Climb> {
    let mut climb = Climb {
        steps: Vec::new(),
        p99_ms: args.p99.as_secs_f64() * 1000.0,
    };
    let mut rate = FIRST;
    while climb.steps.len() < MOST {
        climb.step(args, target, rate).await?;
        if climb.beyond().is_some() {
            break;
        }
        rate *= FACTOR;
    }
    for _ in 0..REFINEMENTS {
        let (Some(knee), Some(beyond)) = (climb.knee(), climb.beyond()) else {
            break;
        };
        let middle = (knee.rate + beyond) / 2.0;
        climb.step(args, target, middle).await?;
    }
    Ok(climb)
}

impl Climb {
    async fn step(&mut self, args: &Args, target: &Target, rate: f64) -> Result<()> {
        let rate = rate.round();
        let step = match measure(args, target, Some(rate)).await {
            Ok(report) => Step {
                rate,
                overload: report.overload(self.p99_ms),
                report: Ok(Box::new(report)),
            },
            // The first step is no overload: then something is wrong.
            Err(error) if self.steps.is_empty() => return Err(error),
            Err(error) => Step {
                rate,
                overload: Some(format!("{error:#}")),
                report: Err(format!("{error:#}")),
            },
        };
        progress("");
        if step.overload.is_some() {
            sleep(REST).await;
        }
        self.steps.push(step);
        Ok(())
    }

    /// The highest step that was carried, below all that were not.
    fn knee(&self) -> Option<&Step> {
        let beyond = self.beyond().unwrap_or(f64::INFINITY);
        self.steps
            .iter()
            .filter(|step| step.overload.is_none() && step.rate < beyond)
            .max_by(|a, b| a.rate.total_cmp(&b.rate))
    }

    /// The lowest rate that was too much.
    fn beyond(&self) -> Option<f64> {
        let rates = self.steps.iter().filter(|step| step.overload.is_some());
        rates.map(|step| step.rate).min_by(f64::total_cmp)
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        self.steps
            .iter()
            .filter_map(|step| Some(&**step.report.as_ref().ok()?))
    }

    /// Names the file.
    pub(super) fn name(&self) -> String {
        let first = self.reports().next();
        first.map_or("climb".into(), |report| format!("{}-climb", report.name()))
    }

    /// As one object: all of each step's card, and the rate of the knee.
    pub(super) fn json(&self) -> String {
        let steps = self.steps.iter().map(|step| {
            json!({
                "rate": step.rate,
                "overload": step.overload,
                "report": step.report.as_ref().ok().map(|report| report.value()),
            })
        });
        let object = json!({
            "p99_bound_ms": self.p99_ms,
            "knee_per_second": self.knee().map(|step| step.rate),
            "steps": steps.collect::<Vec<_>>(),
        });
        serde_json::to_string_pretty(&object).expect("numbers and strings are JSON")
    }

    /// The steps in order of rate, what the knee is, and the card of its step.
    pub(super) fn table(&self) -> String {
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let mut lines = vec![Report::STEP_HEAD.to_owned()];
        lines.extend(steps.iter().map(|step| {
            let verdict = step.overload.as_deref().unwrap_or("carried");
            match &step.report {
                Ok(report) => report.step(verdict),
                Err(why) => format!("{:>8.0} {why}", step.rate),
            }
        }));
        match self.knee() {
            Some(step) => {
                lines.push(format!("\nknee           {}/s", step.rate));
                lines.extend(step.report.as_ref().ok().map(|report| report.table()));
            }
            None => lines.push("\nknee           below the first step".into()),
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn steps(list: &[(f64, bool)]) -> Climb {
        let step = |(rate, carried): &(f64, bool)| Step {
            rate: *rate,
            report: Err("not run".into()),
            overload: (!carried).then(|| "too much".into()),
        };
        Climb {
            steps: list.iter().map(step).collect(),
            p99_ms: 1000.0,
        }
    }

    #[test]
    fn the_knee_is_below_all_that_was_too_much() {
        let climb = steps(&[(250.0, true), (375.0, true), (562.0, false), (468.0, true)]);
        assert_eq!(climb.knee().unwrap().rate, 468.0);
        assert_eq!(climb.beyond(), Some(562.0));
        // One lucky step above an unlucky one proves nothing.
        let climb = steps(&[(250.0, true), (375.0, false), (562.0, true)]);
        assert_eq!(climb.knee().unwrap().rate, 250.0);
        assert!(steps(&[(250.0, false)]).knee().is_none());
    }

    #[test]
    fn the_json_has_every_step() {
        let climb = steps(&[(250.0, true), (375.0, false)]);
        let object: serde_json::Value = serde_json::from_str(&climb.json()).unwrap();
        assert_eq!(object["knee_per_second"], 250.0);
        assert_eq!(object["steps"].as_array().unwrap().len(), 2);
        assert_eq!(object["steps"][1]["overload"], "too much");
    }
}
