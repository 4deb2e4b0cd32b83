//! Which servers a pool has: those of its configuration and those that were discovered, changed by commands.

use std::collections::{HashMap, HashSet};
use std::fmt;

use evenkeel_config::{Backend, Pool};
use evenkeel_types::{Address, BackendId};

/// Servers that commands have added to one pool at most.
pub const ADDED_MAX: usize = 10_000;

/// What a pool has beside the servers that its configuration names: those that were discovered, and what commands have
/// changed.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// In the order in which they came; none has the id of a configured one that is not among `removed`.
    added: Vec<Backend>,
    /// As the last good answer had them; those that the pool has anyway are passed over.
    discovered: Vec<Backend>,
    /// Configured and discovered ones that are out.
    removed: HashSet<BackendId>,
}

/// A server to add, as far as something is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Its id.
    pub id: BackendId,
    /// Where it is.
    pub address: Address,
    /// Its share.
    pub weight: Option<u32>,
    /// Whether it is used only when no other server is up.
    pub backup: Option<bool>,
    /// Requests in flight at it, or that there is no limit.
    pub max_connections: Option<Option<u32>>,
}

impl From<Backend> for Addition {
    /// Everything is said.
    fn from(server: Backend) -> Self {
        let Backend { id, address, weight, backup, max_connections } = server;
        Self {
            id,
            address,
            weight: Some(weight),
            backup: Some(backup),
            max_connections: Some(max_connections),
        }
    }
}

impl Addition {
    /// True if this is said of a server of the pool: what is not said does not count.
    pub fn is(&self, server: &Backend) -> bool {
        *server == self.over(server)
    }

    /// The server, with what is not said as `other` has it.
    fn over(&self, other: &Backend) -> Backend {
        Backend {
            id: self.id.clone(),
            address: self.address.clone(),
            weight: self.weight.unwrap_or(other.weight),
            backup: self.backup.unwrap_or(other.backup),
            max_connections: self.max_connections.unwrap_or(other.max_connections),
        }
    }
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

/// What to say if a server has the same address as another one of its pool.
pub fn shared_address(servers: &[Backend], id: &BackendId) -> Option<String> {
    let server = servers.iter().find(|server| server.id == *id)?;
    let other = servers.iter().find(|other| other.id != *id && other.address == server.address)?;
    Some(shares(server, other))
}

/// The same of each server of `added` that is among `servers`, and not the first at its address.
pub fn shared_addresses(servers: &[Backend], added: &[Backend]) -> Vec<String> {
    if added.is_empty() {
        return Vec::new();
    }
    let mut first: HashMap<&Address, &Backend> = HashMap::with_capacity(servers.len());
    for server in servers {
        first.entry(&server.address).or_insert(server);
    }
    let other = |server: &Backend| first.get(&server.address).filter(|first| first.id != server.id);
    added.iter().filter_map(|server| Some(shares(server, other(server)?))).collect()
}

fn shares(server: &Backend, other: &Backend) -> String {
    let Backend { id, address, .. } = server;
    format!(
        "server {id} has the same address as server {}, {address}: it gets the requests of both",
        other.id
    )
}

impl Endpoints {
    /// The servers that a pool has, where `configured` are those that its configuration names: first those, then the
    /// discovered ones, then the added ones in the order in which they came.
    pub fn of(&self, configured: &Pool) -> Vec<Backend> {
        let named = configured.backends.iter().filter(|backend| !self.removed.contains(&backend.id));
        named.chain(self.seen(configured)).chain(&self.added).cloned().collect()
    }

    /// The discovered servers that the pool would not have otherwise: neither the configuration nor a command names their
    /// id or their address, and no command has removed them.
    fn seen<'e>(&'e self, configured: &'e Pool) -> impl Iterator<Item = &'e Backend> {
        let others = || configured.backends.iter().chain(&self.added);
        // Nothing is compared where nothing was discovered.
        let (ids, addresses): (HashSet<&BackendId>, HashSet<&Address>) = if self.discovered.is_empty() {
            Default::default()
        } else {
            (others().map(|it| &it.id).collect(), others().map(|it| &it.address).collect())
        };
        self.discovered.iter().filter(move |server| {
            !self.removed.contains(&server.id)
                && !ids.contains(&server.id)
                && !addresses.contains(&server.address)
        })
    }

    /// What commands have changed: the servers that they added, and the configured or discovered ones that they removed.
    pub fn changes(&self) -> (&[Backend], impl Iterator<Item = &BackendId>) {
        (&self.added, self.removed.iter())
    }

