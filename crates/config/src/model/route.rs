//! `[[route]]`: which request goes where; and the names of routes that have none of their own.

use std::collections::HashSet;
use std::time::Duration;

use evenkeel_types::{ListenerName, RouteName};
use ipnet::IpNet;

use super::action::Action;
use super::action::Rewrite;
use super::action::{ACTIONS, REWRITE};
use super::cache::Cache;
use super::compress::{Compress, SHORT};
use super::edits::HeaderEdits;
use super::limit::{Mirror, RateLimit, RouteLimits};
use super::matching::PathMatch;
use super::matching::{self, PATHS};
use super::protect::Priority;
use super::retry::{DeadlineHeader, Hedge, Retry};
use super::share::{LogShare, RouteTrace, SHARE_OR_NOT};
use super::sni::refuse_addresses;
use crate::declare::{Rules, Shown, declared, section, word_settings, words};
use crate::keys::Absent::{Is, Means};
use crate::keys::syntax::{
    HEADER_NAME, HEADER_VALUE, HOST, LISTENER_NAME, METHOD, NAME, NETWORK, QUERY_NAME, QUERY_VALUE, SNI,
};
use crate::keys::{DAY_MS, DURATION, Kind, Member, flat, key};
use crate::read::host::HostMatch;
use crate::read::{RouteLink, Table};
use crate::settings::Text;

/// Keys of a route for a tcp listener.
pub(crate) const STREAM_ROUTE: [&str; 6] = ["name", "listener", "sni", "client", "pool", "split"];

/// A derived name is cut here.
const DERIVED_NAME_MAX: usize = 120;

