//! Commands of operators and programs: carried out one after the other on the control thread, each with one line in the log that
//! says who changed what, from what to what, and why.

use std::time::Duration;

use evenkeel_admin::{By, Request};
use evenkeel_core::endpoints::shared_address;
use evenkeel_core::snapshot::{Command, CommandDone, CommandError};
use evenkeel_observe::Registry;
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_types::{BackendId, PoolName, RouteName, cut, one_line};

use crate::cache;
use crate::control::Control;
use crate::discovery::Discoveries;
use crate::log::{self, AUDIT};
use crate::probes::Probes;
use crate::systemd;
use crate::turns::{Answer, Reloads};

/// Why a command is refused meanwhile.
const UPGRADING: &str = "an upgrade of the binary is under way: ask again when it has ended";
/// Bytes of what is purged that the log shows.
const SHOWN_MAX: usize = 300;

/// What a change is about: a pool, and maybe a server of it.
pub type About<'a> = (&'a PoolName, Option<&'a BackendId>);

/// Notes that a change was made, in the log and among the events. Text from outside stands there quoted or escaped.
pub fn audit(registry: &Registry, by: &By, what: &str, about: Option<About<'_>>) {
    let By { who, why } = by;
    let what = one_line(what);
    let event =
        Event::new(EventKind::Operator, Severity::Info, what.clone()).by(Some(who.clone()), why.clone());
    let why = why.as_deref().unwrap_or_default();
    let event = match about {
        None => {
            tracing::info!(target: AUDIT, who, why, "operator: {what}");
            event
        }
        Some((pool, None)) => {
            let shown = one_line(pool.as_str());
            tracing::info!(target: AUDIT, pool = %shown, who, why, "operator: {what}");
            event.pool(pool)
        }
        Some((pool, Some(server))) => {
            let (of, id) = (one_line(pool.as_str()), one_line(server.as_str()));
            tracing::info!(target: AUDIT, pool = %of, server = %id, who, why, "operator: {what}");
            event.server(pool, server)
        }
    };
    registry.events.record(event);
}

impl Control {
    /// Notes that a change was made.
    pub fn audit(&self, by: &By, what: &str, about: Option<About<'_>>) {
        audit(&self.registry, by, what, about);
    }

    /// Takes a command: what takes long begins, and the rest is done. The client may have gone; it is carried out all the same.
    pub fn take(
        &mut self,
        request: Request,
        reloads: &mut Reloads,
        probes: &mut Probes,
        discoveries: &mut Discoveries,
    ) {
        let Request { command, by, if_match, answer } = request;
        let done = match command {
            Command::Reload => return self.ask_reload(&by, None, answer, reloads),
            Command::Try { within } => return self.ask_reload(&by, Some(within), answer, reloads),
            _ if self.upgrading => Err(CommandError::Refused(UPGRADING.into())),
            Command::Confirm { keep } => self.confirm(keep, probes, discoveries).map(|()| {
                self.audit(
                    &by,
                    if keep { "configuration confirmed" } else { "configuration taken back" },
                    None,
                );
                CommandDone::Done
            }),
            command => self.carry_out(command, &by, if_match.as_deref(), probes),
        };
        let _ = answer.send(done);
    }

    /// Takes a reload, which is to be confirmed `within` a time if there is one.
    fn ask_reload(&mut self, by: &By, within: Option<Duration>, answer: Answer, reloads: &mut Reloads) {
        let what = if within.is_some() { "reload asked for, to be confirmed" } else { "reload asked for" };
        self.audit(by, what, None);
        systemd::reloading();
        if let Err((answer, why)) = reloads.ask(answer, within) {
            let _ = answer.send(Err(self.refuse_reload(why)));
        }
        self.begin_reload(reloads);
    }

    /// Begins the next reload that was asked for, if none is under way. What could not be put in force is refused unread.
    pub fn begin_reload(&mut self, reloads: &mut Reloads) {
        while reloads.take_turn() {
            let why = match reloads.within() {
                _ if self.upgrading => Some(UPGRADING.to_owned()),
                Some(_) => None,
                None => self.must_be_decided(),
            };
            let Some(why) = why else { return reloads.start(self.in_force()) };
            let refused = self.refuse_reload(why);
            systemd::ready("serving");
            reloads.answer(&Err(refused));
        }
    }

