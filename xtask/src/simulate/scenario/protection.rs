//! What keeps a pool alive when something goes wrong with many of its servers: the same situation, with one protection
//! after the other.

use super::{Fault, Scenario, Service, Setup};

/// The algorithm of them all: nothing of what is compared comes from where requests go.
const ALGORITHM: &str = "round-robin";

/// A situation, and what the configuration may do about it.
pub struct Situation {
    /// What goes wrong.
    pub scenario: Scenario,
    /// The protections.
    pub rows: &'static [Row],
}

/// A protection.
pub struct Row {
    /// What it is called.
    pub name: &'static str,
    keys: &'static str,
    route: &'static str,
}

/// A row whose name is what its configuration says.
const fn row(name: &'static str, keys: &'static str, route: &'static str) -> Row {
    Row { name, keys, route }
}

impl Situation {
    /// The scenario under one of its protections.
    pub fn setup(&self, row: &Row) -> Setup {
        Scenario { keys: row.keys, route: row.route, ..self.scenario.clone() }.setup(ALGORITHM)
    }
}

/// Twenty servers at this part of what they can do.
const fn twenty(
    name: &'static str,
    about: &'static str,
    load: f64,
    faults: &'static [(f64, std::ops::Range<usize>, Fault)],
) -> Scenario {
    Scenario { name, about, keys: "", route: "", servers: 20, service: Service::Even, load, hot: 0.0, faults }
}

const NEVER: &str = "retry = false";
const ON_503: &str = "retry = { on = [\"connect\", \"reset\", \"503\"] }";

/// All of them, in the order of the page.
pub const SITUATIONS: &[Situation] = &[
    Situation {
        scenario: twenty(
            "Two of twenty servers fail all their requests, at once",
            "For half of the time: 503 within a millisecond.",
            0.6,
            &[(0.25, 3..5, Fault::Failing(1.0)), (0.75, 3..5, Fault::Well)],
        ),
        rows: &[
            row("`retry = false`", "", NEVER),
            row("`retry` on 503", "", ON_503),
            row("`server_breaker`", "server_breaker = { failures = \"50%\" }", NEVER),
            row("both", "server_breaker = { failures = \"50%\" }", ON_503),
        ],
    },
    Situation {
        scenario: twenty(
            "All servers fail all their requests, at once",
            "For half of the time: there is nothing to win by retries. The circuit breaker has `open_for = \"1s\"`.",
            0.6,
            &[(0.25, 0..20, Fault::Failing(1.0)), (0.75, 0..20, Fault::Well)],
        ),
        rows: &[
            row("`retry = false`", "", NEVER),
            row("`retry` on 503", "", ON_503),
            row(
                "the same, `budget = \"100%\"`",
                "",
                "retry = { on = [\"connect\", \"reset\", \"503\"], budget = \"100%\" }",
            ),
            row(
                "`retry` on 503, `breaker = { failures = \"50%\" }`",
                "breaker = { failures = \"50%\", open_for = \"1s\" }",
                ON_503,
            ),
        ],
    },
    Situation {
        scenario: twenty(
            "All servers are ten times slower",
            "For half of the time. They can do a sixth of what is asked of them then, 80 requests at a time.",
            0.6,
            &[(0.25, 0..20, Fault::Slow(10.0)), (0.75, 0..20, Fault::Well)],
        ),
        rows: &[
            row("nothing", "", NEVER),
            row("`retry` on timeouts", "", "retry = { on = [\"connect\", \"reset\", \"timeout\"] }"),
            row("`max_requests = 200`", "breaker = { max_requests = 200 }", NEVER),
            row(
                "the same, `queue = { wait = \"1s\" }`",
                "breaker = { max_requests = 200 }\nqueue = { wait = \"1s\" }",
                NEVER,
            ),
            row("`concurrency`, `gradient`", "concurrency = { algorithm = \"gradient\" }", NEVER),
            row("the same, `min = 80`", "concurrency = { algorithm = \"gradient\", min = 80 }", NEVER),
            row("`concurrency`, `aimd`", "concurrency = { algorithm = \"aimd\" }", NEVER),
        ],
    },
];
