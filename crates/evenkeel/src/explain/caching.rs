//! What `explain` says of the cache: whether it may answer, for how long it keeps the response, under which key, and which parent
//! is asked.

use evenkeel_config::{Cache, Pool, Route};
use evenkeel_core::cache::{self, Bypass};
use evenkeel_core::choose::choose_owner;
use evenkeel_core::snapshot::PoolState;
use evenkeel_proxy::{Beside, Request, RequestFields, beside};
use serde_json::{Value, json};

/// Says it in `answer`.
pub(super) fn cached(
    answer: &mut Value,
    rules: &Cache,
    (path, asked): (&str, &str),
    (route, pool, parents): (&Route, &Pool, Option<&PoolState>),
    request: &Request<'_>,
) {
    let fields = RequestFields(request);
    let content = (false, request.upgrade.is_some());
    let beside = beside(request);
    let is_admitted = cache::admit(rules, request.method, &fields, content).is_ok();
    let is_asked = is_admitted && beside != Beside::Method;
    answer["cache"] = json!(match beside {
        Beside::Method if is_admitted => format!("not asked: {}", Bypass::OtherMethod.sentence()),
        _ => cache::describe(rules, request.method, &fields, content),
    });
    let target = cache::Target {
        scheme: request.scheme,
        authority: request.authority,
        path,
        asked,
        query: request.query,
        route: route.name.as_str(),
        pool: pool.name.as_str(),
    };
    let mut key = cache::describe_key(rules, &target, &fields);
    for (name, value) in beside.in_words() {
        key.push_str(&format!(", {name} {value}"));
    }
    answer["cache_key"] = json!(key);
    let Some(parents) = parents else { return };
    if !is_asked {
        let own = &pool.name;
        answer["parent"] = json!(format!("not asked: the cache is not, so the request goes to pool {own}"));
        return;
    }
    let key = cache::shared_hash(&rules.key, &target, &fields, &mut Vec::new());
    answer["parent"] = json!(parent(parents, key, pool));
}

/// Which node is asked, and what follows if none answers.
fn parent(parents: &PoolState, key: u64, own: &Pool) -> String {
    let (name, own) = (&parents.config.name, &own.name);
    match choose_owner(&parents.servers, key, &[]) {
        Some(chosen) => {
            let node = &parents.config.backends[chosen.server];
            let (id, address, why) = (&node.id, &node.address, chosen.why);
            format!("{id} ({address}) of pool {name}, because {why}; pool {own} if no parent answers")
        }
        None => format!("no server of pool {name} takes requests, so pool {own} is asked"),
    }
}
