//! What is wrong with the files that pools discover their servers by, where they are named.

use std::path::PathBuf;

use evenkeel_config::{Config, Discover, FileFault, FileOwner, Pool, Severity, load_servers};

/// What is wrong with the files that pools discover their servers by: they may come later, and are then read.
pub fn check(config: &Config) -> Vec<FileFault> {
    let files = config.pools.iter().filter_map(|pool| match &pool.discover {
        Some(Discover::File(path)) => Some((pool, path)),
        Some(Discover::Dns { .. } | Discover::Srv(_)) | None => None,
    });
    let fault = |(pool, path): (&Pool, &PathBuf)| {
        let faults = load_servers(path).err()?;
        let first = faults.iter().find(|fault| fault.severity() == Severity::Error)?;
        let place = if first.line() > 0 {
            format!("{}:{}:{}: ", path.display(), first.line(), first.column())
        } else {
            String::new()
        };
        Some(FileFault {
            owner: FileOwner::Pool(pool.name.clone()),
            key: "file",
            path: path.clone(),
            severity: Severity::Warning,
            message: format!("{place}{}", first.message()),
            expected: "the pool has no servers of this file until it is mended".into(),
            help: first.help().unwrap_or_default().into(),
        })
    };
    files.filter_map(fault).collect()
}
