//! Users in SQLite.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, commit, count, failed, page};
use crate::clock::Time;
use crate::ids::UserId;
use crate::ports::position::{Position, Positions};
use crate::ports::store::{NewUser, Profile, StoreError, StoreResult, User, Users};
use crate::text::{Malformed, UserName};

#[async_trait]
impl Users for SqliteStore {
    async fn add_user(&self, user: &NewUser) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let added = sqlx::query(
            "INSERT INTO users (id, name, display_name, bio, password_hash, created) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(user.id.to_sql())
        .bind(user.name.as_str())
        .bind(user.profile.display_name())
        .bind(user.profile.bio())
        .bind(&user.password_hash)
        .bind(user.created.to_sql())
        .execute(&mut *write)
        .await;
        if let Err(error) = added {
            let reason = error.as_database_error().filter(|reason| reason.is_unique_violation());
            return Err(match reason.map(|reason| reason.message().contains("users.name")) {
                Some(true) => StoreError::NameTaken,
                Some(false) => StoreError::IdTaken,
                None => failed(error),
            });
        }
        commit(write).await
    }

    async fn user(&self, id: UserId, after: &Positions) -> StoreResult<Option<User>> {
        let row = sqlx::query("SELECT * FROM users WHERE id = ?").bind(id.to_sql());
        let row = row.fetch_optional(self.read(after).await?).await.map_err(failed)?;
        row.as_ref().map(user).transpose()
    }

    async fn user_by_name(&self, name: &UserName, after: &Positions) -> StoreResult<Option<User>> {
        let row = sqlx::query("SELECT * FROM users WHERE name = ?").bind(name.as_str());
        let row = row.fetch_optional(self.read(after).await?).await.map_err(failed)?;
        row.as_ref().map(user).transpose()
    }

    async fn password_hash(&self, name: &UserName) -> StoreResult<Option<(UserId, String)>> {
        let row = sqlx::query("SELECT id, password_hash FROM users WHERE name = ?").bind(name.as_str());
        let row = row.fetch_optional(self.database.readers()).await.map_err(failed)?;
        Ok(row.map(|row| (UserId::from_sql(row.get(0)), row.get(1))))
    }

    async fn set_profile(&self, id: UserId, profile: &Profile) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let changed = sqlx::query("UPDATE users SET display_name = ?, bio = ? WHERE id = ?")
            .bind(profile.display_name())
            .bind(profile.bio())
            .bind(id.to_sql())
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NoSuchUser);
        }
        commit(write).await
    }

    async fn search(&self, prefix: &str, limit: u32, after: &Positions) -> StoreResult<Vec<User>> {
        let prefix = prefix.to_ascii_lowercase();
        let readers = self.read(after).await?;
        // `{` follows `z`, the last character that a name may have. So this finds nothing for other prefixes.
        let rows =
            sqlx::query("SELECT * FROM users WHERE name >= ?1 AND name < ?1 || '{' ORDER BY name LIMIT ?2")
                .bind(prefix)
                .bind(page(limit))
                .fetch_all(readers)
                .await
                .map_err(failed)?;
        rows.iter().map(user).collect()
    }
}

fn user(row: &SqliteRow) -> StoreResult<User> {
    let malformed = |error: Malformed| StoreError::Failed(error.into());
    Ok(User {
        id: UserId::from_sql(row.get("id")),
        name: row.get::<&str, _>("name").parse().map_err(malformed)?,
        profile: Profile::new(row.get("display_name"), row.get("bio")).map_err(malformed)?,
        followers: count(row.get("followers")),
        following: count(row.get("following")),
        photos: count(row.get("photos")),
        celebrity: row.get("celebrity"),
        created: Time::from_sql(row.get("created")),
    })
}
