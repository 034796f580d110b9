//! Samples and the table that they end in.

use std::fmt;

/// Durations in seconds.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, seconds: f64) {
        self.0.push(seconds);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn extend(&mut self, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.add(seconds);
        }
    }

    pub(crate) fn p50(&self) -> f64 {
        self.percentile(50)
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100)
    }

    /// Median and maximum, as multiples of those of `others`.
    pub(crate) fn against(&self, others: &Self) -> String {
        format!("p50 {:.2} x  max {:.2} x", self.p50() / others.p50(), self.max() / others.max())
    }

    /// The smallest sample that at least `percent` of all samples do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// Rows of text, aligned when printed.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[String; 3]>);

impl Table {
    pub(crate) fn row(&mut self, what: &str, samples: &Samples, goal: &str) {
        let count = samples.0.len();
        // Of fewer than a hundred the highest would be called their 99th percentile.
        let p99 = if count < 100 { String::new() } else { format!("  p99 {:.3} s", samples.percentile(99)) };
        let (p50, max) = (samples.p50(), samples.max());
        let value = format!("p50 {p50:.3} s{p99}  max {max:.3} s  n {count}");
        self.figure(what, &value, goal);
    }

    pub(crate) fn figure(&mut self, what: &str, value: &str, goal: &str) {
        self.0.push([what.to_owned(), value.to_owned(), goal.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for [what, value, goal] in &self.0 {
            writeln!(f, "{what:56} {value:48} {goal}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut samples = Samples::default();
        for value in [5.0, 1.0, 4.0, 2.0, 3.0] {
            samples.add(value);
        }
        assert_eq!((samples.p50(), samples.percentile(99)), (3.0, 5.0));
    }
}
