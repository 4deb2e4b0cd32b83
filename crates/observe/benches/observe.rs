//! What being observed costs one request: its figures and its line in the access log.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel_config::{AccessLog as Destination, Log, LogFormat};
use evenkeel_observe::{AccessLog, Client, Ended, Record, Registry, RequestFigures, SeriesKey, Version};
use evenkeel_types::RequestIdText;

fn record() -> Record<'static> {
    Record {
        unix_ns: 1_795_192_764_007_999_999,
        client: Client::Ip([192, 0, 2, 7].into(), 50_123),
        origin: None,
        listener: "web",
        method: "GET",
        scheme: "https",
        host: "shop.example.com",
        target: b"/api/v1/products/1234567?fields=name,price&currency=EUR",
        version: Version::Http11,
        status: 200,
        route: Some("shop.example.com/api/*"),
        pool: Some("app"),
        backend: Some("10.0.0.1:3000"),
        way: None,
        tries: 1,
        total: Duration::from_nanos(1_234_567),
        connect: None,
        first_byte: Some(Duration::from_nanos(912_345)),
        bytes_in: 0,
        bytes_out: 5_120,
        request_id: &RequestIdText::Own(b"0192f3a4c5d67e8f90a1b2c3d4e5f607"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"),
        referer: Some(b"https://shop.example.com/products"),
        ended: Ended::Complete,
        reason: None,
        cache: None,
        trace: None,
        fields: &[],
    }
}

fn figures(criterion: &mut Criterion) {
    let registry = Registry::new(2);
    let key = SeriesKey { route: "api".into(), pool: Some("app".into()), backend: Some("a".into()) };
    let series = registry.series(key);
    // Durations that no branch predictor can learn.
    let mut random = 1_u64;
    criterion.bench_function("series/record", |bencher| {
        bencher.iter(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            series.shard(1).record(black_box(&RequestFigures {
                status: 200,
                total: Duration::from_nanos(random >> 36),
                upstream: Some(Duration::from_nanos(random >> 37)),
                overhead: Duration::from_nanos(random >> 48),
                bytes_in: 0,
                bytes_out: 5_120,
                tries: 1,
                is_broken: false,
            }));
        });
    });
}

fn lines(criterion: &mut Criterion) {
    for (name, access, format) in [
        ("access/json", Destination::File(PathBuf::from("/dev/null")), LogFormat::Json),
        ("access/combined", Destination::File(PathBuf::from("/dev/null")), LogFormat::Combined),
        ("access/off", Destination::Off, LogFormat::Json),
    ] {
        let log = AccessLog::start(
            &Log { access, format, fields: Vec::new(), slow: Duration::from_secs(1) },
            Registry::new(1),
        )
        .expect("/dev/null opens");
        let mut worker = log.worker();
        let mut record = record();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                record.unix_ns += 20_000;
                worker.record(black_box(&record));
            });
        });
        drop(worker);
        log.finish();
    }
}

fn scrape(criterion: &mut Criterion) {
    let registry = Registry::new(2);
    for server in 0..100 {
        registry.series(SeriesKey {
            route: "api".into(),
            pool: Some("app".into()),
            backend: Some(format!("10.0.0.{server}:80").into()),
        });
    }
    criterion.bench_function("render/100 servers", |bencher| bencher.iter(|| registry.render()));
}

/// What the admin thread does every second.
fn sample(criterion: &mut Criterion) {
    let registry = Registry::new(2);
    for server in 0..1_000 {
        registry.series(SeriesKey {
            route: "api".into(),
            pool: Some(format!("pool-{}", server % 100).into()),
            backend: Some(format!("10.0.{}.{}:80", server / 250, server % 250).into()),
        });
    }
    criterion.bench_function("sample/1000 servers", |bencher| bencher.iter(|| registry.sample()));
}

criterion_group!(benches, figures, lines, scrape, sample);
criterion_main!(benches);
