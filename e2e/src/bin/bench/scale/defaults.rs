//! What the chart gives the operator if nobody says otherwise.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Values of the chart with their defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Defaults {
    /// The memory that it may have, in bytes.
    pub(crate) memory: u64,
    /// The cores that it may use, if that is limited.
    pub(crate) cpu: Option<f64>,
    /// How often it verifies every Database.
    pub(crate) resync: String,
}

impl Defaults {
    /// Those of the chart in this checkout.
    pub(crate) fn of_chart() -> Result<Self> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/db-operator/values.yaml");
        let text = std::fs::read_to_string(file)?;
        Self::of(&text).with_context(|| format!("in {file}"))
    }

    fn of(values: &str) -> Result<Self> {
        let values: Value = serde_saphyr::from_str(values)?;
        let text = |pointer: &str| {
            values
                .pointer(pointer)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let memory = text("/resources/limits/memory").context("resources.limits.memory is not there")?;
        let cpu = text("/resources/limits/cpu");
        Ok(Self {
            memory: bytes(&memory).with_context(|| format!("{memory:?} is no amount of memory"))?,
            cpu: cpu
                .map(|cpu| cores(&cpu).with_context(|| format!("{cpu:?} is no number of cores")))
                .transpose()?,
            resync: text("/resyncInterval").context("resyncInterval is not there")?,
        })
    }

    /// As a person reads them.
    pub(crate) fn text(&self) -> String {
        let cpu = self.cpu.map_or_else(|| "not limited".to_owned(), |cores| format!("{cores} cores"));
        format!("memory {} MiB, CPU {cpu}, resync {}", self.memory / 1_048_576, self.resync)
    }
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn cores(text: &str) -> Option<f64> {
    match text.strip_suffix('m') {
        Some(thousandths) => Some(thousandths.parse::<f64>().ok()? / 1e3),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_limits_the_memory_and_has_resync_on() {
        let defaults = Defaults::of_chart().unwrap();
        assert!(defaults.memory > 0);
        assert_ne!(defaults.resync, "never");
    }

    #[test]
    fn limits_are_read_as_kubernetes_reads_them() {
        let of = |memory: &str, cpu: &str| {
            Defaults::of(&format!(
                "resyncInterval: 6h\nresources: {{limits: {{memory: {memory}, cpu: {cpu}}}}}"
            ))
        };
        let expected = |memory, cpu| Defaults { memory, cpu: Some(cpu), resync: "6h".to_owned() };
        assert_eq!(of("256Mi", "500m").unwrap(), expected(268_435_456, 0.5));
        assert_eq!(of("1Gi", "2").unwrap(), expected(1_073_741_824, 2.0));
        assert_eq!(of("1000", "1.5").unwrap(), expected(1000, 1.5));
        assert!(of("256MB", "1").is_err() && of("1Gi", "one").is_err());
        assert!(Defaults::of("resyncInterval: 24h").is_err(), "no limit is no default limit");
    }
}
