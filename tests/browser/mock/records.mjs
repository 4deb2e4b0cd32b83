// Made-up records of requests, an explanation and a configuration, in the form in which a real process answers them.

const HEADERS = [["host", "shop.example.com"], ["user-agent", "curl/8.9.1"], ["accept", "*/*"], ["cookie", "(redacted)"], ["x-request-id", "5f0c"]];

/** The record of request `index`, the newest being 0. */
export function record(index) {
  const isFailed = index % 4 === 0;
  const isSlow = index % 4 === 1;
  const took = isFailed ? 2214.6 : isSlow ? 1840.2 : 4.8;
  return {
    id: `${(0x7a10_0000 + index * 7919).toString(16)}c41f`, at: Date.now() / 1000 - 3 - index * 11, client: `203.0.113.${(index % 200) + 1}`,
    method: index % 5 === 2 ? "POST" : "GET", host: "shop.example.com", target: `/api/cart/${1000 + index}?page=2`, status: isFailed ? 502 : 200,
    ended: isFailed ? "backend_aborted" : "complete", why_kept: isFailed ? "failed" : isSlow ? "slow" : "sampled", duration_ms: took, route: "cart", pool: "api", server: isFailed ? "api-3" : `api-${(index % 2) + 1}`,
    tries: isFailed ? 2 : 1, ...(isFailed ? { reason: "both tries failed: connection refused, connection reset" } : {}),
  };
}

/** The same with all that is known of it. */
export function whole(summary) {
  const isFailed = summary.status === 502;
  const end = summary.duration_ms;
  const steps = isFailed ? [
    [0, "route", "Route cart matched: host shop.example.com, path prefix /api/cart/."], [0.06, "limit", "10 requests a second for 203.0.113.1: 7 permits left."],
    [0.1, "choose", "api-3: fewest requests in flight (0) of 3 servers."], [0.2, "connect", "Connection to 10.0.0.3:3000 refused.", 0.1],
    [0.4, "retry", "Try 2 of 3, because nothing was sent; the retry budget has 14 left."], [412.4, "queue", "Waited before the next try.", 412], [412.4, "choose", "api-1: fewest requests in flight (2) of 2 servers."],
    [412.5, "send", "The request went over an idle connection to 10.0.0.1:3000."], [2214.1, "answer", "The server reset the connection before its answer.", 1801.6],
    [2214.6, "end", "Answered 502: no try is left for a POST."],
  ] : [
    [0, "route", "Route cart matched: host shop.example.com, path prefix /api/cart/."], [0.05, "cache", "Not asked: the request has a cookie."],
    [0.1, "queue", "Waited for a permit: pool api has all of its 100 in use."], [end * 0.3, "queue", "A permit was given back.", end * 0.28], [end * 0.3, "choose", `${summary.server}: fewest requests in flight (4) of 3 servers.`],
    [end * 0.3 + 0.1, "send", "The request went over an idle connection."], [end * 0.98, "answer", "The server answered 200.", end * 0.66], [end, "end", "The client has the whole response."],
  ];
  return {
    ...summary, listener: "secure", scheme: "https", version: "HTTP/2.0", client_port: 51_034, wait_ms: isFailed ? 12 : 0, headers: HEADERS,
    steps: steps.map(([at_ms, kind, what, took_ms]) => ({ at_ms, kind, what, ...(took_ms ? { took_ms } : {}) })),
    fault: isFailed ? "server" : "none",
    verdict: isFailed ? "The servers were at fault: api-3 refused the connection, api-1 reset it." : "Nothing failed.",
    ...(isFailed ? { look_at: "the logs of api-1 at this time, and why nothing listens on 10.0.0.3:3000." } : {}), nearest: [],
    nearly: [{ route: "cart-canary", why_not: "the header x-canary is missing" }, { route: "checkout", why_not: "the path does not begin with /api/checkout/" }],
    candidates: [
      { server: "api-1", state: "up", score: 2, why: "2 requests in flight" }, { server: "api-2", state: "up", score: 4, why: "4 requests in flight" },
      { server: "api-3", state: isFailed ? "up" : "down", score: 0, why: isFailed ? "fewest requests in flight" : "its checks fail" },
    ],
    closed_first: isFailed ? "server" : null,
  };
}

/** Where `asked` would go. */
export function explain({ url, headers = {} }) {
  const path = new URL(url).pathname;
  if (!path.startsWith("/api/")) {
    return { listener: "secure", path, considered: [{ route: "cart", verdict: "refused", reason: "the path does not begin with /api/" }], status: 404, reason: "no route matches" };
  }
  const isCanary = headers["x-canary"] === "1";
  return {
    listener: "secure", path, route: isCanary ? "cart-canary" : "cart", pool: "api", server: "api-1", address: "10.0.0.1:3000", target: path,
    reason: "fewest requests in flight (2) of 3 servers", retry: "3 tries, on connect, reset, 502, 503, 504; 20 % of requests", limits: "10/s per client-ip, burst 20",
    considered: [
      { route: isCanary ? "cart-canary" : "cart", verdict: "won", reason: "the most specific that matches" },
      ...(isCanary ? [{ route: "cart", verdict: "less specific", reason: "fewer headers" }] : [{ route: "cart-canary", verdict: "refused", reason: "the header x-canary is missing" }]),
      { route: "checkout", verdict: "refused", reason: "the path does not begin with /api/checkout/" },
    ],
    candidates: [
      { server: "api-1", state: "up", in_flight: 2, latency_ms: 4.1, why: "fewest requests in flight" }, { server: "api-2", state: "up", in_flight: 4, latency_ms: 4.4, why: "more requests in flight" },
      { server: "api-3", state: "down", in_flight: 0, why: "its checks fail: connection refused" }, { server: "api-4", state: "draining", in_flight: 1, latency_ms: 4.2, why: "an operator drains it" },
    ],
  };
}

export const CONFIGURATION = {
  generation: 4, source: "/etc/evenkeel/evenkeel.toml", changes: ["pool api: server api-4 is draining by a command", "pool api: weight of server api-2: 1 -> 2 by a command"],
  runtime: [{ kind: "state", pool: "api", server: "api-4", state: "draining" }, { kind: "weight", pool: "api", server: "api-2", weight: 2 }],
  file: { changes: ["pool api: algorithm: \"least-connections\" -> \"round-robin\""] },
  text: `# The effective configuration

[server]
workers = 4

[listener.secure]
bind = [":443"]
tls.certificates = [{ cert = "certs/shop.pem", key = "certs/shop.key" }]

[[route]]
name = "cart"
host = ["shop.example.com"]
path = "/api/*"
pool = "api"

[pool.api]
algorithm = "least-connections"
backends = ["10.0.0.1:3000", "10.0.0.2:3000", "10.0.0.3:3000", "10.0.0.4:3000"]
health = { path = "/health", interval = "5s" }
`,
};

/** What a reload of a wrong file answers: its carets stand below what is wrong. */
export const WRONG = `Error: unknown key \`bakends\`
   ╭─[ evenkeel.toml:18:1 ]
   │
18 │ bakends = ["10.0.0.1:3000"]
   │ ───┬───
   │    ╰───── did you mean \`backends\`?
───╯
`;
