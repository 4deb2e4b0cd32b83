//! What routing costs: from one route to ten thousand hosts, and the normal form of paths and hosts.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel_config::{Action, Config, HostMatch, Listener, PathMatch, Route};
use evenkeel_core::route::{Facts, RouteTable, normalise, parse_host};
use evenkeel_types::{Address, PoolName};

struct Request {
    host: String,
    path: &'static str,
}

impl Facts for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }
    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

fn request(host: &str, path: &'static str) -> Request {
    Request { host: host.into(), path }
}

fn route(hosts: Vec<HostMatch>, path: PathMatch) -> Route {
    Route { hosts, path, ..Route::new(Action::Pool(PoolName::from("p"))) }
}

fn table(routes: Vec<Route>) -> RouteTable {
    let listener = Listener::new("web", vec![Address::listener("0").expect("a port")]);
    RouteTable::new(&Config::new(vec![listener], routes, Vec::new()))
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    let prefix = |path: &str| PathMatch::Prefix(path.into());
    let exact = |i: usize| HostMatch::Exact(format!("host{i}.example.com"));

    let one = table(vec![route(Vec::new(), prefix("/"))]);
    let plain = request("shop.example.com", "/api/v1/cart/items");
    group.bench_function("one_route", |b| b.iter(|| one.find(0, black_box(&plain))));

    let paths = ["/", "/api", "/api/v1", "/api/v1/cart", "/assets", "/images", "/login", "/health"];
    let eight = table(paths.iter().map(|path| route(Vec::new(), prefix(path))).collect());
    group.bench_function("eight_prefixes", |b| b.iter(|| eight.find(0, black_box(&plain))));

    let mut many: Vec<Route> =
        (0..10_000).flat_map(|i| paths.map(|path| route(vec![exact(i)], prefix(path)))).collect();
    many.push(route(vec![HostMatch::Wildcard(".apps.example.com".into())], prefix("/")));
    let many = table(many);
    let hosted = request("host7777.example.com", "/api/v1/cart/items");
    group.bench_function("10000_hosts_of_8", |b| b.iter(|| many.find(0, black_box(&hosted))));
    let wild = request("a.b.apps.example.com", "/api/v1/cart/items");
    group.bench_function("10000_hosts_wildcard", |b| b.iter(|| many.find(0, black_box(&wild))));
    let nowhere = request("nowhere.example.org", "/api/v1/cart/items");
    group.bench_function("10000_hosts_none", |b| b.iter(|| many.find(0, black_box(&nowhere))));
    group.finish();
}

fn normal_form(c: &mut Criterion) {
    let mut group = c.benchmark_group("normal_form");
    let plain = "/api/v1/users/1234567/albums/summer.2024/photo_0001.jpg";
    group.bench_function("plain_path", |b| b.iter(|| normalise(black_box(plain)).is_ok()));
    let encoded = "/api/v1/users/../caf%c3%a9//%41/photo%200001.jpg";
    group.bench_function("encoded_path", |b| b.iter(|| normalise(black_box(encoded)).is_ok()));
    group.bench_function("host", |b| b.iter(|| parse_host(black_box("shop.example.com:8443")).is_ok()));
    group.finish();
}

criterion_group!(benches, find, normal_form);
criterion_main!(benches);
