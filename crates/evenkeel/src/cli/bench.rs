//! `evenkeel bench`: puts load on a server, and says how it did.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use evenkeel_bench::{HeaderName, HeaderValue, Load, Method, Options, Report, Scenario, Target};

use super::output::{COMMAND_LINE_WRONG, WRONG, fail, print};
use super::time::{TIME_MAX, time};

/// The generator was saturated: the figures are not those of the server.
const INVALID: u8 = 3;
/// How long requests are sent unless the command line says how long or how many.
const DURATION: Duration = Duration::from_secs(10);
/// How late 1 % of the requests of an open loop may start unless the command line says it.
const LATE_MAX: Duration = Duration::from_millis(10);
const RATE_MAX: f64 = 10_000_000.0;

#[derive(Debug, Args)]
pub struct Bench {
    /// What to ask: http://HOST:PORT/PATH or https://...; with --scenario, the paths are those of the file
    #[arg(value_parser = Target::parse)]
    url: Target,
    /// Open loop: start so many requests a second, whatever the server does. Without it, each connection sends its
    /// next request when it has its response (closed loop)
    #[arg(short = 'R', long, short_alias = 'q', value_parser = rate)]
    rate: Option<f64>,
    /// Open loop whose rate goes steadily from one to the other
    #[arg(long, value_name = "FROM..TO", value_parser = ramp, conflicts_with = "rate")]
    ramp: Option<Load>,
    /// Connections, all threads together
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Threads, each with its share of connections and rate [default: one a core]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    threads: Option<u32>,
    /// How long to send requests [default: 10s, or until --requests are sent]
    #[arg(short, long, short_alias = 'z', value_name = "TIME", value_parser = positive)]
    duration: Option<Duration>,
    /// How many requests to send at most
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// How long to send requests that do not count before
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = |text: &str| time(text, Duration::ZERO..=TIME_MAX))]
    warmup: Duration,
    /// How long a request may take, a new connection included
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive)]
    timeout: Duration,
    /// Method of the request
    #[arg(short, long, default_value = "GET", conflicts_with = "scenario")]
    method: Method,
    /// Header of each request, as in 'Name: value'; a request of the scenario that has it keeps its own
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Body of the request
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["body_file", "scenario"])]
    body: Option<String>,
    /// File with the body of the request
    #[arg(short = 'D', long, value_name = "FILE", conflicts_with = "scenario")]
    body_file: Option<PathBuf>,
    /// TOML file with a weighted mix of requests
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Speak HTTP/2: by ALPN over TLS, by prior knowledge in clear
    #[arg(long)]
    http2: bool,
    /// Requests under way at once on each connection of HTTP/2
    #[arg(short = 'p', long, default_value_t = 1, requires = "http2", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    streams: u32,
    /// Open a new connection for each request
    #[arg(long)]
    disable_keepalive: bool,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long, conflicts_with = "ca")]
    insecure: bool,
    /// Authorities to trust in place of the system's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Response header whose values tell servers apart, as in x-served-by
    #[arg(long, value_name = "HEADER")]
    split_by: Option<HeaderName>,
    /// Process whose CPU time to report as that of the target, with all that it starts; may be given several times
    /// [default: those that listen on the port, if the target is on this machine]
    #[arg(long = "target-pid", value_name = "PID")]
    target_pids: Vec<u32>,
    /// Open loop: how late 1 % of the requests may start before the result is INVALID [default: 10ms]
    #[arg(long, value_name = "TIME", value_parser = positive)]
    late_max: Option<Duration>,
    /// Write the result as JSON; `-` prints it in place of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw latency by percentile, and throughput and latency over time, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Ends with 0 when the run is valid, with 3 when the generator was saturated, with 1 when nothing answered.
pub fn run(args: Bench) -> ExitCode {
    let (json, plot) = (args.json.clone(), args.plot.clone());
    let options = match args.options() {
        Ok(options) => options,
        Err(wrong) => return wrong,
    };
    // Better now than after the run.
    for path in [&json, &plot].into_iter().flatten().filter(|path| !is_stdout(path)) {
        if let Err(why) = File::create(path) {
            return fail(&format!("cannot write {}: {why}", path.display()));
        }
    }
    match evenkeel_bench::run(options) {
        Ok(report) => show(&report, json.as_deref(), plot.as_deref()),
        Err(why) => fail(&why),
    }
}

