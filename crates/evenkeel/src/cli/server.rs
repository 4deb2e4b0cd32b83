//! `evenkeel server`, `disable`, `enable`, `weight`, `split` and `log-level`: each is one request to the admin API.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use evenkeel_admin::{LEVELS, SHARE_MAX, WEIGHT_MAX};
use evenkeel_config::unknown_name;
use serde_json::{Map, Value, json};

use super::change::{Change, segment, server_path};
use super::find::Running;
use super::output::{fail, print};
use super::status::{list, servers, word};

/// What to do with servers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the servers of all pools, or of one
    List(List),
    /// Add a server to a pool; a reload keeps it
    Add(Add),
    /// Remove a server from a pool; it finishes the requests that it has
    Remove(Remove),
}

#[derive(Debug, Args)]
pub struct List {
    /// The pool
    pool: Option<String>,
    #[command(flatten)]
    running: Running,
    /// Print the servers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Add {
    /// The pool
    pool: String,
    /// The server: PORT, HOST:PORT, [v6]:PORT or unix:/path
    address: String,
    /// Its share, from 0 to 1000
    #[arg(long, value_name = "N", value_parser = weight, allow_negative_numbers = true)]
    weight: Option<u32>,
    /// Its name, which is its id [default: its address]
    #[arg(long, value_name = "ID")]
    name: Option<String>,
    /// Use it only when no other server is up
    #[arg(long)]
    backup: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Remove {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    change: Change,
}

/// One server of one pool.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The pool
    pub(super) pool: String,
    /// The server: its name, or its address
    pub(super) server: String,
}

#[derive(Debug, Args)]
pub struct Disable {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Enable {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Weight {
    #[command(flatten)]
    server: Server,
    /// Its share, from 0 to 1000; 0 takes no new requests
    #[arg(value_parser = weight, allow_negative_numbers = true)]
    weight: u32,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Split {
    /// The route, by its name
    route: String,
    /// Pools of its split and their weights; a pool that is not named keeps its own
    #[arg(required = true, value_name = "POOL=WEIGHT", value_parser = share)]
    shares: Vec<(String, u32)>,
    #[command(flatten)]
    change: Change,
}

fn share(text: &str) -> Result<(String, u32), String> {
    let (pool, weight) = text.split_once('=').ok_or("write it as POOL=WEIGHT")?;
    Ok((pool.to_owned(), number(weight, SHARE_MAX)?))
}

fn weight(text: &str) -> Result<u32, String> {
    number(text, WEIGHT_MAX)
}

/// # Errors
/// It is no whole number from 0 to `max`.
fn number(text: &str, max: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number <= max);
    number.ok_or_else(|| format!("the weight must be a whole number from 0 to {max}, not `{text}`"))
}

#[derive(Debug, Args)]
pub struct LogLevel {
    /// What the log is to hold, with all that is worse
    #[arg(value_parser = LEVELS)]
    level: String,
    #[command(flatten)]
    change: Change,
}

/// Runs a subcommand of `evenkeel server`.
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(args) => args.run(),
        Command::Add(args) => args.run(),
        Command::Remove(args) => args.run(),
    }
}

impl List {
    fn run(&self) -> ExitCode {
        let status = match self.running.find().and_then(|admin| admin.get("/status")) {
            Ok(status) => status,
            Err(why) => return fail(&why.to_string()),
        };
        let is_wanted = |pool: &&Value| self.pool.as_ref().is_none_or(|name| word(pool, "name") == *name);
        let pools: Vec<&Value> = list(&status, "pools").filter(is_wanted).collect();
        if let (Some(name), true) = (&self.pool, pools.is_empty()) {
            let names: Vec<_> = list(&status, "pools").map(|pool| word(pool, "name")).collect();
            let known = names.iter().map(String::as_str);
            return fail(&unknown_name(format_args!("there is no pool {name}"), name, known));
        }
        if !self.json {
            return print(&servers(pools, self.pool.is_none()).render(""));
        }
        let of_pool = |pool: &&Value| {
            let name = word(pool, "name");
            let with_pool = move |server: &Value| {
                let mut server = server.clone();
                server["pool"] = json!(name);
                server
            };
            list(pool, "servers").map(with_pool).collect::<Vec<_>>()
        };
        print(&format!("{:#}\n", Value::from(pools.iter().flat_map(of_pool).collect::<Vec<_>>())))
    }
}

impl Add {
    fn run(&self) -> ExitCode {
        let mut body = json!({ "address": self.address });
        if self.backup {
            body["backup"] = json!(true);
        }
        if let Some(weight) = self.weight {
            body["weight"] = json!(weight);
        }
        if let Some(name) = &self.name {
            body["id"] = json!(name);
        }
        let path = format!("/pools/{}/servers", segment(&self.pool));
        let words = |server: &Value| format!("pool {} has {}", self.pool, one_line(server));
        self.change.carry_out(
            |admin| {
                let answer = admin.post(&path, &body)?;
                let warnings = list(&answer, "warnings").filter_map(Value::as_str);
                warnings.for_each(|warning| eprintln!("warning: {warning}"));
                Ok(answer)
            },
            words,
        )
    }
}

impl Remove {
    fn run(&self) -> ExitCode {
        let Server { pool, server } = &self.server;
        let words =
            |_: &Value| format!("pool {pool} no longer has {server}; it finishes the requests that it has");
        self.change.carry_out(|admin| admin.delete(&server_path(pool, server)), words)
    }
}

impl Server {
    /// Sends a change of it, and prints its new state.
    fn put(&self, change: &Change, body: &Value) -> ExitCode {
        let path = server_path(&self.pool, &self.server);
        change.carry_out(|admin| admin.put(&path, body), one_line)
    }
}

impl Disable {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        self.server.put(&self.change, &json!({ "state": "disable" }))
    }
}

impl Enable {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        self.server.put(&self.change, &json!({ "state": "ready" }))
    }
}

impl Weight {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        self.server.put(&self.change, &json!({ "weight": self.weight }))
    }
}

impl Split {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        let body: Map<String, Value> =
            self.shares.iter().map(|(pool, weight)| (pool.clone(), json!(weight))).collect();
        let path = format!("/routes/{}/split", segment(&self.route));
        let words = |answer: &Value| {
            let shares: Vec<_> = answer["split"].as_object().into_iter().flatten().collect();
            let shares: Vec<_> = shares.iter().map(|(pool, weight)| format!("{pool}={weight}")).collect();
            format!("{}: {}", word(answer, "route"), shares.join(" "))
        };
        self.change.carry_out(|admin| admin.put(&path, &body.into()), words)
    }
}

impl LogLevel {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        let body = json!({ "level": self.level });
        let words = |answer: &Value| format!("the log holds {} and above", word(answer, "level"));
        self.change.carry_out(|admin| admin.put("/log-level", &body), words)
    }
}

/// As in `big (10.0.0.2:3000): draining (drained by the operator), weight 3, 2 requests in flight`.
pub(super) fn one_line(server: &Value) -> String {
    let (id, address) = (word(server, "id"), word(server, "address"));
    let name = if id == address { id } else { format!("{id} ({address})") };
    let (state, reason) = (word(server, "state"), word(server, "reason"));
    let in_flight = server["in_flight"].as_u64().unwrap_or_default();
    format!("{name}: {state} ({reason}), weight {}, {in_flight} requests in flight", server["weight"])
}