section! {
    /// Which request goes where. The most specific route wins, whatever the order in the file. All of the
    /// conditions that a route names must hold. What is done with the request is said by `pool`, `split`,
    /// `redirect`, `respond` or `files`. A route that names a tcp listener says where its connections go: it takes `name`,
    /// `listener`, `sni`, `client`, and `pool` or `split`.
    pub struct Route "[[route]]" {
        /// What logs and metrics call it.
        name: RouteName = key(
            Kind::Text(&NAME),
            Means("made from what it matches, as in `shop.example.com/api/*`"),
            r#""shop-api""#,
        ),
        /// Only requests that came in there.
        listeners as "listener": Vec<ListenerName> = key(
            Kind::OneOrList(&Kind::Text(&LISTENER_NAME), 256),
            Means("every http listener"),
            r#""web""#,
        ),
        /// Only connections whose client asks for one of these server names in its TLS hello (SNI), which is read but not
        /// terminated. Only for a tcp listener, which the route must name.
        snis as "sni": Vec<HostMatch> = key(
            Kind::OneOrList(&Kind::Text(&SNI), 10_000),
            Means("any name, or none"),
            r#"["imap.example.com", "*.mail.example.com"]"#,
        ),
        /// Only requests for one of these hosts.
        hosts as "host": Vec<HostMatch> = key(
            Kind::OneOrList(&Kind::Text(&HOST), 10_000),
            Means("any host"),
            r#"["shop.example.com", "*.shop.example.com"]"#,
        ),
        /// `path` or `path_regex`.
        path: PathMatch = flat(&PATHS),
        /// Only these methods.
        methods as "method": Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&METHOD), 64),
            Means("any method"),
            r#"["GET", "POST"]"#,
        ),
        /// Only requests that carry all of these header fields with exactly these values.
        headers: Vec<(String, String)> = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("any"),
            r#"{ x-canary = "1" }"#,
        ),
        /// Only requests that carry all of these query parameters with exactly these values.
        query: Vec<(String, String)> = key(
            Kind::Map(&QUERY_NAME, &Kind::Text(&QUERY_VALUE), 64),
            Means("any"),
            r#"{ beta = "true" }"#,
        ),
        /// Only clients with these addresses.
        clients as "client": Vec<IpNet> = key(
            Kind::OneOrList(&Kind::Text(&NETWORK), 10_000),
            Means("any address"),
            r#"["10.0.0.0/8"]"#,
        ),
        /// What is done with the request.
        action: Action = flat(&ACTIONS),
        /// What a server sees instead of the path that was asked for.
        rewrite: Option<Rewrite> = key(
            Kind::Section(&REWRITE),
            Means("the path stays"),
            r#"{ strip_prefix = "/api" }"#,
        ),
        /// `false`: `//` and `%5C` in the path reach the server as they came, for image proxies and object stores. Routes
        /// are matched as ever, with `//` merged. A path gets 400 if it holds `//` and `.` or `..` as well, or if it
        /// matches `path`, or holds `strip_prefix`, only with `//` merged. By default `//` becomes `/`, and `%5C` gets 400.
        merge_slashes: bool = key(Kind::Boolean, Is("true"), "false"),
        /// Changes to the request's header fields on their way to a server.
        request_headers: HeaderEdits = key(
            Kind::Section(HeaderEdits::SECTION),
            Means("no change"),
            r#"{ set = { x-env = "prod" }, remove = ["x-debug"] }"#,
        ),
        /// Changes to the response's header fields on their way to the client.
        response_headers: HeaderEdits = key(
            Kind::Section(HeaderEdits::SECTION),
            Means("no change"),
            r#"{ set = { strict-transport-security = "max-age=63072000" } }"#,
        ),
        /// Which `X-Request-Id` clients see: the balancer's own, or that of the server's response if it has one. Servers and
        /// the log get the balancer's.
        request_id: RequestId = key(Kind::OneOf(RequestId::WORDS), Is(RequestId::Own.word()), r#""server""#),
        /// Whose requests are turned away first when the process is overloaded; those of `high` never are.
        priority: Priority = key(Kind::OneOf(Priority::WORDS), Is(Priority::Normal.word()), r#""high""#),
        /// How long a request of this route may take.
        timeout: RouteTimeout = key(
            Kind::Section(RouteTimeout::SECTION),
            Means("the defaults"),
            r#"{ request = "30s", idle = "1h" }"#,
        ),
        /// When another server gets a request that one has failed; `false`: never, `true`: by the defaults.
        retry: Retry = key(
            Kind::Either(&Kind::Boolean, &Kind::Section(Retry::SECTION)),
            Means("the defaults"),
            r#"{ attempts = 3, on = ["connect", "reset", "503"], budget = "20%" }"#,
        ),
        /// Ask another server as well when one is slow to answer.
        hedge: Option<Hedge> = key(
            Kind::Section(Hedge::SECTION),
            Means("one server at a time"),
            r#"{ after = "p95", max = 1 }"#,
        ),
        /// Keeps responses and answers later requests with them; `true`: by the responses' own `Cache-Control` and nothing
        /// else.
        cache: Option<Cache> = key(
            Kind::Either(&Kind::Boolean, &Kind::Section(Cache::SECTION)),
            Means("nothing is kept"),
            r#"{ ttl = "10m", key = { query = ["page"] }, stale_if_error = "1h" }"#,
        ),
        /// The deadline header: the field in which servers read how much time is left of `timeout.request`.
        /// `grpc-timeout` is in the format of gRPC, any other in whole milliseconds. A client that sends it shortens the time of its request.
        deadline_header: Option<DeadlineHeader> = key(
            Kind::Text(&HEADER_NAME),
            Means("no field is sent"),
            r#""x-request-timeout-ms""#,
        ),
        /// How many requests may come.
        rate_limits as "rate_limit": Vec<RateLimit> = key(
            Kind::OneOrList(&Kind::Section(RateLimit::SECTION), 8),
            Means("no limit"),
            r#"{ per = "client-ip", rate = "10/s", burst = 20 }"#,
        ),
        /// How large a request of this route may be.
        limits: RouteLimits = key(
            Kind::Section(RouteLimits::SECTION),
            Means("those of `[limits]`"),
            r#"{ request_head = "8KiB", request_body = "1GiB" }"#,
        ),
        /// Compresses responses: `true`, or what a client may get; `false`: none.
        compress: Option<Compress> = key(
            Kind::Either(&SHORT, &Kind::Section(Compress::SECTION)),
            Means("responses go out as they come"),
            r#"["zstd", "br", "gzip"]"#,
        ),
        /// Sends copies of requests to another pool as well.
        mirror: Option<Mirror> = key(
            Kind::Section(Mirror::SECTION),
            Means("no copies"),
            r#"{ pool = "shadow", percent = 5 }"#,
        ),
        /// Which of its requests the access log has: `true`, `false`, or a share, as in `"10%"`. A request is logged in any
        /// case that failed (a status from 500 on, or one that was cut off) or took as long as `slow` of `[log]`.
        log: LogShare = key(SHARE_OR_NOT, Is("true"), r#""10%""#),
        /// Which of its requests are traced, in place of `sample` of `[tracing]`: `true`, a share, or `false`, with which
        /// trace contexts pass through as they come. Only with `[tracing]`.
        trace: Option<RouteTrace> = key(SHARE_OR_NOT, Means("as `[tracing]` says"), r#""50%""#),
        /// Its listeners are of TCP or UDP: it is for connections and sessions.
        is_layer4: bool = Member::Written,
    }
}

impl Route {
    /// A route that takes every request, and does this with it; everything else is at its default.
    pub fn new(action: Action) -> Self {
        let defaults: Self = declared().expect("every key but the action has a default");
        Self { action, ..defaults }
    }
}

impl Rules for Route {
    fn finish(&mut self, table: &Table<'_>) {
        self.note_what_needs_a_pool(table);
        self.check_rewrite(table);
        self.check_edits(table);
        self.check_hedge(table);
        self.check_deadline_header(table);
        self.name_limits(table);
        self.check_mirror(table);
        refuse_addresses(&self.snis, table);
        table.reader.links().routes.push(RouteLink {
            at: table.at.clone(),
            name: table.value_span("name"),
            deadline_header: table.key_span("deadline_header"),
            keys: table
                .section
                .keys()
                .filter_map(|key| Some((key.name, table.key_span(key.name)?)))
                .collect(),
            parent: table.peek("cache").and_then(|cache| cache.value_span("parent")),
        });
    }

    fn shown(&self, key: &str) -> Shown {
        match key {
            "is_layer4" => Shown::Nothing,
            "name" if is_derived(&self.name) => Shown::Comment(format!("name: {}", self.name)),
            "path" | "action" if self.is_layer4 => Shown::only_if(key == "action"),
            _ if self.is_layer4 => Shown::only_if(STREAM_ROUTE.contains(&key)),
            "sni" => Shown::Nothing,
            // Beside an answer of our own they would have no effect, which is worth a warning.
            "merge_slashes" | "timeout" | "retry" | "hedge" | "cache" | "deadline_header" | "mirror"
            | "request_id" => Shown::only_if(self.reaches_servers()),
            "compress" => Shown::only_if(!matches!(self.action, Action::Redirect(_))),
            _ => Shown::Value,
        }
    }
}

impl Route {
    fn reaches_servers(&self) -> bool {
        matches!(self.action, Action::Pool(_) | Action::Split(_))
    }

    /// A redirect, an answer of our own and files reach no server.
    fn note_what_needs_a_pool(&self, table: &Table<'_>) {
        if matches!(self.action, Action::Redirect(_)) {
            let message = "`compress` has no effect beside `redirect`, whose responses are small";
            table.warn_of("compress", message, "has no effect");
        }
        let own = match self.action {
            Action::Redirect(_) => "redirect",
            Action::Respond(_) => "respond",
            Action::Files(_) => "files",
            Action::Pool(_) | Action::Split(_) => return,
        };
        for key in [
            "rewrite",
            "merge_slashes",
            "request_headers",
            "timeout",
            "retry",
            "hedge",
            "cache",
            "deadline_header",
            "mirror",
            "request_id",
        ] {
            if key == "rewrite" && own == "files" {
                continue;
            }
            let message = format!("`{key}` has no effect beside `{own}`, which reaches no server");
            table.warn_of(key, message, "has no effect");
        }
    }
}

words! {
    /// `request_id` of a route.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RequestId {
        /// The balancer's.
        Own = "own",
        /// The server's, if its response has one.
        Server = "server",
    }
}

word_settings!(RequestId);

section! {
    /// How long a request of this route may take.
    pub struct RouteTimeout "timeout of [[route]]" {
        /// From the last byte of the request's head to the last one of the response; `off` is no limit.
        request: Option<Duration> = key(Kind::DurationOrOff(1, DAY_MS), Is("off"), r#""30s""#),
        /// A tunnel (WebSocket) in which nothing moves.
        idle: Duration = key(DURATION, Is("1h"), r#""1h""#),
    }
}

impl Rules for RouteTimeout {}

/// The name of a route that has none of its own. It holds a `/` or a `~`, which no written name does.
pub(crate) fn is_derived(name: &RouteName) -> bool {
    name.as_str().contains(['/', '~'])
}

/// Gives a name to those that have none: what they match, made unique with `#2`, `#3`.
pub(super) fn name_all(routes: &mut [Route]) {
    let mut taken: HashSet<String> = routes.iter().map(|route| route.name.to_string()).collect();
    let mut repeats = std::collections::HashMap::<String, u32>::new();
    for route in routes.iter_mut().filter(|route| route.name.as_str().is_empty()) {
        let base = derive(route);
        let count = repeats.entry(base.clone()).or_insert(0);
        let name = loop {
            *count += 1;
            let name = if *count == 1 { base.clone() } else { format!("{base}#{count}") };
            if taken.insert(name.clone()) {
                break name;
            }
        };
        route.name = name.into();
    }
}

/// `METHODS HOST PATH`, as in `GET,POST shop.example.com/api/*`; of a tcp listener `LISTENER/SNI`.
fn derive(route: &Route) -> String {
    let mut out = String::new();
    if route.is_layer4 {
        out.extend(route.listeners.first().map(ToString::to_string));
        out.push('/');
        out.extend(route.snis.first().map(Text::written));
        if route.snis.len() > 1 {
            out.push_str(&format!("+{}", route.snis.len() - 1));
        }
        return out;
    }
    if !route.methods.is_empty() {
        out.push_str(&route.methods.join(","));
        out.push(' ');
    }
    out.extend(route.hosts.first().map(Text::written));
    if route.hosts.len() > 1 {
        out.push_str(&format!("+{}", route.hosts.len() - 1));
    }
    out.push_str(&match &route.path {
        PathMatch::Regex(regex) => format!("~{}", matching::written(regex).escape_debug()),
        path => matching::show_path(path),
    });
    if out.len() > DERIVED_NAME_MAX {
        // What names a derived name for what it is must not be cut off.
        out = out.chars().take(DERIVED_NAME_MAX).collect::<String>() + "~";
    }
    out
}
