//! Properties of sessions, whatever datagrams come in whatever order.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_types::Time;
use proptest::prelude::*;

use super::{Places, STALE_MAX, SessionKey, Sessions};

const IDLE: Duration = Duration::from_millis(100);

fn key(client: u16) -> SessionKey {
    SessionKey { peer: (Ipv4Addr::LOCALHOST, client).into(), local: None, client: None }
}

#[derive(Debug, Clone)]
enum Event {
    /// A datagram of a client, or an answer to it.
    Moves(u16),
    /// The server of a client's session refuses.
    Fails(u16),
    /// So many milliseconds pass.
    Passes(u64),
    /// The idle timeout is another one, in milliseconds.
    Reloads(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u16..40).prop_map(Event::Moves),
        1 => (1_u16..40).prop_map(Event::Fails),
        2 => (0_u64..80).prop_map(Event::Passes),
        1 => (10_u64..300).prop_map(Event::Reloads),
    ]
}

proptest! {
    /// A session lives exactly as long as something moves in it: as in a table that looks at every session at every moment.
    #[test]
    fn sessions_end_when_nothing_moves_and_not_before(events in prop::collection::vec(event(), 1..300)) {
        let mut sessions = Sessions::new(IDLE);
        let mut model: HashMap<u16, Time> = HashMap::new();
        let (mut now, mut idle) = (Time::ZERO, IDLE);
        for event in events {
            match event {
                Event::Moves(client) => {
                    match sessions.find(&key(client)) {
                        Some(session) => assert_eq!(sessions.touch(session, now), Some(&mut client.clone())),
                        None => assert!(sessions.add(key(client), client, now).1.is_none()),
                    }
                    model.insert(client, now);
                }
                Event::Fails(client) => {
                    let removed = sessions.find(&key(client)).and_then(|session| sessions.remove(session));
                    prop_assert_eq!(removed, model.remove(&client).map(|_| client));
                }
                Event::Passes(ms) => now = now + Duration::from_millis(ms),
                Event::Reloads(ms) => {
                    idle = Duration::from_millis(ms);
                    sessions.set_idle(idle);
                }
            }
            while let Some(session) = sessions.expired(now) {
                let client = sessions.remove(session).expect("it is there");
                prop_assert!(model.remove(&client).is_some_and(|moved| moved + idle <= now));
            }
            prop_assert!(model.values().all(|moved| *moved + idle > now));
            prop_assert_eq!(sessions.len(), model.len());
            prop_assert_eq!(sessions.all().count(), model.len());
            // Looked at by then at the latest, so that a timer set for it is enough.
            let first = model.values().map(|moved| *moved + idle).min();
            prop_assert!(first.is_none_or(|first| sessions.due().is_some_and(|due| due <= first)));
        }
    }

    /// The schedule does not grow with sessions that come and go.
    #[test]
    fn memory_follows_the_sessions_that_live(rounds in 1_usize..2_000) {
        let mut sessions = Sessions::new(IDLE);
        sessions.add(key(1), 1, Time::ZERO);
        for _ in 0..rounds {
            let (session, _) = sessions.add(key(2), 2, Time::ZERO);
            sessions.remove(session);
        }
        prop_assert!(sessions.schedule.len() <= 2 + STALE_MAX + 1);
        prop_assert!(sessions.slots.len() <= 2);
    }

    #[test]
    fn no_more_places_are_taken_than_there_are(max in 0_usize..20, wanted in 0_usize..40) {
        let places = Arc::new(Places::default());
        let taken: Vec<_> = (0..wanted).filter_map(|_| places.take(max)).collect();
        prop_assert_eq!(taken.len(), wanted.min(max));
        drop(taken);
        prop_assert_eq!(places.take(max).is_some(), max > 0);
    }
}
