//! Flags, each of which can also be an environment variable.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::job::parts::Settings;
use crate::slots::Limits;
use crate::tenant_chart::TenantChart;

/// Watches Databases and launches the Jobs that look after them.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "db-operator",
    version,
    about,
    max_term_width = 110,
    after_help = "With --probe URL alone, it asks a running operator once and exits with 0 if it answers 200."
)]
pub struct Config {
    /// The operator's own namespace: its Lease is there, and the `release` Jobs of namespaces that terminate.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// The operator's own name, which tells who holds the Lease.
    #[arg(long, env = "POD_NAME", default_value = "db-operator")]
    pub pod_name: String,

    /// The operator's service account, which is also how the names of the cluster roles of chart db-operator begin. People are told it
    /// where they have to install chart db-operator-tenant.
    #[arg(long, env = "OPERATOR_NAME", default_value = "db-operator")]
    pub name: String,

    /// Tells this cluster's databases from another's on the same server. It must never change. Default: the uid of
    /// namespace `kube-system`, which it reads.
    #[arg(long, env = "CLUSTER_ID")]
    pub cluster_id: Option<String>,

    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// `text` for people, `json` for machines. The drivers' logs follow it.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// How much is logged: error, warn, info, debug or trace, or a filter such as `info,kube=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// How many Jobs may be in flight at once. The last slot is kept for a namespace that has none.
    #[arg(long, env = "MAX_JOBS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_jobs: u32,

    /// How many of them for one database server. The last slot is kept for a namespace that has none.
    #[arg(long, env = "MAX_JOBS_PER_SERVER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_jobs_per_server: u32,

    /// How often every Database is verified and repaired unasked, such as 12h or 7d, each at its own time; `never` for
    /// runs that come only with a change or by annotation. With more than 20,000 Databases it is as much longer.
    #[arg(long, env = "RESYNC_INTERVAL", default_value = "24h")]
    pub resync_interval: Interval,

    /// Service account, in the operator's namespace, of the Jobs that let Databases go whose namespace
    /// terminates.
    #[arg(long, env = "RELEASE_SERVICE_ACCOUNT", default_value = "db-operator-release")]
    pub release_service_account: String,

    /// Image of those Jobs: the operator's own.
    #[arg(long, env = "RELEASE_IMAGE")]
    pub release_image: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A duration such as `90s`, `30m`, `12h` or `7d`, at least a minute; or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

/// It is not an interval.
#[derive(Debug, thiserror::Error)]
#[error("expected a number and a unit, such as 90s, 30m, 12h or 7d, and at least one minute; or never")]
pub struct NotAnInterval;

impl FromStr for Interval {
    type Err = NotAnInterval;

    fn from_str(text: &str) -> Result<Self, NotAnInterval> {
        if text == "never" {
            return Ok(Self(None));
        }
        let unit = text.chars().last().ok_or(NotAnInterval)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(NotAnInterval),
        };
        let number: u32 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| NotAnInterval)?;
        let interval = Duration::from_secs(u64::from(number) * seconds);
        if interval < Duration::from_mins(1) { Err(NotAnInterval) } else { Ok(Self(Some(interval))) }
    }
}

impl Config {
    /// What every Job has in common.
    pub fn job_settings(&self, cluster_id: String) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            cluster_id,
            release_service_account: self.release_service_account.clone(),
            release_image: self.release_image.clone(),
            log_format: match self.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            },
        }
    }

    /// How a namespace is given to this operator.
    pub fn tenant_chart(&self) -> TenantChart {
        TenantChart::of_operator(&self.name, &self.namespace)
    }

    /// How many Jobs may run.
    pub fn limits(&self) -> Limits {
        Limits { total: self.max_jobs, per_server: self.max_jobs_per_server }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_unit_and_are_not_tiny() {
        let seconds = |text: &str| {
            text.parse::<Interval>().map(|interval| interval.0.map(|interval| interval.as_secs())).ok()
        };
        assert_eq!(seconds("90s"), Some(Some(90)));
        assert_eq!(seconds("30m"), Some(Some(1_800)));
        assert_eq!(seconds("12h"), Some(Some(43_200)));
        assert_eq!(seconds("7d"), Some(Some(604_800)));
        assert_eq!(seconds("never"), Some(None));
        for refused in ["", "h", "12", "1.5h", "5s", "12hh", "-1h", "12 h"] {
            assert_eq!(seconds(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn the_flags_are_consistent_and_two_are_required() {
        use clap::CommandFactory;
        Config::command().debug_assert();
        let config =
            Config::try_parse_from(["db-operator", "--namespace", "system", "--release-image", "i:1"]);
        assert_eq!(config.unwrap().limits(), Limits { total: 50, per_server: 8 });
        let error = Config::try_parse_from(["db-operator", "--max-jobs", "0"]).unwrap_err().to_string();
        assert!(error.contains("--max-jobs"), "{error}");
    }
}
