//! What drills found, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::drill::Drill;
use super::read_back::Checked;
use super::tally::Counts;

/// What one drill found.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which drill.
    pub drill: Drill,
    /// What became of requests.
    pub tally: Counts,
    /// How long after the fault the last request failed or was slow; `None` if requests did so to the end.
    pub normal_after: Option<Duration>,
    /// Own writes that the next read did not show.
    pub stale: Vec<String>,
    /// What was read back.
    pub checked: Checked,
}

impl Row {
    /// Whether nothing was lost, twice, stale or missing, no request failed that should not, and the system became normal.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.normal_after.is_some() && self.losses().is_empty() && self.failures().is_empty()
    }

    /// Requests that failed, or were refused, although the fault should not cause that.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let Counts { honest, failed, reads, .. } = &self.tally;
        // One or the other may need longer than a server waits on a machine that is busy.
        let have_stopped = reads.refused_or_failed * 10 > reads.requests;
        let kinds = [
            (!self.drill.breaks_off(), *failed, "failed other than by 503 with Retry-After"),
            (!self.drill.refuses(), *honest, "were refused"),
            (
                self.drill.is_of_writes() && have_stopped,
                reads.refused_or_failed,
                "were reads that were not done",
            ),
        ];
        let wrong = kinds.into_iter().filter(|(is_wrong, count, _)| *is_wrong && *count > 0);
        wrong.map(|(_, count, what)| format!("{count} requests {what}")).collect()
    }

    /// Everything that was lost, twice, stale or missing.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let Checked { lost, twice, jobs_lost, thumbnails_missing, .. } = &self.checked;
        let named = |name: &'static str, list: &[String]| -> Vec<String> {
            list.iter().map(|what| format!("{name}: {what}")).collect()
        };
        [
            named("lost", lost),
            named("there twice", twice),
            named("stale", &self.stale),
            named("job lost", jobs_lost),
            named("thumbnail missing", thumbnails_missing),
        ]
        .concat()
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "drill": self.drill.name(),
            "requests": self.tally,
            "normal_after_s": self.normal_after.map(|after| after.as_secs_f64()),
            "stale": self.stale,
            "checked": self.checked,
            "failures": self.failures(),
            "met": self.is_met(),
        })
    }

    fn normal(&self) -> String {
        match self.normal_after {
            Some(Duration::ZERO) => "at once".to_owned(),
            Some(after) => format!("{:.1} s", after.as_secs_f64()),
            None => "never".to_owned(),
        }
    }
}

/// The rows as a table in Markdown.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| Drill | Requests | Refused (503, `Retry-After`) | Failed otherwise | Normal after | Writes acknowledged | Lost | There twice | Stale own reads | Jobs lost | Thumbnails missing |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let Counts { requests, honest, failed, .. } = &row.tally;
        let Checked { acknowledged, lost, twice, jobs_lost, thumbnails_missing, .. } = &row.checked;
        // A `String` takes everything.
        let _ = writeln!(
            text,
            "| `{}`: {} | {requests} | {honest} | {failed} | {} | {acknowledged} | {} | {} | {} | {} | {} |",
            row.drill.name(),
            row.drill.explanation(),
            row.normal(),
            lost.len(),
            twice.len(),
            row.stale.len(),
            jobs_lost.len(),
            thumbnails_missing.len(),
        );
    }
    text
}
