//! Signing up, in and out.

use minigram::domain::accounts::AccountError;
use minigram::domain::tokens::TokenError;
use minigram::ports::sessions::{GRACE, SessionsError};
use minigram::ports::store::{Profile, StoreError};

use crate::world::{ACCESS_TTL, SESSION_TTL, World, password};

#[tokio::test]
async fn a_new_user_is_signed_in_and_reads_the_own_account() {
    let world = World::new().await;
    let profile = Profile::new("Ada Lovelace", "").unwrap();
    let signed_in =
        world.accounts.sign_up("ada".parse().unwrap(), profile.clone(), password("right")).await.unwrap();
    let access = world.tokens.check(&signed_in.access).unwrap();
    assert_eq!((access.user, access.session), (signed_in.session.user, signed_in.session.id));
    let session = world.sessions.session(access.session).await.unwrap().unwrap();
    assert_eq!(session, signed_in.session);
    assert!(session.positions.of(0).is_some(), "the write is noted in the session");
    let user = world.store.user(access.user, &session.positions).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.profile), ("ada", profile));

    let again = world
        .accounts
        .sign_up("ADA".parse().unwrap(), Profile::new("", "").unwrap(), password("other"))
        .await
        .unwrap_err();
    assert!(matches!(again, AccountError::Store(StoreError::NameTaken)), "{again}");
}

#[tokio::test]
async fn the_right_password_signs_in_and_nothing_else_does() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let signed_in = world.accounts.sign_in(&"ada".parse().unwrap(), password("right")).await.unwrap();
    assert_eq!(signed_in.session.user, ada);
    for (name, typed) in [("ada", "wrong"), ("grace", "right")] {
        let error = world.accounts.sign_in(&name.parse().unwrap(), password(typed)).await.unwrap_err();
        assert!(matches!(error, AccountError::Wrong), "{error}");
    }
    let stored = world.store.password_hash(&"ada".parse().unwrap()).await.unwrap().unwrap().1;
    assert!(stored.starts_with("$argon2id$") && !stored.contains("right"), "{stored}");
}

#[tokio::test]
async fn a_session_is_refreshed_when_the_access_token_has_expired() {
    let world = World::new().await;
    world.sign_up("ada").await;
    let first = world.accounts.sign_in(&"ada".parse().unwrap(), password("right")).await.unwrap();
    world.clock.advance(ACCESS_TTL);
    assert_eq!(world.tokens.check(&first.access), Err(TokenError::Expired));
    let second = world.accounts.refresh(&first.refresh).await.unwrap();
    assert_eq!(world.tokens.check(&second.access).unwrap().session, first.session.id);
    world.clock.advance(GRACE);
    let error = world.accounts.refresh(&first.refresh).await.unwrap_err();
    assert!(matches!(error, AccountError::Sessions(SessionsError::Reused)), "{error}");
    let error = world.accounts.refresh(&second.refresh).await.unwrap_err();
    assert!(matches!(error, AccountError::Sessions(SessionsError::Unknown)), "{error}");
}

#[tokio::test]
async fn signing_out_ends_one_session_and_everywhere_ends_all() {
    let world = World::new().await;
    let ada = world.sign_up("ada").await;
    let name = "ada".parse().unwrap();
    let first = world.accounts.sign_in(&name, password("right")).await.unwrap();
    let second = world.accounts.sign_in(&name, password("right")).await.unwrap();
    world.accounts.sign_out(world.tokens.check(&first.access).unwrap()).await.unwrap();
    assert!(world.accounts.refresh(&first.refresh).await.is_err());
    let second = world.accounts.refresh(&second.refresh).await.unwrap();
    // The one of signing up, and the second.
    assert_eq!(world.accounts.sign_out_everywhere(ada).await.unwrap(), 2);
    assert!(world.accounts.refresh(&second.refresh).await.is_err());

    let third = world.accounts.sign_in(&name, password("right")).await.unwrap();
    world.clock.advance(SESSION_TTL);
    assert!(world.accounts.refresh(&third.refresh).await.is_err());
}
