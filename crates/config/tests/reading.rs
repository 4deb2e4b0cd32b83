//! What a file means: the defaults, the forms that a value may have, and the names that are made up.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use evenkeel_config::*;

const LISTENER: &str = "[listener.web]\nbind = \":80\"\npool = \"app\"\n";
const POOL: &str = "[pool.app]\nbackends = [\"10.0.0.1:80\"]\n";

fn read(text: &str) -> Config {
    parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

fn message(text: &str) -> String {
    match parse("test.toml", text) {
        Ok(parsed) => panic!("this was taken:\n{text}\nfor\n{:?}", parsed.config),
        Err(faults) => faults.iter().map(|fault| format!("{}\n", fault.message())).collect(),
    }
}

/// The one route that `lines` describe.
fn route(lines: &str) -> Route {
    read(&format!("{LISTENER}[[route]]\npool = \"app\"\n{lines}\n{POOL}")).routes.remove(0)
}

/// Pool `app` with `lines` more.
fn pool(lines: &str) -> Pool {
    read(&format!("{LISTENER}{POOL}{lines}\n")).pools.remove(0)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_defaults_of_the_process() {
    let config = read(&format!("{LISTENER}{POOL}"));
    assert_eq!((config.server.workers, config.server.grace), (None, seconds(30)));
    assert_eq!(config.server.secret_file, None);
    assert_eq!(config.admin.bind.unwrap().to_string(), "127.0.0.1:9900");
    assert!(!config.admin.explicit);
    assert_eq!((config.log.access, config.log.format), (AccessLog::Stdout, LogFormat::Json));
    let limits = config.limits;
    assert_eq!((limits.connections, limits.request_head, limits.headers), (100_000, 32 << 10, 100));
    assert_eq!((limits.uri, limits.request_body, limits.body_rate), (16 << 10, None, 240));
    assert_eq!(limits.unsent_memory, 256 << 20);
    assert_eq!((config.cache.memory, config.cache.eviction), (256 << 20, Eviction::S3Fifo));
    assert!(config.cache.purge_from.is_empty());
    let timeout = &config.listeners[0].timeout;
    assert_eq!((timeout.head, timeout.body), (seconds(10), seconds(30)));
    assert_eq!((timeout.idle, timeout.write), (seconds(75), seconds(30)));
    assert!(config.listeners[0].trusted_proxies.is_empty());
}

#[test]
fn the_cache_in_full() {
    let text =
        "[cache]\nmemory = \"1GiB\"\neviction = \"lfu\"\npurge_from = [\"127.0.0.0/8\", \"2001:db8::7\"]\n";
    let cache = read(&format!("{text}{LISTENER}{POOL}")).cache;
    assert_eq!((cache.memory, cache.eviction), (1 << 30, Eviction::Lfu));
    let from: Vec<String> = cache.purge_from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["127.0.0.0/8", "2001:db8::7/128"]);
}

#[test]
fn the_defaults_of_pools_and_routes() {
    let plain = pool("");
    assert_eq!((plain.algorithm, plain.keepalive.idle), (Algorithm::RoundRobin, 128));
    assert_eq!((plain.sticky, plain.health, plain.outlier), (None, None, None));
    let (connect, response, idle) = (seconds(5), seconds(60), seconds(60));
    let timeout = PoolTimeout { connect, response, continue_after: seconds(1), idle };
    assert_eq!(plain.timeout, timeout);
    assert_eq!((plain.backends[0].weight, plain.backends[0].backup), (1, false));
    let outlier = Outlier {
        failures: 3,
        on: evenkeel_config::FailureOn {
            connect: true,
            reset: true,
            timeout: true,
            all_5xx: false,
            statuses: vec![502, 503, 504],
        },
        window: seconds(30),
        eject: seconds(30),
        max_ejected: 50,
        success_rate: None,
        latency: None,
        requests_min: 50,
    };
    assert_eq!(pool("outlier = {}").outlier, Some(outlier));
    assert_eq!((plain.panic, plain.slow_start), (50, None));

    let route = route("");
    assert!(matches!(&route.path, PathMatch::Prefix(path) if path == "/"));
    assert_eq!((route.timeout.request, route.timeout.idle), (None, seconds(3600)));
    assert!(route.request_headers.is_empty() && route.response_headers.is_empty() && route.rewrite.is_none());
}

#[test]
fn the_kind_of_a_health_check_follows_from_what_it_asks_for() {
    let health = |lines: &str| pool(&format!("health = {lines}")).health.unwrap();
    let http =
        |path: &str, expect| Probe::Http(HttpProbe { path: path.into(), expect, ..HttpProbe::default() });
    assert_eq!(health("{}").probe, Probe::Tcp);
    assert_eq!(health("{ kind = \"http\" }").probe, http("/", vec![(200, 399)]));
    assert_eq!(health("{ path = \"/up?x=1\" }").probe, http("/up?x=1", vec![(200, 399)]));
    let expect = health("{ expect = [200, \"3xx\", \"401-403\", \"404\"] }").probe;
    assert_eq!(expect, http("/", vec![(200, 200), (300, 399), (401, 403), (404, 404)]));
    assert_eq!(health("{ expect = 204 }").probe, http("/", vec![(204, 204)]));
    let probe = |lines: &str| match health(lines).probe {
        Probe::Http(probe) => probe,
        other => panic!("{other:?}"),
    };
    assert_eq!(probe("{ host = \"a.example:81\" }").host.as_deref(), Some("a.example:81"));
    assert_eq!(probe("{ method = \"HEAD\" }").method, "HEAD");
    assert_eq!(probe("{ body = \"ready\" }").body.as_deref(), Some("ready"));
    assert_eq!(probe("{ headers = { X-A = \"1\" } }").headers, [("x-a".to_owned(), "1".to_owned())]);
    let tcp = health("{ port = 8081 }");
    assert_eq!((tcp.probe, tcp.port), (Probe::Tcp, Some(8081)));
}

#[test]
fn a_check_may_take_longer_than_the_time_to_the_next_one() {
    let health = |lines: &str| pool(&format!("health = {lines}")).health.unwrap();
    let plain = health("{}");
    assert_eq!((plain.interval, plain.timeout, plain.start_period), (seconds(5), seconds(2), seconds(0)));
    assert_eq!((plain.fall, plain.rise), (3, 1));
    assert_eq!(health("{ interval = \"100ms\" }").timeout, Duration::from_millis(100));
    assert_eq!(health("{ interval = \"1m30s\", timeout = \"1m\" }").timeout, seconds(60));
    assert_eq!(health("{ timeout = \"6s\" }").timeout, seconds(6));
}

#[test]
fn a_configuration_built_by_code_is_the_one_that_is_read() {
    let read = read(&format!("{LISTENER}[[route]]\npath = \"/*\"\nrespond = {{}}\n{POOL}health = {{}}\n"));
    let mut listener =
        Listener::new("web", vec!["[::]:80".parse().map(evenkeel_types::Address::Ip).unwrap()]);
    listener.pool = Some("app".into());
    let mut pool =
        Pool::new("app", vec![Backend::new(evenkeel_types::Address::backend("10.0.0.1:80").unwrap())]);
    pool.health = Some(Health::new(Probe::Tcp));
    let respond =
        Respond { status: 200, body: String::new(), content_type: "text/plain; charset=utf-8".into() };
    let built = Config::new(vec![listener], vec![Route::new(Action::Respond(respond))], vec![pool]);
    assert_eq!(built.to_toml(), read.to_toml());
    assert!(built.check().unwrap().is_empty());
}

#[test]
fn a_configuration_built_by_code_is_checked() {
    let server = || Backend::new(evenkeel_types::Address::backend("10.0.0.1:80").unwrap());
    let pool = Pool::new("app", vec![server(), server()]);
    let faults =
        Config::new(Vec::new(), vec![Route::new(Action::Pool("ap".into()))], vec![pool]).check().unwrap_err();
    let messages: Vec<&str> = faults.iter().map(Diagnostic::message).collect();
    assert_eq!(messages, ["there is no pool `ap`", "two servers of pool `app` are called `10.0.0.1:80`"]);
    assert!(faults.iter().all(|fault| fault.line() == 0), "{faults}");
}

#[test]
fn nesting_without_end_is_found_where_it_begins() {
    let faults = parse("test.toml", &format!("# {}\na = \"[[\"\nx = {}", "[".repeat(200), "[".repeat(300)))
        .unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!((fault.line(), fault.column()), (3, 84 + 1));
    assert!(fault.message().contains("80 deep"), "{faults}");
}

#[test]
fn addresses_networks_and_bare_ports() {
    let config = read(
        "[admin]\nbind = 9000\n[listener.web]\nbind = [80, \"localhost:81\", \"unix:/run/web.sock\"]\npool = \"app\"\n\
         trusted_proxies = [\"10.1.2.3/8\", \"192.0.2.7\", \"::1\"]\n\
         [pool.app]\nbackends = [3000, { address = 3001, name = \"b\" }, \"app.internal:80\"]\n",
    );
    assert_eq!(config.admin.bind.unwrap().to_string(), "127.0.0.1:9000");
    assert!(config.admin.explicit);
    let bind: Vec<String> = config.listeners[0].bind.iter().map(ToString::to_string).collect();
    assert_eq!(bind, ["[::]:80", "127.0.0.1:81", "unix:/run/web.sock"]);
    let trusted: Vec<String> = config.listeners[0].trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "192.0.2.7/32", "::1/128"]);
    let ids: Vec<&str> = config.pools[0].backends.iter().map(|backend| backend.id.as_str()).collect();
    assert_eq!(ids, ["127.0.0.1:3000", "b", "app.internal:80"]);
}

