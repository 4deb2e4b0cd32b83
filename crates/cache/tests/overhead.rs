//! What an object occupies beside its content, measured as what the process grows by, with 100,000 of them.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use evenkeel_cache::{Found, Limits, NewHead, Store};
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::cache::{HostId, UrlId};
use evenkeel_types::Time;

const OBJECTS: u64 = 100_000;
const NOW: Time = Time::from_millis(1_000);

/// As large as what the policy keeps of a response.
type Meta = [u64; 6];

/// What of this process is in memory, in bytes. It includes what the allocator rounds up.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

#[test]
fn an_object_occupies_less_than_300_bytes_beside_its_content() {
    // All live to the end: one that was freed would leave its memory to the next.
    let mut stores = Vec::new();
    for policy in Policy::ALL {
        let store = Store::<Meta>::new(Limits { capacity: 1 << 30, policy });
        let (before, mut content) = (resident(), 0);
        for n in 0..OBJECTS {
            let key = format!("khttp\u{0}www.example.org\u{0}/articles/{n:08}/index.html");
            let response = [b'r'; 200];
            let body = [b'b'; 128];
            let Found::Nothing(leader) = store.lookup(key.as_bytes(), NOW, |_| true) else {
                panic!("it is not there yet")
            };
            let head = head(&key, &response);
            let mut writer = leader.publish(head, 1 << 20).unwrap();
            writer.push(Bytes::copy_from_slice(&body), NOW).unwrap();
            writer.finish(Bytes::new(), NOW).unwrap();
            content += (key.len() + response.len() + body.len()) as u64;
        }
        let overhead = (resident() - before).saturating_sub(content) / OBJECTS;
        let figures = store.figures();
        let counted = (figures.bytes - content) / OBJECTS;
        println!("{}: {overhead} bytes an object, counted as {counted}", policy.name());
        assert_eq!(figures.objects, OBJECTS);
        assert!(overhead < 300, "{policy:?}: {overhead}");
        // What is counted is what the bound of the store means.
        assert!((overhead as f64 / counted as f64) < 1.25, "{policy:?}: {overhead}, counted as {counted}");
        stores.push(store);
    }
}

fn head<'a>(key: &'a str, response: &'a [u8]) -> NewHead<'a, Meta> {
    let (host, path) = ("www.example.org", &key[key.find('/').unwrap()..]);
    let (url, host) = (UrlId::whole(host, path, None), HostId::of(host));
    NewHead { url, host, path, tags: &[], vary: b"", response, meta: [0; 6] }
}
