//! The configuration that a command line needs when there is no file: one listener, and one pool or one directory.

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_types::{Address, AddressError};

use crate::check;
use crate::declare::declared;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::model::process::{admin_address, is_private};
use crate::model::{Action, Admin, Backend, Config, Files, Health, Listener, Pool, Probe, Route};
use crate::read::Links;

/// What the diagnostics call the place of the faults.
const COMMAND_LINE: &str = "the command line";

/// One listener `web` on all of `listen`, and one pool `app` of `backends`: round robin, with TCP checks at the
/// default interval.
///
/// # Errors
/// Addresses that are none, or that stand twice; all of them at once, each with the argument that it is about.
pub fn simple(listen: &[String], backends: &[String]) -> Result<Config, Diagnostics> {
    let mut arguments = Arguments::default();
    let listen = arguments.addresses("--listen", listen, Address::listener);
    let servers = arguments.addresses("--backend", backends, Address::backend);
    if backends.is_empty() {
        arguments.faults.push(
            Diagnostic::error("no server is given")
                .with_help("add `--backend PORT` or `--backend HOST:PORT`"),
        );
    }
    if !arguments.faults.is_empty() {
        return Err(Diagnostics::new(COMMAND_LINE, &arguments.text, arguments.faults));
    }
    let (bind, binds): (Vec<Address>, Vec<Span>) = listen.into_iter().unzip();
    let (servers, places): (Vec<Address>, Vec<Span>) = servers.into_iter().unzip();
    let mut listener = Listener::new("web", bind);
    listener.pool = Some("app".into());
    let mut pool = Pool::new("app", servers.into_iter().map(Backend::new).collect());
    pool.health = Some(Health::new(Probe::Tcp));
    let config = Config::new(vec![listener], Vec::new(), vec![pool]);

    let mut links = Links::of(&config);
    links.binds.iter_mut().zip(binds).for_each(|(bind, place)| bind.1 = place);
    links.pools.iter_mut().for_each(|pool| pool.servers.clone_from(&places));
    check::built(&config, COMMAND_LINE, &arguments.text, links)?;
    Ok(config)
}

/// One listener `web` on all of `listen`, and one route that serves the files below `root`, which is absolute.
///
/// # Errors
/// Addresses that are none, or that stand twice; all of them at once.
pub fn simple_files(listen: &[String], root: PathBuf) -> Result<Config, Diagnostics> {
    let mut arguments = Arguments::default();
    let listen = arguments.addresses("--listen", listen, Address::listener);
    if !arguments.faults.is_empty() {
        return Err(Diagnostics::new(COMMAND_LINE, &arguments.text, arguments.faults));
    }
    let (bind, binds): (Vec<Address>, Vec<Span>) = listen.into_iter().unzip();
    let route = Route::new(Action::Files(Arc::new(Files::new(root))));
    let config = Config::new(vec![Listener::new("web", bind)], vec![route], Vec::new());
    let mut links = Links::of(&config);
    links.binds.iter_mut().zip(binds).for_each(|(bind, place)| bind.1 = place);
    check::built(&config, COMMAND_LINE, &arguments.text, links)?;
    Ok(config)
}

/// Where the admin API of a process without a file listens: as `[admin] bind` takes it, or `off`.
///
/// # Errors
/// It is no address, or one that others can reach: that takes a token, which only a file names.
pub fn simple_admin(text: &str) -> Result<Admin, String> {
    let defaults: Admin = declared().expect("every key of `[admin]` has a default");
    let mut admin = Admin { explicit: true, bind: None, ..defaults };
    if text != "off" {
        let address = admin_address(text).map_err(|fault| fault.to_string())?;
        if !is_private(&address) {
            return Err("the admin API could be reached from elsewhere, and has no token: name a port, a loopback address or a unix socket, or run with a file that sets `token_file`".into());
        }
        admin.bind = Some(address);
    }
    Ok(admin)
}

/// The command line as it is shown beneath a fault.
#[derive(Default)]
struct Arguments {
    text: String,
    faults: Vec<Diagnostic>,
}

impl Arguments {
    /// Reads the values of an argument that may be repeated, each with its place.
    fn addresses(
        &mut self,
        argument: &str,
        values: &[String],
        form: fn(&str) -> Result<Address, AddressError>,
    ) -> Vec<(Address, Span)> {
        let mut read = Vec::new();
        for value in values {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(argument);
            self.text.push(' ');
            let place = self.text.len()..self.text.len() + value.len();
            self.text.push_str(value);
            match form(value) {
                Ok(address) => read.push((address, place)),
                Err(fault) => {
                    let fault = Diagnostic::error(format!("{argument} {value}: {fault}")).at(place);
                    self.faults.push(fault.with_expected("not an address"));
                }
            }
        }
        read
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Algorithm, Probe};

    fn run(listen: &[&str], backends: &[&str]) -> Result<Config, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        simple(&owned(listen), &owned(backends)).map_err(|faults| faults.render(false))
    }

    #[test]
    fn ports_are_enough() {
        let config = run(&["8080"], &["5001", "5002", "app.internal:80"]).unwrap();
        assert_eq!(config.listeners[0].name.as_str(), "web");
        assert_eq!(config.listeners[0].bind[0].to_string(), "[::]:8080");
        assert_eq!(config.listeners[0].pool, Some("app".into()));
        let pool = &config.pools[0];
        assert_eq!(pool.algorithm, Algorithm::RoundRobin);
        let ids: Vec<&str> = pool.backends.iter().map(|backend| backend.id.as_str()).collect();
        assert_eq!(ids, ["127.0.0.1:5001", "127.0.0.1:5002", "app.internal:80"]);
        let health = pool.health.as_ref().unwrap();
        assert_eq!((&health.probe, health.interval.as_secs()), (&Probe::Tcp, 5));
    }

    #[test]
    fn the_admin_address_is_one_of_this_machine() {
        let bind = |text| simple_admin(text).map(|admin| admin.bind.map(|address| address.to_string()));
        assert_eq!(bind("9901"), Ok(Some("127.0.0.1:9901".into())));
        assert_eq!(bind("unix:/run/admin.sock"), Ok(Some("unix:/run/admin.sock".into())));
        assert_eq!(bind("off"), Ok(None));
        assert!(bind("0.0.0.0:9900").unwrap_err().contains("token"));
        assert!(bind("foo").is_err());
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let faults = run(&["example.com:80"], &["nowhere", "70000", "5001"]).unwrap_err();
        for part in ["--listen example.com:80: ", "--backend nowhere: ", "--backend 70000: "] {
            assert!(faults.contains(part), "{faults}");
        }
        assert!(run(&["8080"], &[]).unwrap_err().contains("--backend PORT"));
        assert!(run(&["8080"], &["5001", ":5001"]).unwrap_err().contains("two servers"));
        assert!(run(&["8080", ":8080"], &["5001"]).unwrap_err().contains("8080"));
    }
}
