//! `cargo xtask reload`: how long a reload of many routes and pools takes, what it adds to the latency of requests, and how much
//! memory a route takes.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;

use crate::bench::process::Process;
use crate::bench::proxy::free_address;
use crate::bench::rig::target_directory;

/// Between two reloads.
const PAUSE: Duration = Duration::from_millis(500);
/// Hosts between which the routes are divided.
const HOSTS: u32 = 500;
/// The slowest request whose time is recorded as it is.
const LATENCY_MAX_US: u64 = 60_000_000;

/// What `cargo xtask reload` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The evenkeel to measure [default: the release build, which must be there].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Routes.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    routes: u32,
    /// Pools, each of one server.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pools: u32,
    /// Routes that get requests [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    used: Option<u32>,
    /// Reloads.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reloads: u32,
    /// Requests a second meanwhile.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
}

/// Measures, and prints what was seen.
///
/// # Errors
/// Something does not start, or a request or a reload fails.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => target_directory(root)?.join("release/evenkeel"),
    };
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    let directory = std::env::temp_dir().join(format!("evenkeel-reload-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let measured = Stage { binary, directory: directory.clone(), origin: origin()?, options }.measure();
    let _ = fs::remove_dir_all(directory);
    measured
}

struct Stage<'o> {
    binary: PathBuf,
    directory: PathBuf,
    origin: SocketAddr,
    options: &'o Options,
}

impl Stage<'_> {
    fn measure(&self) -> anyhow::Result<()> {
        let small = self.start(1, 1)?.memory()?;
        let Options { routes, pools, reloads, .. } = *self.options;
        let running = self.start(routes, pools)?;
        let large = running.memory()?;
        let seconds = Duration::from_secs_f64(f64::from(reloads) * 0.75);
        let undisturbed = |time| {
            self.load(running.web, move |stop| {
                thread::sleep(time);
                stop.store(true, Ordering::Relaxed);
                Ok(())
            })
        };
        // Until there is a connection to each server.
        undisturbed(Duration::from_secs(2) * pools / self.options.rate + PAUSE)?;
        let quiet = undisturbed(seconds)?;
        let mut times = Vec::new();
        let busy = self.load(running.web, |stop| {
            for mark in 1..=reloads {
                fs::write(&running.file, self.config(routes, pools, mark, (running.web, running.admin)))?;
                let start = Instant::now();
                running.reload()?;
                times.push(start.elapsed());
                thread::sleep(PAUSE);
            }
            stop.store(true, Ordering::Relaxed);
            Ok(())
        })?;
        times.sort();
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        let at = |share: f64| ms(&times[((times.len() - 1) as f64 * share) as usize]);
        println!(
            "{routes} routes, {pools} pools of one server, {} requests a second, {reloads} reloads",
            self.options.rate
        );
        println!("| reload | {:.0} ms in the median, {:.0} ms at most |", at(0.5), at(1.0));
        println!("| latency without reloads | {} |", shown(&quiet));
        println!("| latency with reloads | {} |", shown(&busy));
        let bytes = large.saturating_sub(small) / u64::from(routes);
        println!("| memory | {} MiB, {bytes} bytes a route with its part of the pools |", large >> 20);
        Ok(())
    }

    /// A balancer that is ready, with so many routes and pools.
    fn start(&self, routes: u32, pools: u32) -> anyhow::Result<Running> {
        let (web, admin) = (free_address()?, free_address()?);
        let file = self.directory.join("evenkeel.toml");
        fs::write(&file, self.config(routes, pools, 0, (web, admin)))?;
        let mut command = Command::new(&self.binary);
        command.arg("run").arg("-c").arg(&file);
        let mut process = Process::start("evenkeel", &command, &None, &self.directory)?;
        process.wait_until(|| ask(admin, "GET", "/readyz").is_ok())?;
        Ok(Running { process, web, admin, file })
    }

    fn config(&self, routes: u32, pools: u32, mark: u32, (web, admin): (SocketAddr, SocketAddr)) -> String {
        let origin = self.origin;
        let mut text = format!(
            "[server]\nworkers = 1\n[admin]\nbind = \"{admin}\"\n[log]\naccess = \"off\"\n\
             [listener.web]\nbind = [\"{web}\"]\npool = \"app\"\n[pool.app]\nbackends = [\"{origin}\"]\n"
        );
        for pool in 0..pools {
            let _ = writeln!(text, "[pool.p{pool}]\nbackends = [\"{origin}\"]");
        }
        for route in 0..routes {
            let (host, pool) = (route % HOSTS, route % pools);
            let _ = writeln!(
                text,
                "[[route]]\nname = \"r{route}\"\nhost = \"h{host}.example.com\"\npath = \"/a{route}/*\"\npool = \"p{pool}\""
            );
        }
        // Each reload changes something.
        let _ =
            writeln!(text, "[[route]]\npath = \"/mark\"\nrespond = {{ status = 200, body = \"{mark}\" }}");
        text
    }

    /// Sends requests at a constant rate over one connection, to one route and pool after another, until `meanwhile` says so. Latency
    /// counts from the moment when a request was due.
    fn load(
        &self,
        web: SocketAddr,
        meanwhile: impl FnOnce(&AtomicBool) -> anyhow::Result<()>,
    ) -> anyhow::Result<Histogram<u64>> {
        let stop = AtomicBool::new(false);
        let Options { rate, routes, used, .. } = *self.options;
        let every = Duration::from_secs(1) / rate;
        thread::scope(|scope| {
            let client = scope.spawn(|| -> anyhow::Result<Histogram<u64>> {
                let mut seen = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?;
                let mut stream = connect(web)?;
                let (mut due, mut buffer) = (Instant::now(), [0; 4096]);
                for route in (0..used.unwrap_or(routes).min(routes)).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let host = route % HOSTS;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let head = format!("GET /a{route}/ HTTP/1.1\r\nhost: h{host}.example.com\r\n\r\n");
                    stream.write_all(head.as_bytes())?;
                    let count = stream.read(&mut buffer)?;
                    ensure!(buffer[..count].starts_with(b"HTTP/1.1 200"), "a request failed during a reload");
                    seen.saturating_record(due.elapsed().as_micros() as u64);
                    due += every;
                }
                Ok(seen)
            });
            let done = meanwhile(&stop);
            stop.store(true, Ordering::Relaxed);
            let seen = client.join().expect("the client does not panic");
            done.and(seen)
        })
    }
}

struct Running {
    process: Process,
    web: SocketAddr,
    admin: SocketAddr,
    file: PathBuf,
}

impl Running {
    fn reload(&self) -> anyhow::Result<()> {
        ask(self.admin, "POST", "/reload")
    }

    /// Bytes of memory that it has filled itself.
    fn memory(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request that must be answered with 200.
fn ask(address: SocketAddr, method: &str, path: &str) -> anyhow::Result<()> {
    let mut stream = connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    Ok(())
}

/// A server that answers everything.
fn origin() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(address)
}

fn shown(seen: &Histogram<u64>) -> String {
    let ms = |quantile: f64| seen.value_at_quantile(quantile) as f64 / 1e3;
    format!(
        "p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, at most {:.2} ms",
        ms(0.5),
        ms(0.99),
        ms(0.999),
        ms(1.0)
    )
}
