//! Figures in the text format of OpenMetrics, as Prometheus reads it. Programs bring the figures; here is how they are
//! written.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// What scrapers are told that they get.
pub const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that `figures` writes, with `prefix` before each name.
///
/// # Errors
/// As `figures` has.
pub fn text(prefix: &'static str, figures: impl Collector) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(prefix);
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Writes a number that goes up and down.
///
/// # Errors
/// As `to` has.
pub fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

/// Writes a number that only goes up.
///
/// # Errors
/// As `to` has.
pub fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    count(to.encode_descriptor(name, help, None, MetricType::Counter)?, value)
}

/// Writes one of a family of numbers that only go up.
///
/// # Errors
/// As `to` has.
pub fn count(mut to: MetricEncoder<'_>, value: u64) -> fmt::Result {
    to.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

/// Writes numbers that go up and down, told apart by `label`.
///
/// # Errors
/// As `to` has.
pub fn gauges(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(impl AsRef<str>, u64)],
) -> fmt::Result {
    let mut to = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.iter().try_for_each(|(of, value)| to.encode_family(&[(label, of.as_ref())])?.encode_gauge(value))
}

/// Writes numbers that only go up, told apart by `label`.
///
/// # Errors
/// As `to` has.
pub fn counters(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(impl AsRef<str>, u64)],
) -> fmt::Result {
    let mut to = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.iter().try_for_each(|(of, value)| count(to.encode_family(&[(label, of.as_ref())])?, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Some;

    impl Collector for Some {
        fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
            gauge(&mut to, "level", "How much there is", 1)?;
            counter(&mut to, "turns", "How often", 2)?;
            gauges(&mut to, "rooms", "By colour", "colour", &[("red", 3)])?;
            counters(&mut to, "doors", "By colour", "colour", &[("blue", 4)])
        }
    }

    #[test]
    fn each_kind_is_written_as_prometheus_reads_it() {
        let text = text("house", Some).unwrap();
        for line in [
            "# TYPE house_level gauge",
            "house_level 1",
            "# HELP house_turns How often",
            "house_turns_total 2",
            "house_rooms{colour=\"red\"} 3",
            "house_doors_total{colour=\"blue\"} 4",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
