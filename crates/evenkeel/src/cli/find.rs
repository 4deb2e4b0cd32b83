//! The arguments by which commands find a running process: by its address, by its configuration file, or because it is the
//! only one.

use std::io;
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

/// What a command does to the process that it asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent {
    Look,
    Change,
}

impl Running {
    /// The process whose admin API is at this address; with the token in a file, or in that which its configuration names.
    pub(super) fn at(admin: &str, config: Option<PathBuf>, token_file: Option<PathBuf>) -> Self {
        Self { admin: Some(admin.to_owned()), config, token_file }
    }

    /// Finds the process for a command that changes nothing. Where no process runs the `evenkeel.toml` that happens to be here, the
    /// only process of this user will do, and a note names it.
    pub(super) fn find(&self) -> Result<Admin, Unanswered> {
        self.find_to(Intent::Look)
    }

    /// Finds it for a command that changes something: never a process that runs another file than the one that is meant.
    pub(super) fn find_to_change(&self) -> Result<Admin, Unanswered> {
        self.find_to(Intent::Change)
    }

    fn find_to(&self, intent: Intent) -> Result<Admin, Unanswered> {
        if let Some(text) = &self.admin {
            let address = Address::backend(text)
                .map_err(|error| Unanswered::Unknown(format!("`--admin {text}`: {error}")))?;
            let config = self.config.as_deref().map(load).transpose()?;
            return self.admin_at(address, config.as_ref());
        }
        let running = processes();
        let Some(file) = self.file() else {
            return match only(running)? {
                Some(process) => Ok(process.admin),
                None => self.admin_at(Address::backend(ADMIN_DEFAULT).expect("an address"), None),
            };
        };
        let (of_file, others): (Vec<_>, Vec<_>) = running.into_iter().partition(|it| it.runs(&file));
        match only(of_file)? {
            Some(process) => Ok(process.admin),
            None if self.config.is_some() => self.by_file(&file),
            None => self.by_file_here(&file, others, intent),
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
    fn by_file(&self, file: &Path) -> Result<Admin, Unanswered> {
        let config = load(file)?;
        match &config.admin.socket {
            ControlSocket::Path(path) if path.exists() => {
                self.admin_at(Address::Unix(path.clone()), Some(&config))
            }
            _ => self.admin_at(configured(file, &config)?, Some(&config)),
        }
    }

    /// The same for a file that the user did not name. It may belong to no process, and the process that answers at its address may run
    /// another one.
    fn by_file_here(
        &self,
        file: &Path,
        mut others: Vec<Process>,
        intent: Intent,
    ) -> Result<Admin, Unanswered> {
        let admin = self.by_file(file);
        if let Ok(admin) = &admin
            && let Some(process) = Process::at(admin.clone())
        {
            if process.runs(file) {
                return Ok(process.admin);
            }
            if others.iter().all(|other| other.pid != process.pid) {
                others.push(process);
            }
        }
        retain_staying(&mut others);
        let file = file.display();
        match (others.len(), intent) {
            (0, _) => admin,
            (1, Intent::Look) => {
                let Process { pid, config, admin, .. } = others.remove(0);
                let other = config.map_or("no file".into(), |path| path.display().to_string());
                eprintln!("note: no process runs {file}; asking process {pid}, which runs {other}");
                Ok(admin)
            }
            (1, Intent::Change) => Err(Unanswered::Unknown(format!(
                "no process runs {file}; to change another process, name it:{}",
                names(&others)
            ))),
            _ => Err(Unanswered::Unknown(format!(
                "several processes run, and none of them runs {file}; name one:{}",
                names(&others)
            ))),
        }
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

impl Process {
    /// The one that answers there.
    fn at(mut admin: Admin) -> Option<Self> {
        admin.patience = PROCESS_TIME_MAX;
        let answer = admin.get("/process").ok()?;
        admin.patience = ANSWER_TIME_MAX;
        Some(Self {
            pid: answer["pid"].as_u64()?,
            config: answer["config"].as_str().map(PathBuf::from),
            is_leaving: answer["leaving"] == true,
            admin,
        })
    }

    fn runs(&self, file: &Path) -> bool {
        self.config.as_deref().map(canonical) == Some(canonical(file))
    }
}

/// The process to ask, if there is one.
fn only(mut running: Vec<Process>) -> Result<Option<Process>, Unanswered> {
    retain_staying(&mut running);
    if running.len() <= 1 {
        return Ok(running.pop());
    }
    Err(Unanswered::Unknown(format!("several processes run; name one:{}", names(&running))))
}

/// Those that are leaving count only where there is no other.
fn retain_staying(running: &mut Vec<Process>) {
    if running.iter().any(|process| !process.is_leaving) {
        running.retain(|process| !process.is_leaving);
    }
}

/// How to name each of them, on lines of their own.
fn names(running: &[Process]) -> String {
    let name = |Process { pid, config, admin, .. }: &Process| match config {
        Some(path) => {
            format!("\n  process {pid}: `-c {}` or `--admin {}`", path.display(), admin.address)
        }
        None => format!("\n  process {pid}, which runs without a file: `--admin {}`", admin.address),
    };
    running.iter().map(name).collect()
}

/// The processes of this user that answer.
fn processes() -> Vec<Process> {
    let at = |(_, path): (u32, PathBuf)| {
        let address = Address::Unix(path);
        Process::at(Admin { address, token: None, patience: PROCESS_TIME_MAX, why: None })
    };
    control_socket::running().into_iter().filter_map(at).collect()
}

/// The file itself, whichever way it is named; also one that is gone.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

fn load(file: &Path) -> Result<Config, Unanswered> {
    if let Err(error) = file.metadata() {
        return Err(Unanswered::Unknown(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no file {}, and no process of this user runs it", file.display())
            }
            _ => format!("cannot read {}: {error}", file.display()),
        }));
    }
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
