//! What can be switched on for requests, one by one, to see what each costs.

/// How evenkeel is configured beyond its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// For people.
    pub name: &'static str,
    /// Keys of the route.
    route: &'static str,
    /// Keys of the pool.
    pool: &'static str,
}

/// The defaults: retries when a connection fails, and nothing else.
pub const NONE: Feature = Feature { name: "", route: "", pool: "" };

/// Beside the pool, the files of the rig's directory below [`FILES_PATH`].
pub const FILES: Feature = Feature { name: "files", route: "", pool: "" };

/// The servers speak HTTP/2, as those of gRPC do, also those of the peers.
pub const GRPC: Feature = Feature { name: "grpc", route: "", pool: "protocol = \"http2\"" };

/// Where files are served.
pub const FILES_PATH: &str = "/files/";

/// All that the first four of [`EACH`] do.
pub const GUARDED: Feature = Feature {
    name: "all four",
    route: "retry = { on = [\"connect\", \"reset\", \"timeout\", \"503\"], per_try_timeout = \"5s\" }\n\
            rate_limit = { per = \"client-ip\", rate = \"1000000/s\", burst = 1_000_000 }",
    pool: "outlier = { success_rate = 1.9, latency = 3.0 }\n\
           breaker = { max_requests = 10_000, failures = \"50%\" }",
};

/// A tenth of the requests is traced; a server takes their spans as well.
pub const TRACED: Feature = Feature { name: "traces", route: "trace = \"10%\"", pool: "" };

/// No request is recorded.
pub const UNRECORDED: Feature = Feature { name: "no `[recorder]`", route: "", pool: "" };

/// Every answer comes from the cache, also those of the peers.
pub const CACHED: Feature = Feature { name: "`cache`", route: "cache = { ttl = \"10m\" }", pool: "" };

/// Every answer comes from the cache, compressed for clients that take gzip.
pub const COMPRESSED: Feature = Feature {
    name: "`cache` and `compress`",
    route: "cache = { ttl = \"10m\" }\ncompress = { encodings = [\"gzip\"], min_size = \"0B\" }",
    pool: "",
};

/// The level of compression, ours and that of the peers.
pub const COMPRESSION_LEVEL: u32 = 4;

/// Every answer is compressed with gzip.
pub const GZIP: Feature =
    Feature { name: "gzip", route: "compress = { encodings = [\"gzip\"], level = 4 }", pool: "" };

/// Every answer is compressed with Brotli.
pub const BROTLI: Feature =
    Feature { name: "br", route: "compress = { encodings = [\"br\"], level = 4 }", pool: "" };

/// Those whose cost is shown, in the order of the rows.
pub const EACH: [Feature; 9] = [
    Feature {
        name: "`retry` on statuses, with `per_try_timeout`",
        route: "retry = { on = [\"connect\", \"reset\", \"timeout\", \"503\"], per_try_timeout = \"5s\" }",
        pool: "",
    },
    Feature {
        name: "`breaker` with `max_requests` and `failures`",
        route: "",
        pool: "breaker = { max_requests = 10_000, failures = \"50%\" }",
    },
    Feature {
        name: "`outlier` with `success_rate` and `latency`",
        route: "",
        pool: "outlier = { success_rate = 1.9, latency = 3.0 }",
    },
    Feature {
        name: "`rate_limit` per client",
        route: "rate_limit = { per = \"client-ip\", rate = \"1000000/s\", burst = 1_000_000 }",
        pool: "",
    },
    GUARDED,
    Feature { name: "`server_breaker`", route: "", pool: "server_breaker = { failures = \"50%\" }" },
    Feature { name: "`concurrency`", route: "", pool: "concurrency = { min = 1000, max = 2000 }" },
    Feature { name: "`hedge`", route: "hedge = { after = \"p95\" }", pool: "" },
    Feature {
        name: "`mirror` of 5 %, but for the kernel's part in the copies",
        route: "mirror = { pool = \"shadow\", percent = 5 }",
        pool: "",
    },
];

impl Feature {
    /// True if answers come from the cache.
    pub fn caches(&self) -> bool {
        self.route.starts_with("cache")
    }

    /// The encoding that answers are compressed with, if they are.
    pub fn compression(&self) -> Option<&'static str> {
        [GZIP, BROTLI].contains(self).then_some(self.name)
    }

    /// The route to the pool `app`, and what that pool has beside its servers. `backends` are those of a mirror.
    pub fn lines(&self, backends: &str) -> String {
        let Self { route, pool, .. } = self;
        let collector = backends.split(',').next().unwrap_or_default().trim().trim_matches('"');
        let section = match *self {
            TRACED => format!("[tracing]\notlp = \"http://{collector}\"\n\n"),
            UNRECORDED => "[recorder]\nmemory = \"off\"\n\n".to_owned(),
            _ => String::new(),
        };
        let shadow = match route.contains("mirror") {
            true => format!("[pool.shadow]\nbackends = [{backends}]\nkeepalive = 512\n"),
            false => String::new(),
        };
        format!(
            "{section}[[route]]\npool = \"app\"\n{route}\n\n{shadow}\n[pool.app]\nbackends = [{backends}]\nkeepalive = 512\n{pool}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_compression_is_that_of_the_peers() {
        let level = format!("level = {COMPRESSION_LEVEL} ");
        assert!([GZIP, BROTLI].iter().all(|feature| feature.route.contains(&level)));
    }

    #[test]
    fn all_four_are_the_four() {
        let together = |of: fn(&Feature) -> &'static str| {
            EACH[..4].iter().map(of).filter(|text| !text.is_empty()).collect::<Vec<_>>()
        };
        assert!(together(|feature| feature.route).iter().all(|line| GUARDED.route.contains(line)));
        assert!(together(|feature| feature.pool).iter().all(|line| GUARDED.pool.contains(line)));
    }
}
