//! The page, the JSON and the chart of a small made-up run.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::bench::budget;
use crate::bench::machine::Machine;
use crate::bench::proxy::Proxy;
use crate::bench::results::{Sample, Scenario};

fn row(proxy: Proxy, cpu: [f64; 3]) -> Row {
    let sample = |us: f64| {
        Sample::from([(Metric::CpuUs, us), (Metric::CpuUserUs, us / 4.0), (Metric::Throughput, 123_456.0)])
    };
    Row { rounds: cpu.map(sample).into(), ..Row::new(proxy) }
}

fn results() -> Results {
    let rows = vec![
        row(Proxy::Evenkeel, [7.0, 7.2, 7.1]),
        row(Proxy::Nginx, [10.0, 9.0, 9.5]),
        row(Proxy::Haproxy, [11.0, 11.0, 11.0]),
    ];
    let verdict = budget::judge(Scenario::H1Some, &rows);
    let machine = Machine {
        date: "2026-01-02".into(),
        cpu: "A <CPU> & more".into(),
        cores: 2,
        kernel: "Linux".into(),
        load_average: "0.00 0.00 0.00".into(),
        versions: vec!["nginx 1".into()],
    };
    let outcome = Outcome { scenario: Scenario::H1Some, rows, notes: vec!["A note.".into()], verdict };
    Results { machine, build: "the profile `dist`", rounds: 3, seconds: 4, scenarios: vec![outcome] }
}

#[test]
fn the_page_holds_budget_medians_and_ranges() {
    let page = markdown(&results(), Some("all.svg"));
    for line in [
        "| HTTP/1.1, 64 connections, 128-byte answers | at most 0.80 x the CPU time of the best peer | 0.75 (see the note below) | pass |",
        "| proxy | CPU us/request | user | requests/s |",
        "| evenkeel | 7.10 (7.00 to 7.20) | 1.77 | 123,456 |",
        "| nginx | 9.50 (9.00 to 10.00) | 2.38 | 123,456 |",
        "![CPU time per request, by proxy and scenario](all.svg)",
        "A note.",
        "- nginx 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\nis not in\n{page}");
    }
}

#[test]
fn the_files_are_written_and_the_json_holds_every_round() {
    let dir = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
    write(&dir, "h1-64", &results()).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("results.json")).unwrap()).unwrap();
    let written = ["h1-64.md", "h1-64.svg"].map(|file| dir.join(file).exists());
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(written, [true, true]);
    let scenario = &json["scenarios"][0];
    assert_eq!(scenario["scenario"], "h1-64");
    assert_eq!(scenario["rows"][1]["rounds"][1]["cpu_us"], 9.0);
    assert_eq!(scenario["verdict"]["pass"], true);
}

#[test]
fn the_chart_names_every_bar_and_draws_it_to_scale() {
    let svg = chart::svg(&results()).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("A &lt;CPU&gt; &amp; more"), "{svg}");
    for text in ["evenkeel", "nginx", "haproxy", "7.10 us", "9.50 us", "11.00 us"] {
        assert!(svg.contains(&format!(">{text}")), "{text} is not in\n{svg}");
    }
    let mut empty = results();
    empty.scenarios[0].rows.clear();
    assert_eq!(chart::svg(&empty), None);
}
