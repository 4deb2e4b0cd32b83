//! Passwords: hashed by Argon2id, on threads of their own, and few at once, because each takes much memory and time.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::ports::{Retriable, Retry, Source};
use crate::text::Malformed;

/// Requests that wait for their turn at most, for each one that is served.
const WAITING_MAX: usize = 16;

/// A password as it was typed: 8 to 200 bytes. It is never shown.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// A password.
    ///
    /// # Errors
    /// One that is too short or too long.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        if !(8..=200).contains(&text.len()) {
            return Err(Malformed { what: "a password has 8 to 200 bytes".to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a password was neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many requests wait for their turn.
    #[error("too many sign in at once")]
    Busy,
    /// The hash in the store is none, or there is no memory.
    #[error("the password cannot be hashed: {0}")]
    Failed(#[source] Source),
}

impl Retriable for PasswordError {
    fn retry(&self) -> Retry {
        match self {
            Self::Busy => Retry::Soon,
            Self::Failed(_) => Retry::Never,
        }
    }
}

/// Hashes passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Passwords {
    /// Hashes with 19 MiB in two passes, as OWASP advises, for at most `at_once` requests at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self::with_params(at_once, Params::default())
    }

    /// Hashes with as little memory and time as Argon2 allows: for tests and sample users.
    ///
    /// # Panics
    /// Never: Argon2 allows these parameters.
    #[must_use]
    pub fn weak(at_once: usize) -> Self {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("the least that is allowed");
        Self::with_params(at_once, params)
    }

    fn with_params(at_once: usize, params: Params) -> Self {
        Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            at_once: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(at_once * (WAITING_MAX + 1))),
        }
    }

    /// The hash of a password with a new salt, in PHC string format.
    ///
    /// # Errors
    /// `Busy`, `Failed`.
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        self.run(move |argon2| {
            let hash: PasswordHash = argon2.hash_password(password.0.as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `hash` is of this password. Without a hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// `Busy`, `Failed`.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, PasswordError> {
        self.run(move |argon2| {
            let Some(hash) = hash else {
                let _: PasswordHash = argon2.hash_password(password.0.as_bytes())?;
                return Ok(false);
            };
            let hash = PasswordHash::new(&hash)?;
            match argon2.verify_password(password.0.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, Source> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = self.at_once.clone().acquire_owned().await;
        let permit = permit.map_err(|error| PasswordError::Failed(error.into()))?;
        let argon2 = self.argon2.clone();
        let hashing = spawn_blocking(move || {
            // Held by the thread, because the hash is made to its end even if its request goes away.
            let _permit = permit;
            work(&argon2)
        });
        hashing.await.map_err(|error| PasswordError::Failed(error.into()))?.map_err(PasswordError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_fits_its_password_alone_and_differs_each_time() {
        let passwords = Passwords::weak(2);
        let (right, wrong) =
            (Password::new("correct horse").unwrap(), Password::new("battery staple").unwrap());
        let hash = passwords.hash(right.clone()).await.unwrap();
        assert_ne!(hash, passwords.hash(right.clone()).await.unwrap());
        assert!(passwords.verify(right.clone(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(wrong, Some(hash)).await.unwrap());
        assert!(!passwords.verify(right.clone(), None).await.unwrap());
        let error = passwords.verify(right, Some("no hash".into())).await.unwrap_err();
        assert!(matches!(error, PasswordError::Failed(_)), "{error}");
    }

    #[tokio::test]
    async fn those_beyond_the_limit_are_refused_and_not_queued() {
        let passwords = Passwords::weak(1);
        let all = passwords.waiting.try_acquire_many(1 + u32::try_from(WAITING_MAX).unwrap()).unwrap();
        let password = Password::new("correct horse").unwrap();
        let error = passwords.hash(password.clone()).await.unwrap_err();
        assert!(matches!(error, PasswordError::Busy), "{error}");
        drop(all);
        assert!(passwords.hash(password).await.is_ok());
    }

    #[test]
    fn a_password_is_not_shown() {
        let password = Password::new("correct horse").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
        assert!(Password::new("short").is_err());
        assert!(Password::new(&"x".repeat(201)).is_err());
    }
}
