//! Every metric, with the prefix `db_operator_`.

use std::sync::atomic::AtomicU64;

use api::{Conditions, Database, READY};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// One label, `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Its value.
    pub reason: String,
}

/// One label, `operation`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfOperation {
    /// Its value.
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
    /// The status of condition `Ready`.
    pub ready: String,
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
    /// Jobs in flight.
    pub in_flight: Gauge,
    /// Jobs that do not start, by reason.
    pub stuck_jobs: Family<Reason, Gauge>,
    /// Times that phase and intent of a Database were found to contradict each other.
    pub contradictions: Counter,
    /// Jobs that ended well while the phase did not move.
    pub complete_without_phase: Counter,
    /// Whether this process holds the Lease.
    pub leader: Gauge,
    /// How long a reconciliation took.
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
        registry.register("in_flight_jobs", "Jobs that are at work", self.in_flight.clone());
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
            "How long a reconciliation took",
            self.reconcile_seconds.clone(),
        );
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this program", version);
    }

    /// Counts the Databases as they are now.
    pub fn set_databases<'a>(&self, databases: impl Iterator<Item = &'a Database>) {
        self.databases.clear();
        for database in databases {
            let ready =
                database.status.as_ref().and_then(|status| Conditions::get(&status.conditions, READY));
            let labels = OfPhase {
                phase: database.phase().map_or_else(|| "None".to_owned(), |phase| format!("{phase:?}")),
                ready: ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
            };
            self.databases.get_or_create(&labels).inc();
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