    /// Takes in what was discovered: from now on these servers, and no others that were discovered before. One that a
    /// command has removed stays out for as long as it is among them.
    pub fn discover(&mut self, configured: &Pool, servers: Vec<Backend>) {
        self.discovered = servers;
        self.forget_removed(configured);
    }

    /// Takes out a discovered server that a command to another process has removed; false if it is not discovered.
    pub fn keep_out(&mut self, id: &BackendId) -> bool {
        let is_discovered = self.discovered.iter().any(|server| server.id == *id);
        if is_discovered {
            self.removed.insert(id.clone());
        }
        is_discovered
    }

    /// Forgets the removal of servers that nothing names any more.
    fn forget_removed(&mut self, configured: &Pool) {
        let named: HashSet<&BackendId> =
            configured.backends.iter().chain(&self.discovered).map(|backend| &backend.id).collect();
        self.removed.retain(|id| named.contains(id));
    }

    /// Adds a server. One that the configuration names, or that was discovered, with this id and address, comes back as it was, but
    /// for what is said of it here.
    ///
    /// # Errors
    /// Its id is taken, or there are too many.
    pub fn add(&mut self, configured: &Pool, server: impl Into<Addition>) -> Result<(), EndpointError> {
        let wanted = server.into();
        if self.has(configured, &wanted.id) {
            return Err(EndpointError::Exists(wanted.id));
        }
        let was = |known: &&Backend| known.id == wanted.id && known.address == wanted.address;
        let known = configured.backends.iter().chain(&self.discovered).find(was);
        if let Some(known) = known.filter(|known| wanted.is(known)) {
            self.removed.remove(&known.id);
            return Ok(());
        }
        let server = match known {
            Some(known) => wanted.over(known),
            None => wanted.over(&Backend::new(wanted.address.clone())),
        };
        if self.added.len() >= ADDED_MAX {
            return Err(EndpointError::TooMany);
        }
        self.added.push(server);
        Ok(())
    }

    /// Removes a server, whether the configuration, a discovery or a command has put it there.
    ///
    /// # Errors
    /// The pool does not have it.
    pub fn remove(&mut self, configured: &Pool, id: &BackendId) -> Result<(), EndpointError> {
        if !self.has(configured, id) {
            return Err(EndpointError::Unknown(id.clone()));
        }
        self.added.retain(|server| server.id != *id);
        if configured.backends.iter().chain(&self.discovered).any(|backend| backend.id == *id) {
            self.removed.insert(id.clone());
        }
        Ok(())
    }

    /// Takes in what was changed `before` of servers that the pool does not know now, so that it counts again for a configuration that
    /// knows them.
    pub fn remember(&mut self, configured: &Pool, before: Self) {
        let named: HashSet<&BackendId> =
            configured.backends.iter().chain(&self.discovered).map(|backend| &backend.id).collect();
        self.removed.extend(before.removed.into_iter().filter(|id| !named.contains(id)));
        // One that the configuration names by now has stayed, unless it was removed.
        let ours = |server: &Backend| self.added.iter().any(|added| added.id == server.id);
        let stays = |server: &Backend| self.has(configured, &server.id) && !ours(server);
        let added: Vec<_> = before.added.into_iter().filter(stays).collect();
        self.added.extend(added);
        if configured.discover.is_none() {
            self.discovered = before.discovered;
        }
    }

    /// Takes in another configuration. What was added stays, unless the configuration names it by now; what was removed
    /// stays out for as long as the configuration names it. What was discovered stays for as long as the pool discovers
    /// servers: another source has it replaced with its first good answer.
    pub fn reconfigure(&mut self, configured: &Pool) {
        let named: HashSet<&BackendId> = configured.backends.iter().map(|backend| &backend.id).collect();
        // One that took the id of a removed one stays in its place.
        self.added.retain(|server| !named.contains(&server.id) || self.removed.contains(&server.id));
        if configured.discover.is_none() {
            self.discovered.clear();
        }
        self.forget_removed(configured);
    }

