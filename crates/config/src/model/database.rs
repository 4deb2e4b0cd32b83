//! `health` of a pool whose servers are databases: which role a server must have, and how a check signs in.

use std::path::PathBuf;

use super::health::ProbeKind;
use crate::declare::{Field, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Section;
use crate::read::Table;
use crate::show::{Lines, quote};

words! {
    /// The role of a database server.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum DatabaseRole {
        /// It takes writes.
        Primary = "primary",
        /// It follows a primary, and takes reads alone.
        Replica = "replica",
    }
}

words! {
    /// What happens when every replica lags by more than `lag_max`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum WhenAllLag {
        /// The replica that lags least is used.
        Least = "least",
        /// The primary is used.
        Primary = "primary",
        /// No server is used.
        Refuse = "refuse",
    }
}

word_settings!(DatabaseRole, WhenAllLag);

/// Which servers of a pool may be used, by their roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleRule {
    /// The role that a server must have; `None` is any.
    pub role: Option<DatabaseRole>,
    /// By how many bytes a replica may lag behind the primary; `None` is any number. Only with the role of a replica.
    pub lag_max: Option<u64>,
    /// What happens when every replica lags by more.
    pub when_all_lag: WhenAllLag,
}

/// A check by `kind = "postgres"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresProbe {
    /// Which servers may be used.
    pub rule: RoleRule,
    /// The login role; default `evenkeel`.
    pub user: String,
    /// A file that holds its password.
    pub password_file: Option<PathBuf>,
    /// The database; default `postgres`.
    pub database: String,
}

/// A check by `kind = "redis"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisProbe {
    /// Which servers may be used. Lag is not looked at.
    pub rule: RoleRule,
    /// The user of the access control list; `None` is the default user.
    pub user: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// The login role of a check of PostgreSQL that names none.
const POSTGRES_USER: &str = "evenkeel";

impl RoleRule {
    fn read(table: &Table<'_>) -> Option<Self> {
        let rule = Self {
            role: Field::read(table, "role")?,
            lag_max: Field::read(table, "lag_max")?,
            when_all_lag: Field::read(table, "when_all_lag")?,
        };
        if let Some(span) = table.key_span("lag_max").filter(|_| rule.role != Some(DatabaseRole::Replica)) {
            table.reader.note(
                Diagnostic::error("only replicas lag")
                    .at(span)
                    .with_expected("only with `role = \"replica\"`")
                    .with_help("add `role = \"replica\"`, or leave `lag_max` out"),
            );
        }
        if let Some(span) = table.key_span("when_all_lag").filter(|_| rule.lag_max.is_none()) {
            table.reader.note(
                Diagnostic::error("without `lag_max` no replica lags too much")
                    .at(span)
                    .with_expected("only with `lag_max`")
                    .with_help("add `lag_max = \"1MiB\"`, or leave `when_all_lag` out"),
            );
        }
        Some(rule)
    }
}

impl PostgresProbe {
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let user: Option<String> = Field::read(table, "user")?;
        Some(Self {
            rule: RoleRule::read(table)?,
            user: user.unwrap_or_else(|| POSTGRES_USER.into()),
            password_file: Field::read(table, "password_file")?,
            database: Field::read(table, "database")?,
        })
    }

    pub(super) fn show(&self, section: &'static Section, out: &mut Lines) {
        let Self { rule: RoleRule { role, lag_max, when_all_lag }, user, password_file, database } = self;
        Field::show(role, section, "role", out);
        out.line("user", quote(user));
        Field::show(password_file, section, "password_file", out);
        Field::show(database, section, "database", out);
        Field::show(lag_max, section, "lag_max", out);
        if lag_max.is_some() {
            Field::show(when_all_lag, section, "when_all_lag", out);
        }
    }
}

impl RedisProbe {
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let probe = Self {
            rule: RoleRule {
                role: Field::read(table, "role")?,
                lag_max: None,
                when_all_lag: WhenAllLag::Least,
            },
            user: Field::read(table, "user")?,
            password_file: Field::read(table, "password_file")?,
        };
        if let Some(span) = table.key_span("user").filter(|_| probe.password_file.is_none()) {
            table.reader.note(
                Diagnostic::error("Redis takes a user only with a password")
                    .at(span)
                    .with_expected("only with `password_file`")
                    .with_help("add `password_file`, or leave `user` out"),
            );
        }
        Some(probe)
    }

    pub(super) fn show(&self, section: &'static Section, out: &mut Lines) {
        Field::show(&self.rule.role, section, "role", out);
        Field::show(&self.user, section, "user", out);
        Field::show(&self.password_file, section, "password_file", out);
    }
}

/// The keys that a check of a database may have and no other check, with the kinds that have each.
pub(super) const OF_DATABASES: [(&str, &[ProbeKind]); 6] = [
    ("role", &[ProbeKind::Postgres, ProbeKind::Redis]),
    ("user", &[ProbeKind::Postgres, ProbeKind::Redis]),
    ("password_file", &[ProbeKind::Postgres, ProbeKind::Redis]),
    ("database", &[ProbeKind::Postgres]),
    ("lag_max", &[ProbeKind::Postgres]),
    ("when_all_lag", &[ProbeKind::Postgres]),
];
