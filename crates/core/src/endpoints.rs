//! Which servers a pool has: those of its configuration, changed by commands.

use std::collections::HashSet;
use std::fmt;

use evenkeel_config::{Backend, Pool};
use evenkeel_types::BackendId;

/// Servers that commands have added to one pool at most.
pub const ADDED_MAX: usize = 10_000;

/// What commands have changed about the servers that the configuration of a pool names.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// In the order in which they came; none has the id of a configured one that is not among `removed`.
    added: Vec<Backend>,
    /// Configured ones that are out.
    removed: HashSet<BackendId>,
}

/// Why the servers of a pool cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointError {
    /// A server of the pool has this id already.
    Exists(BackendId),
    /// The pool has no server with this id.
    Unknown(BackendId),
    /// [`ADDED_MAX`] servers were added already.
    TooMany,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(id) => write!(f, "there is a server {id} already"),
            Self::Unknown(id) => write!(f, "there is no server {id}"),
            Self::TooMany => write!(f, "{ADDED_MAX} servers were added already"),
        }
    }
}

impl Endpoints {
    /// The servers that a pool has, where `configured` are those that its configuration names: first those, then the added
    /// ones in the order in which they came.
    pub fn of(&self, configured: &Pool) -> Vec<Backend> {
        let named = configured.backends.iter().filter(|backend| !self.removed.contains(&backend.id));
        named.chain(&self.added).cloned().collect()
    }

    /// Adds a server. One that the configuration names in the same words just comes back.
    ///
    /// # Errors
    /// Its id is taken, or there are too many.
    pub fn add(&mut self, configured: &Pool, server: Backend) -> Result<(), EndpointError> {
        if self.has(configured, &server.id) {
            return Err(EndpointError::Exists(server.id));
        }
        if configured.backends.contains(&server) {
            self.removed.remove(&server.id);
            return Ok(());
        }
        if self.added.len() >= ADDED_MAX {
            return Err(EndpointError::TooMany);
        }
        self.added.push(server);
        Ok(())
    }

    /// Removes a server, whether the configuration or a command has put it there.
    ///
    /// # Errors
    /// The pool does not have it.
    pub fn remove(&mut self, configured: &Pool, id: &BackendId) -> Result<(), EndpointError> {
        if !self.has(configured, id) {
            return Err(EndpointError::Unknown(id.clone()));
        }
        self.added.retain(|server| server.id != *id);
        if configured.backends.iter().any(|backend| backend.id == *id) {
            self.removed.insert(id.clone());
        }
        Ok(())
    }

    /// Takes in another configuration. What was added stays, unless the configuration names it by now; what was removed
    /// stays out for as long as the configuration names it.
    pub fn reconfigure(&mut self, configured: &Pool) {
        let named: HashSet<&BackendId> = configured.backends.iter().map(|backend| &backend.id).collect();
        // One that took the id of a removed one stays in its place.
        self.added.retain(|server| !named.contains(&server.id) || self.removed.contains(&server.id));
        self.removed.retain(|id| named.contains(id));
    }

    fn has(&self, configured: &Pool, id: &BackendId) -> bool {
        self.added.iter().any(|server| server.id == *id)
            || (!self.removed.contains(id) && configured.backends.iter().any(|backend| backend.id == *id))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pool(backends: &str) -> Pool {
        let text =
            format!("[listener.web]\nbind = [8080]\npool = \"app\"\n[pool.app]\nbackends = [{backends}]");
        evenkeel_config::parse("test.toml", &text).unwrap().config.pools.remove(0)
    }

    fn server(text: &str) -> Backend {
        pool(text).backends.remove(0)
    }

    fn ids(endpoints: &Endpoints, configured: &Pool) -> Vec<String> {
        endpoints.of(configured).iter().map(|server| server.id.to_string()).collect()
    }

    const A: &str = "{ address = \"127.0.0.1:1\", name = \"a\" }";
    const B: &str = "{ address = \"127.0.0.1:2\", name = \"b\" }";
    const C: &str = "{ address = \"127.0.0.1:3\", name = \"c\" }";
    const OTHER_A: &str = "{ address = \"127.0.0.1:9\", name = \"a\" }";

    #[test]
    fn servers_come_and_go() {
        let (configured, mut endpoints) = (pool(&format!("{A}, {B}")), Endpoints::default());
        endpoints.add(&configured, server(C)).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["a", "b", "c"]);
        endpoints.remove(&configured, &"a".into()).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["b", "c"]);
        endpoints.remove(&configured, &"c".into()).unwrap();
        endpoints.remove(&configured, &"b".into()).unwrap();
        assert!(endpoints.of(&configured).is_empty());
        endpoints.add(&configured, server(A)).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["a"]);
    }

    #[test]
    fn an_id_is_there_once() {
        let (configured, mut endpoints) = (pool(A), Endpoints::default());
        assert_eq!(endpoints.add(&configured, server(OTHER_A)), Err(EndpointError::Exists("a".into())));
        endpoints.add(&configured, server(B)).unwrap();
        assert_eq!(endpoints.add(&configured, server(B)), Err(EndpointError::Exists("b".into())));
        assert_eq!(endpoints.remove(&configured, &"c".into()), Err(EndpointError::Unknown("c".into())));
        endpoints.remove(&configured, &"a".into()).unwrap();
        assert_eq!(endpoints.remove(&configured, &"a".into()), Err(EndpointError::Unknown("a".into())));
        endpoints.add(&configured, server(OTHER_A)).unwrap();
        assert_eq!(endpoints.of(&configured).last(), Some(&server(OTHER_A)));
    }

    #[test]
    fn a_reload_keeps_what_commands_said_while_it_means_something() {
        let (before, mut endpoints) = (pool(&format!("{A}, {B}")), Endpoints::default());
        endpoints.remove(&before, &"a".into()).unwrap();
        endpoints.add(&before, server(C)).unwrap();
        endpoints.reconfigure(&before);
        assert_eq!(ids(&endpoints, &before), ["b", "c"]);
        let named = pool(&format!("{B}, {C}"));
        endpoints.reconfigure(&named);
        assert_eq!(ids(&endpoints, &named), ["b", "c"], "the configuration has taken over c");
        endpoints.reconfigure(&before);
        assert_eq!(ids(&endpoints, &before), ["a", "b"], "a was gone in between");
    }
}