    fn has(&self, configured: &Pool, id: &BackendId) -> bool {
        self.added.iter().any(|server| server.id == *id)
            || self.seen(configured).any(|server| server.id == *id)
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
    fn a_removed_server_comes_back_as_it_was_but_for_what_is_said() {
        let full = "{ address = \"127.0.0.1:1\", name = \"a\", weight = 3, max_connections = 50 }";
        let (configured, mut endpoints) = (pool(&format!("{full}, {B}")), Endpoints::default());
        let said = |weight, backup| Addition {
            id: "a".into(),
            address: server(A).address,
            weight,
            backup,
            max_connections: None,
        };
        for (weight, backup) in [(None, None), (Some(3), None), (None, Some(false))] {
            endpoints.remove(&configured, &"a".into()).unwrap();
            endpoints.add(&configured, said(weight, backup)).unwrap();
            assert_eq!(endpoints.of(&configured), configured.backends, "{weight:?} {backup:?}");
            assert!(endpoints.changes().0.is_empty());
        }
        endpoints.remove(&configured, &"a".into()).unwrap();
        endpoints.add(&configured, said(Some(5), None)).unwrap();
        let back = endpoints.of(&configured).pop().unwrap();
        assert_eq!((back.weight, back.max_connections), (5, Some(50)));
        assert_eq!(endpoints.of(&configured).len(), 2);
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

    fn discovering(backends: &str) -> Pool {
        let keys = if backends.is_empty() { String::new() } else { format!("backends = [{backends}]\n") };
        let text = format!(
            "[listener.web]\nbind = [8080]\npool = \"app\"\n[pool.app]\n{keys}discover = {{ dns = \"a.b:1\" }}"
        );
        evenkeel_config::parse("test.toml", &text).unwrap().config.pools.remove(0)
    }

    fn found(ports: &[u16]) -> Vec<Backend> {
        ports.iter().map(|port| server(&format!("\"127.0.0.1:{port}\""))).collect()
    }

    #[test]
    fn discovered_servers_replace_one_another_and_no_others() {
        let (configured, mut endpoints) = (discovering(A), Endpoints::default());
        endpoints.add(&configured, server(B)).unwrap();
        endpoints.discover(&configured, found(&[7, 8]));
        assert_eq!(ids(&endpoints, &configured), ["a", "127.0.0.1:7", "127.0.0.1:8", "b"]);
        endpoints.discover(&configured, found(&[8, 9]));
        assert_eq!(ids(&endpoints, &configured), ["a", "127.0.0.1:8", "127.0.0.1:9", "b"]);
    }

    #[test]
    fn a_server_that_is_named_and_discovered_is_one() {
        let (configured, mut endpoints) = (discovering(A), Endpoints::default());
        endpoints.discover(&configured, found(&[1, 2, 3]));
        assert_eq!(ids(&endpoints, &configured), ["a", "127.0.0.1:2", "127.0.0.1:3"], "a is at port 1");
        endpoints.add(&configured, server(B)).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["a", "127.0.0.1:3", "b"], "b is at port 2");
        endpoints.remove(&configured, &"a".into()).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["127.0.0.1:3", "b"], "a is out, however it is called");
    }

    #[test]
    fn a_discovered_server_can_be_removed_and_comes_back_when_it_was_away() {
        let (configured, mut endpoints) = (discovering(""), Endpoints::default());
        endpoints.discover(&configured, found(&[7, 8]));
        endpoints.remove(&configured, &"127.0.0.1:7".into()).unwrap();
        endpoints.discover(&configured, found(&[7, 8, 9]));
        assert_eq!(ids(&endpoints, &configured), ["127.0.0.1:8", "127.0.0.1:9"]);
        let again = endpoints.remove(&configured, &"127.0.0.1:7".into());
        assert_eq!(again, Err(EndpointError::Unknown("127.0.0.1:7".into())));
        endpoints.discover(&configured, found(&[8]));
        endpoints.discover(&configured, found(&[7, 8]));
        assert_eq!(ids(&endpoints, &configured), ["127.0.0.1:7", "127.0.0.1:8"]);
        endpoints.remove(&configured, &"127.0.0.1:7".into()).unwrap();
        endpoints.add(&configured, found(&[7]).remove(0)).unwrap();
        assert_eq!(ids(&endpoints, &configured), ["127.0.0.1:7", "127.0.0.1:8"]);
    }

    #[test]
    fn a_reload_keeps_what_was_discovered_while_servers_are_discovered() {
        let (configured, mut endpoints) = (discovering(A), Endpoints::default());
        endpoints.discover(&configured, found(&[7]));
        let other = discovering(B);
        endpoints.reconfigure(&other);
        assert_eq!(ids(&endpoints, &other), ["b", "127.0.0.1:7"]);
        let none = pool(B);
        endpoints.reconfigure(&none);
        assert_eq!(ids(&endpoints, &none), ["b"]);
        endpoints.reconfigure(&other);
        assert_eq!(ids(&endpoints, &other), ["b"], "it was not kept for later");
    }
}
