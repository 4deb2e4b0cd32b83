//! The contract of the sessions.

macro_rules! sessions_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::sessions::cases;
            cases! { $start:
                a_session_is_found_until_it_ends,
                a_token_that_was_rotated_extends_the_session,
                a_used_token_works_for_a_while_and_then_ends_the_session,
                a_used_token_ends_the_session_however_old_it_is,
                a_token_that_was_never_given_out_changes_nothing,
                revoked_sessions_are_gone_and_others_stay,
                positions_of_writes_are_kept_in_whichever_order_they_are_noted,
                of_many_who_rotate_one_token_all_get_valid_ones,
            }
        }
    };
}

pub mod cases {
    //! All cases by name.

    use std::time::Duration;

    use minigram::ids::UserId;
    use minigram::ports::position::{Position, Positions};
    use minigram::ports::sessions::{GRACE, RefreshToken, SessionId, Sessions, SessionsError};
    use minigram::ports::{Retriable, Retry};

    use crate::subject::Subject;

    const TTL: Duration = Duration::from_secs(20);
    const SECOND: Duration = Duration::from_secs(1);

    fn user(number: i64) -> UserId {
        UserId::from_sql(number)
    }

    pub async fn a_session_is_found_until_it_ends(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let (session, _) = sessions.open(user(1), TTL).await.unwrap();
        assert_eq!((session.user, &session.positions), (user(1), &Positions::none()));
        assert_eq!(sessions.session(session.id).await.unwrap(), Some(session.clone()));
        assert_eq!(sessions.session(SessionId::random().unwrap()).await.unwrap(), None);
        subject.pass(TTL - SECOND).await;
        assert!(sessions.session(session.id).await.unwrap().is_some());
        subject.pass(SECOND).await;
        assert_eq!(sessions.session(session.id).await.unwrap(), None);
    }

    pub async fn a_token_that_was_rotated_extends_the_session(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let (session, mut token) = sessions.open(user(1), TTL).await.unwrap();
        for _ in 0..4 {
            subject.pass(TTL * 3 / 4).await;
            let (rotated, next) = sessions.rotate(&token, TTL).await.unwrap();
            assert_eq!((rotated.id, rotated.user), (session.id, session.user));
            assert!(rotated.expires >= subject.now().plus(TTL - SECOND));
            assert_ne!(next, token);
            token = next;
        }
        subject.pass(TTL).await;
        let error = sessions.rotate(&token, TTL).await.unwrap_err();
        assert!(matches!(error, SessionsError::Unknown), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }

    pub async fn a_used_token_works_for_a_while_and_then_ends_the_session(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let (session, first) = sessions.open(user(1), TTL).await.unwrap();
        let (_, second) = sessions.rotate(&first, TTL).await.unwrap();
        subject.pass(GRACE / 2).await;
        let (_, third) = sessions.rotate(&first, TTL).await.unwrap();
        assert!(sessions.rotate(&second, TTL).await.is_ok());
        subject.pass(GRACE).await;
        let error = sessions.rotate(&first, TTL).await.unwrap_err();
        assert!(matches!(error, SessionsError::Reused), "{error}");
        assert_eq!(sessions.session(session.id).await.unwrap(), None);
        assert!(matches!(sessions.rotate(&third, TTL).await, Err(SessionsError::Unknown)));
    }

    pub async fn a_used_token_ends_the_session_however_old_it_is(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let (session, first) = sessions.open(user(1), TTL).await.unwrap();
        let mut token = first.clone();
        for _ in 0..3 {
            subject.pass(GRACE).await;
            token = sessions.rotate(&token, TTL).await.unwrap().1;
        }
        assert!(matches!(sessions.rotate(&first, TTL).await, Err(SessionsError::Reused)));
        assert_eq!(sessions.session(session.id).await.unwrap(), None);
    }

    pub async fn a_token_that_was_never_given_out_changes_nothing(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let (session, token) = sessions.open(user(1), TTL).await.unwrap();
        for id in [session.id, SessionId::random().unwrap()] {
            let guess = RefreshToken::random(id).unwrap();
            assert!(matches!(sessions.rotate(&guess, TTL).await, Err(SessionsError::Unknown)));
        }
        assert!(sessions.rotate(&token, TTL).await.is_ok());
    }

    pub async fn revoked_sessions_are_gone_and_others_stay(subject: Subject<dyn Sessions>) {
        let sessions = &*subject.port;
        let mut opened = Vec::new();
        for owner in [1, 1, 1, 2] {
            opened.push(sessions.open(user(owner), TTL).await.unwrap());
        }
        sessions.revoke(opened[0].0.id).await.unwrap();
        sessions.revoke(opened[0].0.id).await.unwrap();
        assert_eq!(sessions.session(opened[0].0.id).await.unwrap(), None);
        assert_eq!(sessions.revoke_all(user(1)).await.unwrap(), 2);
        for (session, token) in &opened[..3] {
            assert_eq!(sessions.session(session.id).await.unwrap(), None);
            assert!(matches!(sessions.rotate(token, TTL).await, Err(SessionsError::Unknown)));
        }
        assert!(sessions.session(opened[3].0.id).await.unwrap().is_some());
        assert_eq!(sessions.revoke_all(user(1)).await.unwrap(), 0);
    }

    pub async fn positions_of_writes_are_kept_in_whichever_order_they_are_noted(
        subject: Subject<dyn Sessions>,
    ) {
        let sessions = &*subject.port;
        let (session, token) = sessions.open(user(1), TTL).await.unwrap();
        let at = |database, timeline, lsn| Position { database, timeline, lsn };
        for written in [at(0, 1, 20), at(1, 1, 7), at(0, 1, 10), at(1, 2, 3), at(1, 1, 9)] {
            sessions.note_write(session.id, written).await.unwrap();
        }
        sessions.note_write(SessionId::random().unwrap(), at(0, 1, 99)).await.unwrap();
        let (rotated, _) = sessions.rotate(&token, TTL).await.unwrap();
        let kept = sessions.session(session.id).await.unwrap().unwrap();
        for positions in [rotated.positions, kept.positions] {
            assert_eq!(positions.of(0), Some(at(0, 1, 20)));
            assert_eq!(positions.of(1), Some(at(1, 2, 3)));
        }
    }

    pub async fn of_many_who_rotate_one_token_all_get_valid_ones(subject: Subject<dyn Sessions>) {
        let (_, token) = subject.port.open(user(1), TTL).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let (sessions, token) = (subject.port.clone(), token.clone());
            tasks.push(tokio::spawn(async move { sessions.rotate(&token, TTL).await.unwrap().1 }));
        }
        for task in tasks {
            let rotated = task.await.unwrap();
            assert!(subject.port.rotate(&rotated, TTL).await.is_ok());
        }
    }
}
