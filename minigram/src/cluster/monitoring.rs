//! Prometheus with the rules of Evenkeel and MiniGram, and Alertmanager.

use std::time::Duration;

use serde_json::{Value, json};

use super::doctor;
use super::endpoints::Endpoints;
use super::http::http_client;
use super::layout::Layout;
use super::members::Members;
use super::settings::ClusterSettings;
use crate::process::Program;

/// Rules of the balancer.
const EVENKEEL_RULES: &str = include_str!("../../../contrib/prometheus/evenkeel-rules.yml");
/// Rules of the application and its engines.
const MINIGRAM_RULES: &str = include_str!("../../observability/minigram-rules.yml");
/// How long each may take to be ready.
const READY_BOUND: Duration = Duration::from_secs(30);

/// Starts both; `receiver` is a URL that gets each alert.
pub async fn start(
    layout: &Layout,
    members: &Members,
    settings: &ClusterSettings,
    endpoints: &Endpoints,
    receiver: &str,
    etcd: u16,
) -> anyhow::Result<()> {
    alertmanager(layout, members, settings, endpoints.alertmanager, receiver).await?;
    layout.folder("targets")?;
    let folder = layout.folder("prometheus")?;
    for (name, rules) in [("evenkeel-rules.yml", EVENKEEL_RULES), ("minigram-rules.yml", MINIGRAM_RULES)] {
        layout.write(&folder.join(name), &hastened(rules, settings.alert_after_max))?;
    }
    let file = folder.join("prometheus.yml");
    layout.write(&file, &serde_json::to_string_pretty(&prometheus(layout, settings, endpoints, etcd))?)?;
    let own = format!("127.0.0.1:{}", endpoints.prometheus);
    let program = layout
        .engine("prometheus", doctor::path_of("prometheus")?)
        .directory(&folder)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address={own}"))
        .args([
            "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=2d",
            "--storage.tsdb.retention.size=1GB",
        ])
        .arg("--log.format=json");
    ready(members, program, &format!("http://{own}/-/ready")).await
}

/// Rules whose conditions must last no longer than this before they alert.
fn hastened(rules: &str, after_max: Option<Duration>) -> String {
    let Some(after_max) = after_max else { return rules.to_owned() };
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, span)) if indent.trim().is_empty() && seconds(span) > Some(after_max.as_secs()) => {
            format!("{indent}for: {}s\n", after_max.as_secs())
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Such as `5s`, `1m`, `2h`.
fn seconds(span: &str) -> Option<u64> {
    let (number, unit) = span.split_at_checked(span.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "s" => Some(number),
        "m" => Some(number * 60),
        "h" => Some(number * 3600),
        _ => None,
    }
}

async fn alertmanager(
    layout: &Layout,
    members: &Members,
    settings: &ClusterSettings,
    port: u16,
    receiver: &str,
) -> anyhow::Result<()> {
    let folder = layout.folder("alertmanager")?;
    let file = folder.join("alertmanager.yml");
    let urls = [Some(receiver), settings.webhook.as_deref()];
    let webhooks: Vec<Value> =
        urls.into_iter().flatten().map(|url| json!({ "url": url, "send_resolved": true })).collect();
    let configuration = json!({
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "1h",
        },
        "receivers": [{ "name": "webhook", "webhook_configs": webhooks }],
    });
    layout.write(&file, &serde_json::to_string_pretty(&configuration)?)?;
    let own = format!("127.0.0.1:{port}");
    let program = layout
        .engine("alertmanager", doctor::path_of("prometheus-alertmanager")?)
        .directory(&folder)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address={own}"))
        // One instance needs no port for others.
        .args(["--cluster.listen-address=", "--storage.path=data", "--log.format=json"]);
    ready(members, program, &format!("http://{own}/-/ready")).await
}

async fn ready(members: &Members, program: Program, url: &str) -> anyhow::Result<()> {
    let client = http_client()?;
    let is_ready =
        || async { client.get(url).send().await.is_ok_and(|response| response.status().is_success()) };
    members.start_ready(program, READY_BOUND, is_ready).await
}

fn prometheus(layout: &Layout, settings: &ClusterSettings, endpoints: &Endpoints, etcd: u16) -> Value {
    let own = |port: u16| format!("127.0.0.1:{port}");
    let interval = format!("{}ms", settings.scrape_interval.as_millis());
    let nodes = endpoints
        .patroni
        .iter()
        .map(|(name, port)| json!({ "targets": [own(*port)], "labels": { "node": name } }));
    json!({
        "global": { "scrape_interval": interval, "evaluation_interval": interval },
        "rule_files": ["evenkeel-rules.yml", "minigram-rules.yml"],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [own(endpoints.alertmanager)] }] }] },
        "scrape_configs": [
            {
                "job_name": "evenkeel-databases",
                "static_configs": [{ "targets": [own(endpoints.balancer_admin)] }],
            },
            { "job_name": "patroni", "static_configs": nodes.collect::<Vec<_>>() },
            { "job_name": "etcd", "static_configs": [{ "targets": [own(etcd)] }] },
            // Servers, workers and the balancer before them: who starts them writes a file here, with the label `job`.
            {
                "job_name": "minigram",
                "file_sd_configs": [{
                    "files": [layout.root().join("targets/*.json")],
                    "refresh_interval": "10s",
                }],
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_wait_longer_are_hastened() {
        let rules = "  - alert: A\n    expr: b\n    for: 1m\n  - alert: C\n    for: 3s\n";
        let hastened_rules = "  - alert: A\n    expr: b\n    for: 5s\n  - alert: C\n    for: 3s\n";
        assert_eq!(hastened(rules, Some(Duration::from_secs(5))), hastened_rules);
        assert_eq!(hastened(rules, None), rules);
    }
}
