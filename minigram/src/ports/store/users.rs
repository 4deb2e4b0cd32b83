//! Users: who they are, and finding them by name.

use async_trait::async_trait;

use super::{Position, Positions, StoreResult};
use crate::clock::Time;
use crate::ids::UserId;
use crate::text::{Malformed, UserName, plain_text};

const DISPLAY_NAME_CHARS_MAX: usize = 50;
const BIO_CHARS_MAX: usize = 300;

/// What users say about themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    display_name: String,
    bio: String,
}

impl Profile {
    /// A profile; white space at the ends is removed.
    ///
    /// # Errors
    /// A text that is too long or contains control characters.
    pub fn new(display_name: &str, bio: &str) -> Result<Self, Malformed> {
        let display_name = plain_text(display_name, DISPLAY_NAME_CHARS_MAX, "a display name")?;
        Ok(Self { display_name, bio: plain_text(bio, BIO_CHARS_MAX, "a biography")? })
    }

    /// At most 50 characters; may be empty.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// At most 300 characters; may be empty.
    #[must_use]
    pub fn bio(&self) -> &str {
        &self.bio
    }
}

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// From [`IdMaker::user`](crate::ids::IdMaker::user).
    pub id: UserId,
    /// The name.
    pub name: UserName,
    /// The profile.
    pub profile: Profile,
    /// Hash of the password, in PHC string format. The password itself reaches no engine.
    pub password_hash: String,
    /// When.
    pub created: Time,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name.
    pub name: UserName,
    /// The profile.
    pub profile: Profile,
    /// How many follow this user.
    pub followers: u64,
    /// How many this user follows.
    pub following: u64,
    /// Photos, those not yet ready included.
    pub photos: u64,
    /// Whether photos are pulled into the feeds of followers when these are read, instead of pushed when posted.
    /// Once set it stays, because what was posted meanwhile was not pushed.
    pub celebrity: bool,
    /// When the user signed up.
    pub created: Time,
}

/// Users in the store.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// `NameTaken`, `IdTaken`.
    async fn add_user(&self, user: &NewUser) -> StoreResult<Position>;

    /// The user with this id.
    async fn user(&self, id: UserId, after: &Positions) -> StoreResult<Option<User>>;

    /// The user with this name.
    async fn user_by_name(&self, name: &UserName, after: &Positions) -> StoreResult<Option<User>>;

    /// The id and the password hash for this name, from the primary.
    async fn password_hash(&self, name: &UserName) -> StoreResult<Option<(UserId, String)>>;

    /// Changes the profile.
    ///
    /// # Errors
    /// `NoSuchUser`.
    async fn set_profile(&self, id: UserId, profile: &Profile) -> StoreResult<Position>;

    /// Users whose names begin with `prefix`, by name. Any text is allowed; one that no name can begin with finds
    /// nothing.
    async fn search(&self, prefix: &str, limit: u32, after: &Positions) -> StoreResult<Vec<User>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_trimmed_and_bounded() {
        let profile = Profile::new(" Ada ", "Line 1\nLine 2").unwrap();
        assert_eq!((profile.display_name(), profile.bio()), ("Ada", "Line 1\nLine 2"));
        assert!(Profile::new(&"ä".repeat(50), "").is_ok());
        assert!(Profile::new(&"ä".repeat(51), "").is_err());
        assert!(Profile::new("bell\u{7}", "").is_err());
    }
}