fn show(report: &Report, json: Option<&Path>, plot: Option<&Path>) -> ExitCode {
    let text = format!("{:#}\n", evenkeel_bench::json(report));
    let on_stdout = json.is_some_and(is_stdout);
    let shown = if on_stdout { text.clone() } else { evenkeel_bench::table(report) };
    print(&shown);
    let files = [
        json.filter(|path| !is_stdout(path)).map(|path| (path, Ok(text.clone()))),
        plot.map(|path| (path, evenkeel_bench::plot(report))),
    ];
    for (path, text) in files.into_iter().flatten() {
        let written = text.and_then(|text| fs::write(path, text).map_err(|why| why.to_string()));
        if let Err(why) = written {
            return fail(&format!("cannot write {}: {why}", path.display()));
        }
    }
    if report.is_without_response() {
        return fail("no request got a response");
    }
    if on_stdout {
        report.invalid.iter().for_each(|why| eprintln!("INVALID: {why}"));
    }
    if report.invalid.is_empty() { ExitCode::SUCCESS } else { INVALID.into() }
}

impl Bench {
    /// # Errors
    /// The exit code, once what is wrong was said.
    fn options(self) -> Result<Options, ExitCode> {
        let wrong = |message: String| {
            fail(&message);
            Err(ExitCode::from(COMMAND_LINE_WRONG))
        };
        let connections = self.connections as usize;
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or(cores.min(connections), |threads| threads as usize);
        if threads > connections {
            return wrong(format!(
                "{threads} threads cannot share {connections} connections: give fewer --threads"
            ));
        }
        if self.ramp.is_some() && self.duration.is_none() && self.requests.is_some() {
            return wrong("a ramp with --requests needs a --duration as well".into());
        }
        if let Some(message) = self.without_effect() {
            return wrong(message);
        }
        let duration = self.duration.or(self.requests.is_none().then_some(DURATION));
        let load = self.ramp.or(self.rate.map(Load::Rate)).unwrap_or(Load::Closed);
        let scenario = self.scenario().map_err(|message| {
            eprint!("{message}");
            ExitCode::from(WRONG)
        })?;
        Ok(Options {
            target: self.url,
            scenario,
            load,
            connections,
            streams: self.streams as usize,
            threads,
            warmup: self.warmup,
            duration,
            requests: self.requests,
            timeout: self.timeout,
            http2: self.http2,
            new_connections: self.disable_keepalive,
            insecure: self.insecure,
            ca: self.ca,
            split_by: self.split_by,
            target_pids: self.target_pids,
            late_max: self.late_max.unwrap_or(LATE_MAX),
        })
    }

    /// What is asked for and would change nothing.
    fn without_effect(&self) -> Option<String> {
        if self.late_max.is_some() && self.rate.is_none() && self.ramp.is_none() {
            return Some("--late-max is for open loops: give a --rate or a --ramp".into());
        }
        if (self.insecure || self.ca.is_some()) && !self.url.tls {
            return Some("--insecure and --ca are for https:// alone".into());
        }
        if self.scenario.is_some() && self.url.path != "/" {
            let path = &self.url.path;
            return Some(format!("the paths are those of the --scenario: leave `{path}` out of the URL"));
        }
        None
    }

    fn scenario(&self) -> Result<Scenario, String> {
        let labelled = |why: String| format!("error: {why}\n");
        if let Some(path) = &self.scenario {
            return evenkeel_bench::read_scenario(path)?.with_headers(&self.headers).map_err(labelled);
        }
        let body = match (&self.body, &self.body_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => {
                fs::read(path).map_err(|why| labelled(format!("cannot read {}: {why}", path.display())))?
            }
            (None, None) => Vec::new(),
        };
        Scenario::single(self.method.clone(), &self.url, &self.headers, body).map_err(labelled)
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn positive(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_millis(1)..=TIME_MAX)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "write requests a second, as in `2000` or `0.5`")?;
    if (0.001..=RATE_MAX).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("write a rate from 0.001 to {RATE_MAX}"))
    }
}

fn ramp(text: &str) -> Result<Load, String> {
    let (from, to) = text.split_once("..").ok_or("write two rates, as in `100..2000`")?;
    let of = |text: &str| if text == "0" { Ok(0.0) } else { rate(text) };
    match (of(from)?, of(to)?) {
        (0.0, 0.0) => Err("one of the rates must be more than 0".into()),
        (from, to) => Ok(Load::Ramp { from, to }),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as in 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is no header name"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is no header value"))?;
    Ok((name, value))
}
