//! Whatever servers and clients do, in whatever order: no limit is exceeded, no server is asked twice, and everything is given
//! back.

use proptest::prelude::*;

use super::*;

/// Servers of the pool.
const SERVERS: usize = 4;

/// What a driver has of one request.
struct Driven {
    request: Request,
    legs: Vec<(Leg, Role)>,
    is_over: bool,
}

/// Does what is decided until there is something to wait for.
fn drive(scene: &Scene, it: &mut Driven, ms: u64) {
    loop {
        match scene.poll(&mut it.request, ms) {
            Step::Send { leg, chosen, role } => {
                let tried = it.request.tried();
                assert!(!tried[..leg.index()].contains(&chosen.server), "asked a server twice");
                it.legs.push((leg, role));
            }
            Step::NotHedged(_) => {}
            Step::Wait { until } | Step::Pause { until } => {
                assert!(it.legs.is_empty() && until > scene.log.now());
                return;
            }
            Step::Asking { until } => {
                assert!(until.is_none_or(|until| until > scene.log.now()));
                return;
            }
            Step::Renew => panic!("nothing waits for a server here"),
            Step::Refuse(_) | Step::GiveUp(_) => {
                assert!(it.legs.is_empty());
                it.is_over = true;
                return;
            }
        }
    }
}

/// One thing that happens to one of the legs, or to the request.
fn happen(scene: &Scene, it: &mut Driven, what: u8, ms: u64) {
    let now = scene.at(ms);
    if what == 0 {
        it.request.handle_gone(now);
        it.legs.clear();
        it.is_over = true;
        return;
    }
    if it.legs.is_empty() {
        return;
    }
    let (leg, role) = it.legs.remove(usize::from(what) % it.legs.len());
    let failure = match what {
        1..5 => refused(),
        5..8 => reset(),
        8 => failed(Cause::Timeout, Failure::Timeout),
        9 => FailedTry { cause: None, ..reset() },
        _ => {
            let status = if what < 20 { 503 } else { 200 };
            answer(scene, it, (leg, role), status, ms);
            return;
        }
    };
    if let AfterFailure::Won(leg, _) = scene.fail(&mut it.request, leg, failure, ms) {
        assert!(it.legs.is_empty());
        head(scene, it, leg, 503, ms);
    }
}

fn answer(scene: &Scene, it: &mut Driven, (leg, role): (Leg, Role), status: u16, ms: u64) {
    if role != Role::Alone {
        let (retry, now) = (&scene.config.routes[0].retry, scene.at(ms));
        match it.request.handle_first_byte(leg, (Some(status), now), retry, now) {
            FirstByte::Kept(_) => return,
            FirstByte::Won(_) => it.legs.clear(),
        }
    } else {
        it.request.handle_connected(leg);
    }
    head(scene, it, leg, status, ms);
}

fn head(scene: &Scene, it: &mut Driven, leg: Leg, status: u16, ms: u64) {
    it.is_over = scene.head(&mut it.request, leg, status, ms) != AfterHead::Defer;
}

fn pools() -> impl Strategy<Value = (String, String, String)> {
    let max = (0_u32..4)
        .prop_map(|max| if max == 0 { String::new() } else { format!(", max_connections = {max}") });
    let breaker = (0_u32..6, 0_u32..3, any::<bool>()).prop_map(|(requests, retries, trips)| {
        let trip = if trips { ", failures = \"50%\", requests_min = 3, open_for = \"100ms\"" } else { "" };
        match requests {
            0 => String::new(),
            _ => format!("breaker = {{ max_requests = {requests}, max_retries = {retries}{trip} }}\n"),
        }
    });
    let more = prop::sample::subsequence(
        vec![
            "queue = { wait = \"50ms\" }",
            "server_breaker = { failures = \"50%\", requests_min = 2, open_for = \"50ms\" }",
            "concurrency = { min = 1, max = 4 }",
            "sticky = { header = \"x-user\" }",
            "algorithm = \"least-connections\"",
        ],
        0..=5,
    );
    let hedge = prop::sample::select(vec!["", "hedge = { after = \"5ms\" }"]);
    (max, breaker, more, hedge, 0_u32..20).prop_map(|(max, breaker, more, hedge, backoff)| {
        let each = (0..SERVERS).map(|at| format!("{{ address = {}{max} }}", 5001 + at));
        let backends = format!("[{}]", each.collect::<Vec<_>>().join(", "));
        let retry = format!(
            "retry = {{ attempts = 3, on = [\"connect\", \"reset\", \"timeout\", \"503\"], backoff = \"{backoff}ms\" }}"
        );
        (backends, format!("{breaker}{}", more.join("\n")), format!("{retry}\n{hedge}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn no_limit_is_exceeded_and_everything_is_given_back(
        (backends, pool, route) in pools(),
        steps in prop::collection::vec((0_u8..30, any::<prop::sample::Index>(), 0_u64..8, any::<bool>()), 1..120),
    ) {
        let mut scene = Scene::new(&backends, &pool, &route);
        let (mut all, mut ms): (Vec<Driven>, u64) = (Vec::new(), 0);
        for (what, which, pause, comes) in steps {
            ms += pause;
            scene.at(ms);
            scene.asked.1 = [what % 3];
            if comes || all.is_empty() {
                let request = scene.request();
                all.push(Driven { request, legs: Vec::new(), is_over: false });
            } else {
                let nth = which.index(all.len());
                happen(&scene, &mut all[nth], what, ms);
            }
            // Some are woken late, and none is forgotten.
            for it in all.iter_mut().filter(|it| !it.is_over) {
                drive(&scene, it, ms);
            }
            if comes {
                all.retain(|it| !it.is_over);
            }
            check(&scene, &all)?;
        }
        drop(all);
        prop_assert_eq!(scene.in_flight(), vec![0; SERVERS]);
        if scene.gate.guard().is_some() {
            prop_assert_eq!(scene.in_pool(), (0, 0, 0));
        }
    }
}

fn check(scene: &Scene, all: &[Driven]) -> Result<(), TestCaseError> {
    let (config, in_flight) = (&scene.config.pools[0], scene.in_flight());
    let legs = all.iter().map(|it| it.legs.len()).sum::<usize>();
    prop_assert!(in_flight.iter().sum::<u32>() as usize >= legs);
    for (backend, in_flight) in config.backends.iter().zip(in_flight) {
        prop_assert!(backend.max_connections.is_none_or(|max| in_flight <= max));
    }
    for it in all {
        prop_assert!(it.request.attempts() <= 3, "{} servers were sent it", it.request.attempts());
    }
    if let Some(breaker) = &config.breaker {
        let (in_pool, waiting, retries) = scene.in_pool();
        prop_assert!(breaker.max_requests.is_none_or(|max| in_pool <= max));
        prop_assert!(breaker.max_retries.is_none_or(|max| retries <= max));
        let queued = all.iter().filter(|it| it.request.wants().is_some()).count();
        prop_assert_eq!(waiting, queued);
    }
    Ok(())
}