#[test]
fn the_admin_api_needs_a_token_when_others_can_reach_it() {
    let with = |admin: &str| format!("[admin]\n{admin}\n{LISTENER}{POOL}");
    assert!(
        message(&with("bind = \":9900\"\n[server]\n").replace(":9900", "10.0.0.1:9900")).contains("no token")
    );
    assert!(message(&with("bind = \"[::]:9900\"")).contains("no token"));
    for fine in
        ["bind = \":9900\"", "bind = \"[::1]:9900\"", "bind = \"unix:/run/admin.sock\"", "bind = \"off\""]
    {
        read(&with(fine));
    }
    read(&with("bind = \"0.0.0.0:9900\"\ntoken_file = \"token\""));
    let config = read(&with("bind = \"off\""));
    assert!(config.admin.bind.is_none() && config.admin.explicit);
}

#[test]
fn hosts_and_paths_are_held_as_they_are_matched() {
    let hosts = route("host = [\"Shop.Example.com\", \"*.Example.com\", \"[::0:1]\", \"10.0.0.1\"]").hosts;
    let exact = |host: &str| HostMatch::Exact(host.into());
    let expected = [
        exact("shop.example.com"),
        HostMatch::Wildcard(".example.com".into()),
        exact("[::1]"),
        exact("10.0.0.1"),
    ];
    assert_eq!(hosts, expected);

    let path = |lines: &str| format!("{:?}", route(lines).path);
    assert_eq!(path("path = \"/\""), "Exact(\"/\")");
    assert_eq!(path("path = \"/*\""), "Prefix(\"/\")");
    assert_eq!(path("path = \"/api/*\""), "Prefix(\"/api\")");
    assert_eq!(path("path = \"/api/\""), "Exact(\"/api/\")");
    let PathMatch::Regex(regex) = route("path_regex = '/a|/b\\d'").path else { panic!("not a regex") };
    assert!(
        regex.is_match("/b7") && regex.is_match("/a") && !regex.is_match("/ab7") && !regex.is_match("x/a")
    );
}

