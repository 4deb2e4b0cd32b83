//! Users in PostgreSQL.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::errors::refused;
use super::link::Statement;
use super::rows::{count, get, page};
use crate::clock::Time;
use crate::ids::{Shard, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::store::{NewUser, PAGE_MAX, Profile, StoreError, StoreResult, User, Users};
use crate::text::{Malformed, UserName};

#[async_trait]
impl Users for PostgresStore {
    async fn add_user(&self, user: &NewUser) -> StoreResult<Position> {
        let mut write = self.shared.begin(user.id.shard()).await?;
        let add = Statement::new(
            "INSERT INTO users (id, name, display_name, bio, password_hash, created)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .int(user.id.to_sql())
        .text(user.name.as_str())
        .text(user.profile.display_name())
        .text(user.profile.bio())
        .text(&user.password_hash)
        .int(user.created.to_sql());
        if let Err(error) = write.run(add).await {
            return Err(match error.constraint() {
                Some("users_name") => StoreError::NameTaken,
                _ => refused(error, StoreError::NoSuchUser),
            });
        }
        write.commit().await
    }

    async fn user(&self, id: UserId, after: &Positions) -> StoreResult<Option<User>> {
        let find = Statement::new("SELECT * FROM users WHERE id = $1").int(id.to_sql());
        let rows = self.shared.read(id.shard(), find, after).await?;
        rows.first().map(user).transpose()
    }

    async fn user_by_name(&self, name: &UserName, after: &Positions) -> StoreResult<Option<User>> {
        let find = Statement::new("SELECT * FROM users WHERE name = $1").text(name.as_str());
        let rows = self.shared.read(Shard::of_name(name), find, after).await?;
        rows.first().map(user).transpose()
    }

    async fn password_hash(&self, name: &UserName) -> StoreResult<Option<(UserId, String)>> {
        let find = Statement::new("SELECT id, password_hash FROM users WHERE name = $1").text(name.as_str());
        let rows = self.shared.read_newest(Shard::of_name(name), find).await?;
        rows.first().map(|row| Ok((UserId::from_sql(get(row, 0)?), get(row, 1)?))).transpose()
    }

    async fn set_profile(&self, id: UserId, profile: &Profile) -> StoreResult<Position> {
        let mut write = self.shared.begin(id.shard()).await?;
        let set = Statement::new("UPDATE users SET display_name = $1, bio = $2 WHERE id = $3 RETURNING id")
            .text(profile.display_name())
            .text(profile.bio())
            .int(id.to_sql());
        if write.run(set).await?.is_empty() {
            return Err(StoreError::NoSuchUser);
        }
        write.commit().await
    }

    async fn search(&self, prefix: &str, limit: u32, after: &Positions) -> StoreResult<Vec<User>> {
        let prefix = prefix.to_ascii_lowercase();
        if !prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Ok(Vec::new());
        }
        // `{` follows `z`, the last character that a name may have.
        let find = Statement::new(
            "SELECT * FROM users WHERE name >= $1 AND name < $1 || '{'
             AND ((id >> 16) & 63) = ANY($2) ORDER BY name LIMIT $3",
        );
        let map = self.shared.map.now();
        let answers = try_join_all(self.shared.databases.iter().map(|database| {
            // A shard that moves has rows in two databases for a while. The map says which ones count.
            let shards: Vec<Shard> = map.shards_of(database.number).collect();
            let numbers = shards.iter().map(|shard| i64::from(shard.number())).collect();
            let find = find.clone().text(&prefix).ints(numbers).int(page(limit));
            self.shared.ask(&map, database.number, Vec::new(), find, after, true)
        }));
        let rows = answers.await?.into_iter().flatten().flatten();
        let mut users: Vec<User> = rows.map(|row| user(&row)).collect::<StoreResult<_>>()?;
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users.truncate(limit.min(PAGE_MAX) as usize);
        Ok(users)
    }
}

fn user(row: &PgRow) -> StoreResult<User> {
    let malformed = |error: Malformed| StoreError::Failed(error.into());
    Ok(User {
        id: UserId::from_sql(get(row, "id")?),
        name: get::<&str, _>(row, "name")?.parse().map_err(malformed)?,
        profile: Profile::new(get(row, "display_name")?, get(row, "bio")?).map_err(malformed)?,
        followers: count(get(row, "followers")?),
        following: count(get(row, "following")?),
        photos: count(get(row, "photos")?),
        celebrity: get(row, "celebrity")?,
        created: Time::from_sql(get(row, "created")?),
    })
}
