//! Counters as Prometheus reads them, before and after a run.

use std::collections::BTreeMap;

/// All samples of one or several `/metrics`: the name with its labels, and the sum of what each of them says.
#[derive(Debug, Clone, Default)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Adds what a process says.
    pub fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // An exemplar may follow, and a timestamp.
            let line = line.split(" # ").next().unwrap_or_default();
            let end = line.rfind('}').map_or_else(|| line.find(' ').unwrap_or(0), |brace| brace + 1);
            let (series, rest) = line.split_at(end);
            let value = rest.split_whitespace().next().and_then(|value| value.parse::<f64>().ok());
            if let (Some(value), false) = (value, series.is_empty()) {
                *self.0.entry(series.to_owned()).or_default() += value;
            }
        }
    }

    /// The sum of all series of a metric that carry each of these labels: `("result", "hit")`.
    #[must_use]
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let matches = |series: &str| {
            let (name, rest) = series.split_once('{').unwrap_or((series, ""));
            let labels: Vec<&str> = rest.trim_end_matches('}').split(',').collect();
            name == metric && wanted.iter().all(|label| labels.contains(&label.as_str()))
        };
        self.0.iter().filter(|(series, _)| matches(series)).map(|(_, value)| value).sum()
    }

    /// What has been added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let added = |(series, value): (&String, &f64)| {
            (series.clone(), value - before.0.get(series).copied().unwrap_or(0.0))
        };
        Self(self.0.iter().map(added).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_several_processes_are_added_and_selected_by_labels() {
        let text = "# HELP x y\nhits_total{route=\"a\",result=\"hit\"} 3\nhits_total{route=\"a\",result=\"miss\"} 1\nup 1\n";
        let mut before = Samples::default();
        before.add(text);
        let mut after = Samples::default();
        after.add(text);
        after.add("hits_total{route=\"b\",result=\"hit\"} 4 # {trace=\"1\"} 1\n");
        assert_eq!(after.sum("hits_total", &[("result", "hit")]), 7.0);
        assert_eq!(after.sum("hits_total", &[("route", "a")]), 4.0);
        assert_eq!(after.sum("hits", &[]), 0.0);
        assert_eq!(after.since(&before).sum("hits_total", &[]), 4.0);
        assert_eq!(after.sum("up", &[]), 1.0);
    }
}
