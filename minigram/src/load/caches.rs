//! How much each cache takes off the next one: browsers, Evenkeel, the application's cache.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::metrics::Samples;
use crate::ports::cache::Kind;
use crate::settings::read_secret;
use crate::up::running::Running;

/// How long `/metrics` may take.
const SCRAPE_MAX: Duration = Duration::from_secs(5);

/// The route of pictures; all others send text.
const PICTURES: &str = "media";

/// What Evenkeel did with requests of routes that have a cache, when the body came from the cache.
const FROM_EDGE: [&str; 4] = ["hit", "revalidated", "updating", "stale"];

/// The kinds of answers that the application's cache keeps.
const KINDS: [Kind; 4] = Kind::ALL;

/// The counters of all processes.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    evenkeel: Samples,
    servers: Samples,
    /// Of one server: all work with the same cache, and each says the same of it.
    cache: Samples,
}

/// A cache, or a part of one.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct HitRatio {
    /// Which one.
    pub cache: String,
    /// Requests that it was asked for.
    pub requests: u64,
    /// The share that it answered, 0 to 1.
    pub ratio: f64,
}

/// What the caches and the compression saved in a run.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Savings {
    /// Each cache.
    pub caches: Vec<HitRatio>,
    /// The share of what users asked for, browsers included, that no application server had to answer.
    pub origin_spared: f64,
    /// The share of the bytes of texts that compression saved.
    pub text_spared: f64,
    /// The share of the databases' reads that replicas answered; nothing of embedded engines, which have none.
    pub by_replicas: Option<f64>,
}

impl Counters {
    /// Reads `/metrics` of every process.
    ///
    /// # Errors
    /// A process does not answer.
    pub async fn read(running: &Running) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(SCRAPE_MAX).build()?;
        let mut counters = Self::default();
        let token = read_secret(&running.admin_token)?;
        let url = format!("http://{}/metrics", running.admin);
        let response = client.get(url).bearer_auth(token).send().await.context("evenkeel's metrics")?;
        counters.evenkeel.add(&response.error_for_status()?.text().await?);
        for (number, server) in running.servers.iter().enumerate() {
            let url = format!("http://{}/metrics", server.address);
            let response = client.get(url).send().await;
            let response = response.with_context(|| format!("the metrics of {}", server.name))?;
            let text = response.error_for_status()?.text().await?;
            counters.servers.add(&text);
            if number == 0 {
                counters.cache.add(&text);
            }
        }
        Ok(counters)
    }

    /// What was saved since `before`, when `browser` is what browsers answered themselves, and `visitors` the share of the requests
    /// for photos and comments, 0 to 1, that came from visitors: answers to users who are signed in are theirs alone.
    #[must_use]
    pub fn savings(&self, before: &Self, browser: &HitRatio, visitors: f64) -> Savings {
        let evenkeel = self.evenkeel.since(&before.evenkeel);
        let servers = self.servers.since(&before.servers);
        let cache = self.cache.since(&before.cache);
        let mut caches = vec![browser.clone()];
        caches.extend(edge(&evenkeel, PICTURES, 1.0));
        caches.extend(edge(&evenkeel, "photos", visitors));
        for kind in KINDS {
            let labels = [("cache", kind.name())];
            let (hits, misses) = (
                cache.sum("minigram_cache_hits_total", &labels),
                cache.sum("minigram_cache_misses_total", &labels),
            );
            caches.extend(hit_ratio(format!("application: {}", kind.name()), hits, misses));
        }
        let asked = evenkeel.sum("evenkeel_requests_total", &[]);
        let at_origin = servers.sum("http_requests_total", &[]);
        let browser_hits = browser.requests as f64 * browser.ratio;
        let share = |part: f64, all: f64| if all > 0.0 { (part / all).clamp(0.0, 1.0) } else { 0.0 };
        let spared = evenkeel.sum("evenkeel_compress_in_bytes_total", &[])
            - evenkeel.sum("evenkeel_compress_out_bytes_total", &[])
            + evenkeel.sum("evenkeel_compress_reused_saved_bytes_total", &[]);
        let sent = |labels: &[(&str, &str)]| evenkeel.sum("evenkeel_response_bytes_total", labels);
        let text = sent(&[]) - sent(&[("route", PICTURES)]) + spared;
        let [replica, primary] =
            ["replica", "primary"].map(|server| servers.sum("db_reads_total", &[("server", server)]));
        Savings {
            caches,
            origin_spared: 1.0 - share(at_origin, asked + browser_hits),
            text_spared: share(spared, text),
            by_replicas: (replica + primary > 0.0).then(|| share(replica, replica + primary)),
        }
    }
}

impl Savings {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("  {:32} {:>10} {:>9}\n", "cache", "requests", "hits");
        // Writing to a string cannot fail.
        for HitRatio { cache, requests, ratio } in &self.caches {
            let _ = writeln!(text, "  {cache:32} {requests:>10} {:>7.1} %", ratio * 100.0);
        }
        let _ = writeln!(
            text,
            "  {:32} {:>10} {:>7.1} %",
            "spared to the servers",
            "",
            self.origin_spared * 100.0
        );
        let _ =
            writeln!(text, "  {:32} {:>10} {:>7.1} %", "bytes of text saved", "", self.text_spared * 100.0);
        if let Some(share) = self.by_replicas {
            let _ = writeln!(text, "  {:32} {:>10} {:>7.1} %", "reads by replicas", "", share * 100.0);
        }
        text
    }
}

/// What Evenkeel answered of the requests of a route, of which only this share may be answered from its cache.
fn edge(evenkeel: &Samples, route: &str, share: f64) -> Option<HitRatio> {
    const METRIC: &str = "evenkeel_cache_requests_total";
    let hits: f64 =
        FROM_EDGE.iter().map(|result| evenkeel.sum(METRIC, &[("route", route), ("result", result)])).sum();
    let all = evenkeel.sum(METRIC, &[("route", route)]);
    let passed = evenkeel.sum(METRIC, &[("route", route), ("result", "bypass")]);
    hit_ratio(format!("Evenkeel: {route}"), hits, ((all - passed) * share - hits).max(0.0))
}

fn hit_ratio(cache: String, hits: f64, misses: f64) -> Option<HitRatio> {
    let requests = hits + misses;
    (requests > 0.0).then(|| HitRatio { cache, requests: requests as u64, ratio: hits / requests })
}
