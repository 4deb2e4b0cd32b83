//! HTTP/2 connections to one server, kept apart by the name that they were made for: one that was made for one name never
//! carries a request for another.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::Keepalive;
use evenkeel_types::Time;

use super::counted::Counted;
use super::h2::{Connections, Place};

/// Names of one server that one worker has connections for, besides its own: clients choose them.
const NAMES_MAX: usize = 256;

/// The connections to one server, by name.
#[derive(Debug)]
pub struct NamedConnections {
    counted: Counted,
    /// Those for the server's own name.
    own: Rc<Connections>,
    /// Those for the hosts of requests, the last used last.
    others: RefCell<Vec<(Rc<str>, Rc<Connections>)>>,
}

impl NamedConnections {
    /// None yet.
    pub fn new(counted: Counted) -> Self {
        let own = Rc::new(Connections::new(counted.clone()));
        Self { counted, own, others: RefCell::default() }
    }

    /// A place on an open connection for `name`.
    pub fn place(&self, name: Option<&str>, now: Time, keepalive: Keepalive) -> Option<Place> {
        match name {
            None => self.own.place(now, keepalive),
            Some(name) => self.find(name)?.place(now, keepalive),
        }
    }

    /// The connections for `name`. Those for the name that was not used for longest make room for a new one; of them, each
    /// closes when its last request has ended.
    pub fn of(&self, name: Option<&str>, keepalive: Keepalive) -> Rc<Connections> {
        let Some(name) = name else { return Rc::clone(&self.own) };
        if let Some(found) = self.find(name) {
            return found;
        }
        let mut others = self.others.borrow_mut();
        if others.len() >= keepalive.idle.clamp(1, NAMES_MAX) {
            let idle = others.iter().position(|(_, connections)| is_idle(connections));
            others.remove(idle.unwrap_or(0));
        }
        let made = Rc::new(Connections::new(self.counted.clone()));
        others.push((name.into(), Rc::clone(&made)));
        made
    }

    fn find(&self, name: &str) -> Option<Rc<Connections>> {
        let mut others = self.others.borrow_mut();
        let at = others.iter().rposition(|(known, _)| **known == *name)?;
        others[at..].rotate_left(1);
        others.last().map(|(_, connections)| Rc::clone(connections))
    }

    /// As [`Connections::sweep`]; names without connections are forgotten.
    pub fn sweep(&self, now: Time, idle_max: Duration) {
        self.own.sweep(now, idle_max);
        self.others.borrow_mut().retain(|(_, connections)| {
            connections.sweep(now, idle_max);
            // A request may be opening one.
            Rc::strong_count(connections) > 1 || !connections.is_empty()
        });
    }

    /// Closes all, each as soon as its last request has ended.
    pub fn retire(&self) {
        self.own.retire();
        self.others.borrow_mut().clear();
    }
}

/// True if no request is under way over them, and none opens one.
fn is_idle(connections: &Rc<Connections>) -> bool {
    Rc::strong_count(connections) == 1 && connections.is_idle()
}

#[cfg(test)]
mod tests {
    use evenkeel_observe::Registry;
    use evenkeel_types::{BackendId, PoolName};

    use super::*;

    #[test]
    fn the_name_that_was_not_used_for_longest_makes_room() {
        let (pool, server) = (PoolName::from("app"), BackendId::from("one"));
        let metrics = Registry::new(1).backend(&pool, &server);
        let connections = NamedConnections::new(Counted::new((pool, server), metrics, 0));
        let keepalive = Keepalive { idle: 2, ..Keepalive::default() };
        let a = Rc::downgrade(&connections.of(Some("a"), keepalive));
        let b = Rc::downgrade(&connections.of(Some("b"), keepalive));
        assert!(Rc::ptr_eq(&connections.of(Some("a"), keepalive), &a.upgrade().unwrap()));
        connections.of(Some("c"), keepalive);
        assert_eq!((a.strong_count(), b.strong_count()), (1, 0));
        assert_eq!(connections.others.borrow().len(), 2);
        connections.sweep(Time::ZERO, Duration::ZERO);
        assert!(connections.others.borrow().is_empty(), "names without connections");
    }
}
