//! The configuration that a command line needs when there is no file: one listener, one pool.

use evenkeel_types::Address;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Config;
use crate::parse;

/// What the diagnostics call the place of the faults.
const COMMAND_LINE: &str = "the command line";

/// One listener `web` on all of `listen`, and one pool `app` of `backends`: round robin, with TCP checks at the
/// default interval.
///
/// # Errors
/// Addresses that are none, or that stand twice; all of them at once.
pub fn simple(listen: &[String], backends: &[String]) -> Result<Config, Diagnostics> {
    let mut faults = Vec::new();
    for text in listen {
        if let Err(fault) = Address::listener(text) {
            faults.push(Diagnostic::error(format!("--listen {text}: {fault}")));
        }
    }
    for text in backends {
        if let Err(fault) = Address::backend(text) {
            faults.push(Diagnostic::error(format!("--backend {text}: {fault}")));
        }
    }
    if backends.is_empty() {
        faults.push(
            Diagnostic::error("no server is given")
                .with_help("add `--backend PORT` or `--backend HOST:PORT`"),
        );
    }
    if !faults.is_empty() {
        return Err(Diagnostics::new(COMMAND_LINE, "", faults));
    }
    // The file that says the same: so that all of its checks and defaults hold here too.
    let list = |texts: &[String]| toml::Value::from(texts.to_vec()).to_string();
    let text = format!(
        "[listener.web]\nbind = {}\npool = \"app\"\n\n[pool.app]\nbackends = {}\nhealth = {{ kind = \"tcp\" }}\n",
        list(listen),
        list(backends),
    );
    parse(COMMAND_LINE, &text).map(|parsed| parsed.config)
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
    fn all_faults_are_told_at_once() {
        let faults = run(&["example.com:80"], &["nowhere", "70000", "5001"]).unwrap_err();
        for part in ["--listen example.com:80: ", "--backend nowhere: ", "--backend 70000: "] {
            assert!(faults.contains(part), "{faults}");
        }
        assert!(run(&["8080"], &[]).unwrap_err().contains("--backend PORT"));
        assert!(run(&["8080"], &["5001", ":5001"]).unwrap_err().contains("two servers"));
        assert!(run(&["8080", ":8080"], &["5001"]).unwrap_err().contains("8080"));
    }
}
