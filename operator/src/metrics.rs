//! Every metric, with the prefix `db_operator_`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use api::DatabasePhase;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::decision::{Decision, Settled, Stuck, Wait};

/// One label, `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: String,
}

/// One label, `operation`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfOperation {
    pub operation: String,
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfDecision {
    /// `launch`, `wait`, `settled` or `stuck`.
    pub decision: String,
    /// The operation that is launched, or why nothing is.
    pub reason: String,
}

/// How far Databases are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfPhase {
    /// `status.phase`, or `None`.
    pub phase: String,
    /// `True` if condition `Ready` is True about the present generation, else `False`.
    pub ready: String,
}

/// One label, `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfKind {
    pub kind: String,
}

/// The operator's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    databases: Family<OfPhase, Gauge>,
    /// Decisions, by kind.
    pub decisions: Family<OfDecision, Counter>,
    /// Jobs launched, by operation.
    pub jobs_launched: Family<OfOperation, Counter>,
    /// Launches that failed, by reason.
    pub launch_failures: Family<Reason, Counter>,
    /// Jobs in flight that run, or may.
    pub in_flight: Gauge,
    /// Jobs in flight that do not run.
    pub starting: Gauge,
    /// Objects that wait for a slot.
    pub waiting: Gauge,
    /// Objects that cannot be decoded.
    pub undecodable: Family<OfKind, Gauge>,
    /// Jobs that do not start, by reason.
    pub stuck_jobs: Family<Reason, Gauge>,
    /// Times that phase and intent of a Database were found to contradict each other.
    pub contradictions: Counter,
    /// Jobs that ended well while the phase did not move.
    pub complete_without_phase: Counter,
    /// Whether this process holds the Lease.
    pub leader: Gauge,
    /// How long it took to decide about an object.
    pub reconcile_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("db_operator"),
            databases: Family::default(),
            decisions: Family::default(),
            jobs_launched: Family::default(),
            launch_failures: Family::default(),
            in_flight: Gauge::default(),
            starting: Gauge::default(),
            waiting: Gauge::default(),
            undecodable: Family::default(),
            stuck_jobs: Family::default(),
            contradictions: Counter::<u64, AtomicU64>::default(),
            complete_without_phase: Counter::default(),
            leader: Gauge::default(),
            reconcile_seconds: Histogram::new([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "databases",
            "Databases, by phase and by status of condition Ready",
            self.databases.clone(),
        );
        registry.register("decisions", "Decisions, by kind and reason", self.decisions.clone());
        registry.register("jobs_launched", "Jobs launched, by operation", self.jobs_launched.clone());
        registry.register(
            "launch_failures",
            "Jobs that could not be created, by reason",
            self.launch_failures.clone(),
        );
        registry.register(
            "in_flight_jobs",
            "Jobs that run, or are so young that they may",
            self.in_flight.clone(),
        );
        registry.register(
            "starting_jobs",
            "Jobs that do not run yet, and are not young",
            self.starting.clone(),
        );
        registry.register("waiting_objects", "Objects that wait for a slot", self.waiting.clone());
        registry.register(
            "undecodable_objects",
            "Objects that this release cannot read, by kind; should be 0",
            self.undecodable.clone(),
        );
        registry.register(
            "stuck_jobs",
            "Jobs that do not start, by reason; should be 0",
            self.stuck_jobs.clone(),
        );
        registry.register(
            "contradictions",
            "Times that phase and intent of a Database contradicted each other; should be 0",
            self.contradictions.clone(),
        );
        registry.register(
            "complete_without_phase",
            "Jobs that ended well while the phase did not move: a driver broke its contract; must be 0",
            self.complete_without_phase.clone(),
        );
        registry.register("leader", "1 where this process holds the Lease", self.leader.clone());
        registry.register(
            "reconcile_seconds",
            "How long it took to decide about an object",
            self.reconcile_seconds.clone(),
        );
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this program", version);
    }

    /// Says how many Databases there are, by phase and by whether they are ready.
    pub fn set_databases(&self, census: &BTreeMap<(Option<DatabasePhase>, bool), i64>) {
        for ((phase, ready), count) in census {
            let labels = OfPhase {
                phase: phase.map_or_else(|| "None".to_owned(), |phase| format!("{phase:?}")),
                ready: if *ready { "True" } else { "False" }.to_owned(),
            };
            self.databases.get_or_create(&labels).set(*count);
        }
    }

    /// Says how many Jobs do not start, by reason.
    pub fn set_stuck(&self, counts: &BTreeMap<&'static str, i64>) {
        for reason in ["JobHasNoPod", "JobNotRunning"] {
            let labels = Reason { reason: reason.to_owned() };
            self.stuck_jobs.get_or_create(&labels).set(counts.get(reason).copied().unwrap_or_default());
        }
    }

    /// Everything in the text format of `OpenMetrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // A `String` takes all that is written to it.
            Err(_) => String::new(),
        }
    }
}

/// The labels of a decision.
pub fn labels(decision: &Decision) -> OfDecision {
    let (decision, reason) = match decision {
        Decision::Launch(launch) => ("launch", launch.operation.as_str()),
        Decision::Wait(Wait::Job { .. }) => ("wait", "job"),
        Decision::Wait(Wait::Suspended { .. }) => ("wait", "suspended"),
        Decision::Wait(Wait::Backoff { permanent: false, .. }) => ("wait", "backoff"),
        Decision::Wait(Wait::Backoff { permanent: true, .. }) => ("wait", "permanent"),
        Decision::Wait(Wait::Namespace) => ("wait", "namespace"),
        Decision::Settled(Settled::Current { .. }) => ("settled", "current"),
        Decision::Settled(Settled::NothingLeft) => ("settled", "nothing-left"),
        Decision::Stuck(Stuck::Contradiction) => ("stuck", "contradiction"),
        Decision::Stuck(Stuck::UnknownDriver) => ("stuck", "unknown-driver"),
        Decision::Stuck(Stuck::NoPod { .. }) => ("stuck", "no-pod"),
        Decision::Stuck(Stuck::NotRunning { .. }) => ("stuck", "not-running"),
    };
    OfDecision { decision: decision.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_names_that_the_documentation_gives() {
        let metrics = Metrics::default();
        metrics.stuck_jobs.get_or_create(&Reason { reason: "JobHasNoPod".into() }).set(2);
        let text = metrics.text();
        for expected in [
            "db_operator_complete_without_phase_total 0",
            "db_operator_stuck_jobs{reason=\"JobHasNoPod\"} 2",
            "db_operator_leader 0",
            "db_operator_build_info{version=",
            "# EOF",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in {text}");
        }
    }
}
