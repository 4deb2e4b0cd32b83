//! The tables that are spread by shard.

use crate::ids::Shard;

/// A table whose rows belong to shards.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column whose id names the shard.
    pub by: &'static str,
    /// The columns of its key; one of a single column has it twice.
    pub key: [&'static str; 2],
    /// The columns that updates change.
    pub changing: &'static [&'static str],
}

/// All of them. One that refers to another comes after it.
pub const TABLES: [Table; 10] = [
    Table {
        name: "users",
        by: "id",
        key: ["id", "id"],
        changing: &["display_name", "bio", "password_hash", "followers", "following", "photos", "celebrity"],
    },
    Table { name: "following", by: "follower", key: ["follower", "followee"], changing: &[] },
    Table { name: "followers", by: "followee", key: ["followee", "follower"], changing: &[] },
    Table { name: "unsettled", by: "follower", key: ["follower", "followee"], changing: &["since"] },
    Table { name: "photos", by: "id", key: ["id", "id"], changing: &["caption", "media", "bytes", "ready"] },
    Table { name: "likes", by: "photo", key: ["photo", "user_id"], changing: &["created"] },
    Table { name: "like_slots", by: "photo", key: ["photo", "slot"], changing: &["likes"] },
    Table { name: "comments", by: "id", key: ["id", "id"], changing: &["text"] },
    Table { name: "once", by: "post", key: ["post", "about"], changing: &[] },
    Table { name: "feed", by: "user_id", key: ["user_id", "photo"], changing: &["author"] },
];

impl Table {
    /// The condition for rows of a shard.
    pub fn of_shard(&self, shard: Shard) -> String {
        format!("(({} >> 16) & 63) = {}", self.by, shard.number())
    }

    /// Starts to note changes of a shard's rows.
    pub fn note_changes(&self, shard: Shard) -> String {
        let (Self { name, by, key: [a, b], .. }, shard) = (self, shard.number());
        format!(
            "CREATE TRIGGER note_shard_change AFTER INSERT OR UPDATE OR DELETE ON {name} FOR EACH ROW
             EXECUTE FUNCTION note_shard_change('{shard}', '{by}', '{a}', '{b}');"
        )
    }

    /// Stops to note changes.
    pub fn stop_noting(&self) -> String {
        format!("DROP TRIGGER IF EXISTS note_shard_change ON {};", self.name)
    }

    /// The rows with the keys in `$1` and `$2`: their keys, and each as JSON.
    pub fn find(&self) -> String {
        let Self { name, key: [a, b], .. } = self;
        format!(
            "SELECT t.{a}::bigint, t.{b}::bigint, row_to_json(t)::text FROM {name} AS t
             JOIN unnest($1::bigint[], $2::bigint[]) AS k (a, b) ON t.{a} = k.a AND t.{b} = k.b"
        )
    }

    /// Deletes the rows with the keys in `$1` and `$2`.
    pub fn delete(&self) -> String {
        let Self { name, key: [a, b], .. } = self;
        format!(
            "DELETE FROM {name} AS t USING unnest($1::bigint[], $2::bigint[]) AS k (a, b)
             WHERE t.{a} = k.a AND t.{b} = k.b"
        )
    }

    /// Adds or updates the rows of the JSON array in `$1`.
    pub fn put(&self) -> String {
        let Self { name, key: [a, b], .. } = self;
        let key = if a == b { (*a).to_owned() } else { format!("{a}, {b}") };
        let set: Vec<String> =
            self.changing.iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
        let update =
            if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!(
            "INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, $1::text::json)
             ON CONFLICT ({key}) DO {update}"
        )
    }

    /// The number of a shard's rows, and the sum of their hashes.
    pub fn sum(&self, shard: Shard) -> String {
        format!(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text
             FROM {} AS t WHERE {}",
            self.name,
            self.of_shard(shard)
        )
    }
}