    /// Carries out a command that is done at once.
    ///
    /// # Errors
    /// It cannot be carried out; all is as before.
    fn carry_out(
        &mut self,
        command: Command,
        by: &By,
        if_match: Option<&[String]>,
        probes: &mut Probes,
    ) -> Result<CommandDone, CommandError> {
        self.check_tag(&command, if_match)?;
        let now = self.now();
        match command {
            Command::Reload | Command::Try { .. } | Command::Confirm { .. } => Ok(CommandDone::Done),
            Command::Purge { scopes, soft, asked, host } => {
                let mode = if soft { "soft" } else { "hard" };
                self.audit(by, &format!("purge ({mode}) of {}", cut(&asked, SHOWN_MAX)), None);
                Ok(CommandDone::Purged(cache::purge(&self.shared, &scopes, host.as_ref(), soft)))
            }
            Command::LogLevel(level) => {
                let before = log::level();
                if before == level {
                    return Ok(CommandDone::Unchanged);
                }
                let what = format!("log level: from {before} to {level}");
                // One of both levels may hide the line.
                let is_shown = tracing::enabled!(tracing::Level::INFO);
                if is_shown {
                    self.audit(by, &what, None);
                }
                log::set_level(&level).map_err(CommandError::Refused)?;
                if !is_shown {
                    self.audit(by, &what, None);
                }
                Ok(CommandDone::Done)
            }
            Command::Split { route, weights } => {
                let changes = self.servers.divide(&route, &weights)?;
                if !changes.is_empty() {
                    self.publish();
                }
                Ok(self.done(by, &format!("split of the route {route}"), &changes, None))
            }
            Command::Server { pool, id, administrative, weight } => {
                let changes = self.servers.administer(&pool, &id, administrative, weight, now)?;
                probes.plan(&self.servers, self.servers.pool(&pool));
                Ok(self.done(by, "server", &changes, Some((&pool, Some(&id)))))
            }
            Command::AddServer { pool, server } => {
                let id = server.id.clone();
                let is_new = self.servers.add(&pool, server, now)?;
                let added = self.servers.present(&pool, &id).filter(|_| is_new);
                let changes = added.map(|it| format!("added at {} with weight {}", it.address, it.weight));
                probes.plan(&self.servers, self.servers.pool(&pool));
                let pool_now = self.servers.pool(&pool).filter(|_| changes.is_some());
                if let Some(warning) = pool_now.and_then(|pool| shared_address(&pool.backends, &id)) {
                    tracing::warn!(%pool, "{warning}");
                }
                Ok(self.done(by, "server", changes.as_slice(), Some((&pool, Some(&id)))))
            }
            Command::RemoveServer { pool, id } => {
                let address = self.servers.pool(&pool).and_then(|pool| {
                    Some(pool.backends.iter().find(|backend| backend.id == id)?.address.to_string())
                });
                let what = format!("removed, was at {}", address.unwrap_or_default());
                let changes = self.servers.remove(&pool, &id, now)?.then_some(what);
                probes.plan(&self.servers, self.servers.pool(&pool));
                Ok(self.done(by, "server", changes.as_slice(), Some((&pool, Some(&id)))))
            }
        }
    }

    /// Refuses a change that is meant for another state of the pool or split.
    fn check_tag(&self, command: &Command, if_match: Option<&[String]>) -> Result<(), CommandError> {
        let Some(tags) = if_match else { return Ok(()) };
        let (what, tag) = match command {
            Command::Server { pool, .. }
            | Command::AddServer { pool, .. }
            | Command::RemoveServer { pool, .. } => {
                (format!("the pool {pool}"), self.servers.settings_tag(pool))
            }
            Command::Split { route, .. } => (format!("the split of {route}"), self.split_tag(route)),
            _ => return Ok(()),
        };
        match tag {
            Some(tag) if !tags.contains(&tag) => Err(CommandError::Changed(format!(
                "{what} has changed: its ETag is \"{tag}\" by now; look at it and ask again"
            ))),
            // Where there is no such thing, the command says so.
            _ => Ok(()),
        }
    }

    fn split_tag(&self, route: &RouteName) -> Option<String> {
        let snapshot = self.shared.snapshot();
        let position = snapshot.routes.routes().iter().position(|it| it.name == *route)?;
        snapshot.split_tag(position)
    }

    /// What a command came to, noted if it has changed anything.
    fn done(&self, by: &By, what: &str, changes: &[String], about: Option<About<'_>>) -> CommandDone {
        if changes.is_empty() {
            return CommandDone::Unchanged;
        }
        self.audit(by, &format!("{what}: {}", changes.join(", ")), about);
        CommandDone::Done
    }
}
