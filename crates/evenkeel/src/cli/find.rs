//! The arguments by which commands find a running process: by its address, by its configuration file, or because it is the
//! only one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use evenkeel_config::{Config, ControlSocket};
use evenkeel_types::Address;

use super::ask::{ANSWER_TIME_MAX, Admin, Token, Unanswered};
use super::source::CONFIG_DEFAULT;
use crate::control_socket;
use crate::secret::token;

/// The address of the admin API if nothing else names one.
const ADMIN_DEFAULT: &str = "127.0.0.1:9900";
/// How long a process may take to say which one it is.
const PROCESS_TIME_MAX: Duration = Duration::from_secs(2);

/// Which process is asked.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// Its admin API: PORT, HOST:PORT, [v6]:PORT or unix:/path [default: the process that runs the configuration file, else
    /// the only one of this user, else 127.0.0.1:9900]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The configuration file that it runs with [default: evenkeel.toml, if there is one]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the token of its admin API
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A process of this user, as it describes itself.
struct Process {
    pid: u64,
    config: Option<PathBuf>,
    is_leaving: bool,
    admin: Admin,
}

impl Running {
    /// Finds it by these arguments.
    pub(super) fn find(&self) -> Result<Admin, Unanswered> {
        if let Some(text) = &self.admin {
            let address = Address::backend(text)
                .map_err(|error| Unanswered::Unknown(format!("`--admin {text}`: {error}")))?;
            let config = self.config.as_deref().map(load).transpose()?;
            return self.admin_at(address, config.as_ref());
        }
        let file = self.file();
        let mut running = processes();
        match file {
            None => match only(running)? {
                Some(process) => Ok(process.admin),
                None => self.admin_at(Address::backend(ADMIN_DEFAULT).expect("an address"), None),
            },
            Some(file) => {
                let path = canonical(&file);
                let (of_file, others): (Vec<_>, Vec<_>) = running
                    .drain(..)
                    .partition(|it| it.config.as_deref().map(canonical) == Some(path.clone()));
                match only(of_file)? {
                    Some(process) => Ok(process.admin),
                    None => self.by_file(&file, others),
                }
            }
        }
    }

    /// True if the address of its admin API is named.
    pub(super) fn is_addressed(&self) -> bool {
        self.admin.is_some()
    }

    /// True if the configuration file that it runs is named.
    pub(super) fn names_file(&self) -> bool {
        self.config.is_some()
    }

    /// The configuration file that it runs with: the one that the arguments name, else the usual one if it exists.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let usual = || Some(PathBuf::from(CONFIG_DEFAULT)).filter(|file| file.exists());
        self.config.clone().or_else(usual)
    }

    /// By the addresses in a configuration file that no process of this user runs.
    fn by_file(&self, file: &Path, others: Vec<Process>) -> Result<Admin, Unanswered> {
        let config = load(file)?;
        if let ControlSocket::Path(path) = &config.admin.socket
            && path.exists()
        {
            return self.admin_at(Address::Unix(path.clone()), Some(&config));
        }
        let admin = configured(file, &config).and_then(|address| self.admin_at(address, Some(&config)));
        // The user did not name the file: it may belong to no process.
        if self.config.is_none()
            && !admin.as_ref().is_ok_and(|admin| admin.get("/process").is_ok())
            && let Some(process) = only(others)?
        {
            let other = process.config.map_or("no file".into(), |path| path.display().to_string());
            eprintln!(
                "note: no process runs {}; asking process {}, which runs {other}",
                file.display(),
                process.pid
            );
            return Ok(process.admin);
        }
        admin
    }

    fn admin_at(&self, address: Address, config: Option<&Config>) -> Result<Admin, Unanswered> {
        let file = config.and_then(|config| config.admin.token_file.clone());
        let token = match self.token_file.clone().or(file) {
            None => None,
            Some(file) => Some(Token { text: token(&file).map_err(Unanswered::Unknown)?, file }),
        };
        Ok(Admin { address, token, patience: ANSWER_TIME_MAX, why: None })
    }
}

/// The process to ask: one that is leaving counts only if no other one runs.
fn only(mut running: Vec<Process>) -> Result<Option<Process>, Unanswered> {
    if running.iter().any(|process| !process.is_leaving) {
        running.retain(|process| !process.is_leaving);
    }
    if running.len() <= 1 {
        return Ok(running.pop());
    }
    let mut text =
        String::from("several processes run; name one by its configuration file, or by its socket:");
    for Process { config, admin, .. } in &running {
        let config = config.as_ref().map_or("(no file)".into(), |path| path.display().to_string());
        text.push_str(&format!("\n  -c {config}, or --admin {}", admin.address));
    }
    Err(Unanswered::Unknown(text))
}

/// The processes of this user that answer.
fn processes() -> Vec<Process> {
    let ask = |(pid, path): (u32, PathBuf)| {
        let mut admin =
            Admin { address: Address::Unix(path), token: None, patience: PROCESS_TIME_MAX, why: None };
        let answer = admin.get("/process").ok()?;
        admin.patience = ANSWER_TIME_MAX;
        Some(Process {
            pid: answer["pid"].as_u64().unwrap_or(pid.into()),
            config: answer["config"].as_str().map(PathBuf::from),
            is_leaving: answer["leaving"] == true,
            admin,
        })
    };
    control_socket::running().into_iter().filter_map(ask).collect()
}

/// The file itself, whichever way it is named.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn load(file: &Path) -> Result<Config, Unanswered> {
    evenkeel_config::load(file).map(|parsed| parsed.config).map_err(|faults| {
        Unanswered::Unknown(format!(
            "{} has faults, so it does not say where the process is: name its admin API with `--admin ADDRESS`\n{}",
            file.display(),
            faults.render(false).trim_end()
        ))
    })
}

/// The address at which the admin API of this configuration is reached from this machine.
fn configured(file: &Path, config: &Config) -> Result<Address, Unanswered> {
    let file = file.display();
    let unknown = |why: &str| Unanswered::Unknown(format!("{file} {why}: name it with `--admin ADDRESS`"));
    match &config.admin.bind {
        None => Err(Unanswered::Unknown(format!(
            "no process of this user runs {file}, and the file turns the admin address off: `bind = \"off\"` in `[admin]`"
        ))),
        Some(Address::Ip(address)) if address.port() == 0 => {
            Err(unknown("leaves the port of the admin API to the system"))
        }
        Some(Address::Ip(address)) if address.ip().is_unspecified() => {
            let loopback = match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
            Ok(Address::Ip(SocketAddr::new(loopback, address.port())))
        }
        Some(address) => Ok(address.clone()),
    }
}