#[test]
fn conditions_and_edits_have_lower_case_names() {
    let route = route(
        "headers = { X-Canary = \"Yes\" }\nquery = { Beta = \"\" }\nmethod = \"PURGE\"\n\
         request_headers = { set = { X-Env = \"Prod\", Host = \"a\" }, remove = \"X-Debug\" }",
    );
    assert_eq!(route.headers, [("x-canary".into(), "Yes".into())]);
    assert_eq!(route.query, [("Beta".into(), String::new())]);
    assert_eq!(route.methods, ["PURGE"]);
    let set = [("x-env".into(), "Prod".into()), ("host".into(), "a".into())];
    assert_eq!(route.request_headers.set, set);
    assert_eq!(route.request_headers.remove, ["x-debug"]);
}

#[test]
fn what_a_route_does() {
    let action = |lines: &str| read(&format!("{LISTENER}{POOL}[[route]]\n{lines}\n")).routes.remove(0).action;
    let Action::Redirect(redirect) = action("redirect = \"https://{host}{path}{query}\"") else { panic!() };
    assert_eq!((redirect.to.as_str(), redirect.status), ("https://{host}{path}{query}", 302));
    let Action::Respond(respond) = action("respond = { status = 204 }") else { panic!() };
    assert_eq!((respond.status, respond.body.as_str()), (204, ""));
    let Action::Respond(respond) = action("respond = {}") else { panic!() };
    assert_eq!((respond.status, respond.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    let Action::Split(shares) = action("split = [{ pool = \"app\", weight = 95 }]") else { panic!() };
    assert_eq!(shares, [("app".into(), 95)]);
    let Action::Files(files) = action("files = \"/srv\"") else { panic!() };
    assert_eq!(*files, Files::new("/srv".into()));
    assert_eq!(
        (files.index.as_slice(), files.precompressed, files.listing),
        (&["index.html".into()][..], false, false)
    );
    let text = "files = { root = \"/srv\", index = \"a\", fallback = \"/b/c\", listing = true, \
                cache_control = { \"z\" = \"1\", \"*\" = \"2\", \"a\" = \"3\" } }";
    let Action::Files(files) = action(text) else { panic!() };
    assert_eq!((files.index.as_slice(), files.fallback.as_deref()), (&["a".into()][..], Some("/b/c")));
    let patterns: Vec<&str> = files.cache_control.iter().map(|(pattern, _)| pattern.as_str()).collect();
    assert_eq!(patterns, ["z", "*", "a"], "in the order of the file");
    let rewrite = |lines: &str| route(lines).rewrite.unwrap();
    assert_eq!(rewrite("rewrite = { path = \"/new/*\" }"), Rewrite::ReplacePrefix("/new".into()));
    assert_eq!(rewrite("path = \"/x\"\nrewrite = { path = \"/new\" }"), Rewrite::ReplacePath("/new".into()));
    assert_eq!(rewrite("rewrite = { strip_prefix = \"/api\" }"), Rewrite::StripPrefix("/api".into()));
}

#[test]
fn algorithms_and_affinity() {
    let algorithm = |lines: &str| pool(lines).algorithm;
    assert_eq!(algorithm("algorithm = \"maglev\""), Algorithm::Maglev(HashKey::ClientIp));
    let by_header = Algorithm::ConsistentHash(HashKey::Header("x-user".into()));
    assert_eq!(algorithm("algorithm = \"consistent-hash\"\nhash_key = \"header:X-User\""), by_header);
    let by_cookie = Algorithm::Maglev(HashKey::Cookie("Sid".into()));
    assert_eq!(algorithm("algorithm = \"maglev\"\nhash_key = \"cookie:Sid\""), by_cookie);
    assert_eq!(algorithm("algorithm = \"power-of-two\""), Algorithm::PowerOfTwo);
    let sticky = |lines: &str| pool(&format!("sticky = {lines}")).sticky.unwrap();
    let cookie = Sticky::Cookie { name: "A".into(), ttl: Some(seconds(86_400 * 400)) };
    assert_eq!(sticky("{ cookie = \"A\", ttl = \"400d\" }"), cookie);
    assert_eq!(sticky("{ header = \"X-Session\" }"), Sticky::Header("x-session".into()));
    assert_eq!(sticky("{ app_cookie = \"JSESSIONID\" }"), Sticky::AppCookie("JSESSIONID".into()));
}

#[test]
fn what_has_no_name_is_named_after_what_it_matches() {
    let text = "[[route]]\npath = \"/api/*\"\nhost = [\"shop.example.com\"]\npool = \"app\"\n\
                [[route]]\nmethod = [\"GET\", \"HEAD\"]\nhost = [\"*.a\", \"b\", \"c\"]\npool = \"app\"\n\
                [[route]]\npath_regex = '/x\\d'\npool = \"app\"\n\
                [[route]]\npath = \"/api/*\"\npool = \"app\"\n\
                [[route]]\npath = \"/api/*\"\nheaders = { a = \"1\" }\npool = \"app\"\n\
                [[route]]\npath = \"/api/*\"\nheaders = { a = \"2\" }\npool = \"app\"\n\
                [[route]]\nname = \"mine\"\npath = \"/api/*\"\nquery = { a = \"2\" }\npool = \"app\"\n";
    let config = read(&format!("{LISTENER}{POOL}{text}"));
    let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
    let expected =
        ["shop.example.com/api/*", "GET,HEAD *.a+2/*", "~/x\\\\d", "/api/*", "/api/*#2", "/api/*#3", "mine"];
    assert_eq!(names, expected);
}

#[test]
fn listeners_routes_and_pools_keep_the_order_of_the_file() {
    let text = "[pool.z]\nbackends = [1]\n[listener.b]\nbind = 81\npool = \"z\"\n[pool.a]\nbackends = [2]\n\
                [listener.a]\nbind = 82\npool = \"a\"\n";
    let config = read(text);
    let listeners: Vec<&str> = config.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let pools: Vec<&str> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!((listeners, pools), (vec!["b", "a"], vec!["z", "a"]));
}

#[test]
fn ports_that_the_kernel_chooses_do_not_collide() {
    read(&format!("[listener.a]\nbind = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\npool = \"app\"\n{POOL}"));
    let text = format!("[listener.a]\nbind = \"[::]:80\"\npool = \"app\"\n{LISTENER}{POOL}");
    assert!(message(&text).contains("bound twice"));
}

#[test]
fn nothing_to_serve_is_an_error() {
    assert!(message("").contains("no `listener`"));
    assert!(message("[listener.web]\nbind = 80\n").contains("there is no pool"));
    read("[listener.web]\nbind = 80\n[[route]]\nrespond = { status = 200 }\n");
}

/// Listener `secure` with `lines` more.
fn listener(lines: &str) -> Listener {
    read(&format!("[listener.secure]\nbind = 443\npool = \"app\"\n{lines}\n{POOL}")).listeners.remove(0)
}

#[test]
fn the_defaults_of_tls_and_of_versions() {
    let plain = listener("");
    assert_eq!(plain.http, HttpVersions { http1: true, http2: true });
    assert!(plain.tls.is_none() && !plain.redirect_to_https);
    let tls = listener("tls.certificates = { cert = \"a.pem\", key = \"a.key\" }\n").tls.unwrap();
    let files = CertificateFiles { cert: "a.pem".into(), key: "a.key".into(), ocsp: None };
    let expected = ListenerTls {
        certificates: vec![files],
        profile: TlsProfile::Intermediate,
        passthrough: Vec::new(),
        client_auth: None,
    };
    assert_eq!(tls, expected);
    let plain = pool("");
    assert_eq!((plain.protocol, plain.tls), (PoolProtocol::Http1, None));
    let tls = PoolTls { server_name: None, trust: Trust::System, identity: None };
    assert_eq!(pool("tls = true").tls, Some(tls.clone()));
    assert_eq!(pool("tls = {}").tls, Some(tls));
    assert_eq!(pool("tls = false").tls, None);
}

#[test]
fn tls_in_full_dotted_or_as_a_table() {
    let dotted = "tls.certificates = [{ cert = \"/c/a.pem\", key = \"a.key\", ocsp = \"a.ocsp\" }]\n\
                  tls.profile = \"modern\"\ntls.client_ca = \"ca.pem\"\ntls.client_auth = \"optional\"\n\
                  tls.client_subject_header = \"X-Subject\"\nhttp = \"2\"\n";
    let listener_dotted = listener(dotted);
    assert_eq!(listener_dotted.http, HttpVersions { http1: false, http2: true });
    let tls = listener_dotted.tls.unwrap();
    let auth = ClientAuth { ca: "ca.pem".into(), required: false, subject_header: "x-subject".into() };
    assert_eq!((tls.profile, &tls.client_auth), (TlsProfile::Modern, &Some(auth)));
    assert_eq!(tls.certificates[0].ocsp, Some("a.ocsp".into()));
    let keys = dotted.replace("tls.", "").replace("http = \"2\"\n", "");
    assert_eq!(listener(&format!("[listener.secure.tls]\n{keys}")).tls, Some(tls));
    let required = "tls = { certificates = { cert = \"a\", key = \"b\" }, client_ca = \"ca.pem\" }";
    let auth = listener(required).tls.unwrap().client_auth.unwrap();
    assert_eq!((auth.required, auth.subject_header.as_str()), (true, "x-client-cert-subject"));

    let tls =
        pool("tls = { server_name = \"API.internal\", ca = \"ca.pem\", cert = \"b.pem\", key = \"b.key\" }")
            .tls;
    let identity = CertificateFiles { cert: "b.pem".into(), key: "b.key".into(), ocsp: None };
    let expected = PoolTls {
        server_name: Some(ServerIdentity::Fixed("api.internal".into())),
        trust: Trust::Ca("ca.pem".into()),
        identity: Some(identity),
    };
    assert_eq!(tls, Some(expected));
    let of_host = pool("tls.server_name = \"{host}\"").tls.unwrap();
    assert_eq!(of_host.server_name, Some(ServerIdentity::Host));
    assert_eq!(pool("tls.insecure_skip_verify = true").tls.unwrap().trust, Trust::Anything);
}

#[test]
fn files_of_tls_are_found_from_the_configuration_file() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("relative");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("evenkeel.toml");
    let text = format!(
        "{LISTENER}tls.certificates = [{{ cert = \"certs/a.pem\", key = \"/etc/a.key\" }}]\n{POOL}tls.ca = \"ca.pem\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = load(&file).unwrap().config;
    let files = &config.listeners[0].tls.as_ref().unwrap().certificates[0];
    assert_eq!((&files.cert, files.key.to_str()), (&folder.join("certs/a.pem"), Some("/etc/a.key")));
    assert_eq!(config.pools[0].tls.as_ref().unwrap().trust, Trust::Ca(folder.join("ca.pem")));
    // What `show` prints means the same files from anywhere.
    assert_eq!(read(&config.to_toml()).listeners[0].tls, config.listeners[0].tls);
}

#[test]
fn faults_of_files_are_drawn_where_the_files_are_named() {
    let text = "[listener.a]\nbind = 80\npool = \"app\"\ntls.certificates = [{ cert = \"a.pem\", key = \"a.key\" }]\n\
                [pool.app]\nbackends = [1]\ntls.ca = \"a.pem\"\n";
    let fault = |owner: FileOwner, key, severity| FileFault {
        owner,
        key,
        path: "a.pem".into(),
        severity,
        message: "cannot read it".into(),
        expected: "expected certificates".into(),
        help: String::new(),
    };
    let listener = FileOwner::Listener("a".into());
    let warned = parse("a.toml", text).unwrap().with_file_faults(&[fault(
        listener.clone(),
        "cert",
        Severity::Warning,
    )]);
    let place = |fault: &Diagnostic| (fault.severity(), fault.line(), fault.column());
    let seen: Vec<_> = warned.unwrap().warnings.iter().map(place).collect();
    assert_eq!(seen, [(Severity::Warning, 4, 30)]);
    let both = [
        fault(FileOwner::Pool("app".into()), "ca", Severity::Error),
        fault(listener, "cert", Severity::Warning),
    ];
    let refused = parse("a.toml", text).unwrap().with_file_faults(&both).unwrap_err();
    let seen: Vec<_> = refused.iter().map(place).collect();
    assert_eq!(seen, [(Severity::Warning, 4, 30), (Severity::Error, 7, 10)]);
    assert!(refused.render(false).contains("tls.ca = \"a.pem\""), "{refused}");
}

#[test]
fn a_listener_that_redirects_needs_nothing_else() {
    let config = read("[listener.web]\nbind = 80\nredirect_to_https = true\n");
    assert!(config.listeners[0].redirect_to_https);
}

#[test]
fn outliers_are_read_with_and_without_a_fraction() {
    let read = |lines: &str| pool(&format!("outlier = {lines}")).outlier.unwrap();
    let both = read("{ success_rate = 2, latency = 2.5, requests_min = 100, max_ejected = \"34%\" }");
    assert_eq!((both.success_rate, both.latency), (Some(2.0), Some(2.5)));
    assert_eq!((both.requests_min, both.max_ejected), (100, 34));
    let slow = |value: &str| pool(&format!("slow_start = {value}")).slow_start;
    assert_eq!((slow("\"off\""), slow("\"1m\"")), (None, Some(seconds(60))));
    assert_eq!(pool("outlier = {}\npanic = \"0%\"").panic, 0);
}

#[test]
fn compress_is_true_or_encodings_or_a_table() {
    let read = |value: &str| {
        let text = format!(
            "[listener.web]\nbind = 80\n[[route]]\npath = \"/*\"\ncompress = {value}\nrespond = {{ body = \"x\" }}\n"
        );
        let shown = parse("a.toml", &text).unwrap().config;
        let shown = shown.to_toml();
        let again = parse("a.toml", &shown).unwrap().config;
        assert_eq!(again.to_toml(), shown, "what is shown is read as the same");
        again.routes[0].compress.clone()
    };
    let defaults = Compress::default();
    assert_eq!(read("false"), None);
    assert_eq!(read("true"), Some(defaults.clone()));
    assert_eq!(read("{}"), Some(defaults.clone()));
    let only = |encodings: &[Encoding]| Compress { encodings: encodings.to_vec(), ..defaults.clone() };
    assert_eq!(read("\"gzip\""), Some(only(&[Encoding::Gzip])));
    assert_eq!(read("[\"br\", \"zstd\"]"), Some(only(&[Encoding::Br, Encoding::Zstd])));
    let table = read("{ types = \"text/html\", min_size = \"2KiB\", level = 9 }").unwrap();
    assert_eq!((table.min_size, table.level, table.types.len()), (2_048, 9, 1));
    assert!(table.types[0].holds("text/html") && !table.types[0].holds("text/css"));
}
