//! The first users and photos of a new system, so that there is something to see. The same on every machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::{Clock, Time};
use crate::domain::feeds::HomeFeeds;
use crate::domain::passwords::{Password, Passwords};
use crate::domain::posting::Posting;
use crate::embedded::blobs::ObjectBlobs;
use crate::engines::open_store;
use crate::ids::{IdMaker, PhotoId, UserId};
use crate::ports::blobs::Blobs;
use crate::ports::store::{Caption, CommentText, NewComment, NewLike, NewUser, Profile, Store};

mod people;
mod pictures;

pub use people::{PEOPLE, Person};
pub use pictures::{Picture, paint};

/// The password of every sample user.
pub const PASSWORD: &str = "minigram-sample";

/// How many of [`PEOPLE`] a user of the crowd follows.
const CROWD_FOLLOWS: usize = 4;

/// How many others of the crowd follow each of its users, so that what they post changes feeds.
const CROWD_FOLLOWERS: usize = 4;

/// The time from one sample photo to the next.
const BETWEEN_PHOTOS: Duration = Duration::from_secs(97 * 60);

/// Photos that are painted at once.
const PAINT_AT_ONCE: usize = 4;
/// How many of the crowd are added at once: a commit waits for a second machine, and the databases have room for others meanwhile.
const CROWD_AT_ONCE: usize = 16;

/// Bytes of a sample photo, at most.
const PHOTO_BYTES_MAX: u64 = 10 << 20;

/// How many sample users, photos, follows, likes and comments were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Users.
    pub users: usize,
    /// Photos.
    pub photos: usize,
    /// Follows.
    pub follows: usize,
    /// Likes.
    pub likes: usize,
    /// Comments.
    pub comments: usize,
}

/// The name of a user of the crowd, which the load of a test comes from.
#[must_use]
pub fn crowd_name(number: usize) -> String {
    format!("crowd_{number}")
}

/// Makes sample data in the files of the embedded engines, which must be new: see [`seed_into`].
///
/// # Errors
/// What the engines fail with.
pub async fn seed(directory: &Path, photos: usize, crowd: usize) -> anyhow::Result<Seeded> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
    let clock = Clock::manual(begin(photos));
    let store = open_store(directory, clock.clone()).await?;
    let blobs = Arc::new(ObjectBlobs::local(&directory.join("blobs"))?);
    let seeded = seed_at(clock, Arc::new(store.clone()), blobs, photos, crowd).await;
    store.close().await;
    seeded
}

/// Makes sample data in engines that are new: [`PEOPLE`], so many photos of theirs, and so many users who follow some of
/// them. Thumbnails and feeds are left to the workers.
///
/// # Errors
/// What the engines fail with.
pub async fn seed_into(
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    photos: usize,
    crowd: usize,
) -> anyhow::Result<Seeded> {
    seed_at(Clock::manual(begin(photos)), store, blobs, photos, crowd).await
}

/// When the first photo is posted, so that the last one is posted now.
fn begin(photos: usize) -> Time {
    let now = Clock::System.now();
    Time(now.0.saturating_sub(ms(BETWEEN_PHOTOS) * (photos as u64 + 1)))
}

async fn seed_at(
    clock: Clock,
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    photos: usize,
    crowd: usize,
) -> anyhow::Result<Seeded> {
    let mut seeding = Seeding {
        store,
        blobs,
        ids: Arc::new(IdMaker::new(0)),
        clock,
        rng: Rng::with_seed(14),
        seeded: Seeded::default(),
    };
    let users = seeding.users().await?;
    seeding.follows(&users).await?;
    let posted = seeding.photos(&users, photos).await?;
    seeding.crowd(&users, crowd).await?;
    seeding.reactions(&users, &posted).await?;
    Ok(seeding.seeded)
}

struct Seeding {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    ids: Arc<IdMaker>,
    clock: Clock,
    rng: Rng,
    seeded: Seeded,
}

impl Seeding {
    async fn users(&mut self) -> anyhow::Result<Vec<UserId>> {
        let mut users = Vec::new();
        for person in PEOPLE {
            users.push(self.user(person.name, Profile::new(person.display_name, person.bio)?).await?);
            self.seeded.users += 1;
        }
        Ok(users)
    }

    async fn user(&self, name: &str, profile: Profile) -> anyhow::Result<UserId> {
        let name = name.parse()?;
        let created = self.clock.now();
        let password_hash = Passwords::weak(1).hash(Password::new(PASSWORD)?).await?;
        let user = NewUser { id: self.ids.user(&name, created), name, profile, password_hash, created };
        self.store.add_user(&user).await?;
        Ok(user.id)
    }

    async fn crowd(&mut self, people: &[UserId], count: usize) -> anyhow::Result<()> {
        let first: Vec<usize> = (0..count).map(|_| self.rng.usize(..people.len())).collect();
        let (seeding, feeds) = (&*self, &HomeFeeds::new(self.store.clone()));
        let members = stream::iter((1..=count).zip(first)).map(|(number, first)| async move {
            let follower = seeding.user(&crowd_name(number), Profile::new("", "")?).await?;
            for followee in people.iter().cycle().skip(first).take(CROWD_FOLLOWS) {
                feeds.follow(follower, *followee).await?;
            }
            anyhow::Ok(follower)
        });
        let members: Vec<UserId> = members.buffered(CROWD_AT_ONCE).try_collect().await?;
        // In a ring: each follows those behind, who have no photos yet.
        let others = CROWD_FOLLOWERS.min(count.saturating_sub(1));
        let follows = (0..count).flat_map(|n| (1..=others).map(move |step| (n, (n + step) % count)));
        let follows =
            follows.map(|(follower, followee)| seeding.store.follow(members[follower], members[followee]));
        stream::iter(follows).buffer_unordered(CROWD_AT_ONCE).try_collect::<Vec<_>>().await?;
        self.seeded.users += count;
        self.seeded.follows += count * (CROWD_FOLLOWS + others);
        Ok(())
    }

    /// The first user follows most others, so that the feed is full.
    async fn follows(&mut self, users: &[UserId]) -> anyhow::Result<()> {
        let feeds = HomeFeeds::new(self.store.clone());
        for (number, follower) in users.iter().enumerate() {
            let share = if number == 0 { 0.9 } else { 0.5 };
            for followee in users {
                if follower != followee && self.rng.f64() < share {
                    feeds.follow(*follower, *followee).await?;
                    self.seeded.follows += 1;
                }
            }
        }
        Ok(())
    }

    async fn photos(&mut self, users: &[UserId], count: usize) -> anyhow::Result<Vec<(PhotoId, Time)>> {
        let posting = Posting::new(
            self.store.clone(),
            self.blobs.clone(),
            self.ids.clone(),
            self.clock.clone(),
            PHOTO_BYTES_MAX,
        );
        let painted = (0..count).map(|number| tokio::task::spawn_blocking(move || paint(number)));
        let mut painted = stream::iter(painted).buffered(PAINT_AT_ONCE);
        let mut posted = Vec::new();
        while let Some(picture) = painted.try_next().await.context("a sample photo")? {
            let picture = picture.context("a sample photo cannot be encoded")?;
            let author = users[self.rng.usize(..users.len())];
            self.clock.advance(BETWEEN_PHOTOS);
            let body = stream::once(async { Ok(picture.jpeg.into()) }).boxed();
            let photo = posting.post(author, Caption::new(picture.caption)?, body, None).await?.photo;
            posted.push((photo, self.clock.now()));
            self.seeded.photos += 1;
        }
        Ok(posted)
    }

    async fn reactions(&mut self, users: &[UserId], posted: &[(PhotoId, Time)]) -> anyhow::Result<()> {
        for (photo, created) in posted {
            let liked = self.rng.f64();
            let mut likes = Vec::new();
            for user in users {
                if self.rng.f64() < liked * 0.7 {
                    let created = created.plus(Duration::from_secs(self.rng.u64(60..5000)));
                    likes.push(NewLike { user: *user, photo: *photo, created });
                }
            }
            for liked in self.store.like_many(&likes).await {
                liked?;
                self.seeded.likes += 1;
            }
            for _ in 0..self.rng.usize(..4) {
                let created = created.plus(Duration::from_secs(self.rng.u64(60..5000)));
                let comment = NewComment {
                    id: self.ids.comment(*photo, created),
                    photo: *photo,
                    author: users[self.rng.usize(..users.len())],
                    text: CommentText::new(people::COMMENTS[self.rng.usize(..people::COMMENTS.len())])?,
                    created,
                    once: None,
                };
                self.store.add_comment(&comment, &[]).await?;
                self.seeded.comments += 1;
            }
        }
        Ok(())
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::position::Positions;

    #[tokio::test]
    async fn a_new_system_has_users_and_photos_of_the_last_days() {
        let directory = tempfile::tempdir().unwrap();
        let seeded = seed(directory.path(), 7, 2).await.unwrap();
        assert_eq!((seeded.users, seeded.photos), (PEOPLE.len() + 2, 7));
        assert!(seeded.follows > 30 && seeded.likes > 5, "{seeded:?}");
        let store = open_store(directory.path(), Clock::System).await.unwrap();
        let all = Positions::none();
        let ada = PEOPLE[0].name.parse().unwrap();
        let ada = crate::ports::store::Users::user_by_name(&store, &ada, &all).await.unwrap().unwrap();
        assert!(ada.following >= 8, "{ada:?}");
        let first = crowd_name(1).parse().unwrap();
        let crowd = crate::ports::store::Users::user_by_name(&store, &first, &all);
        let crowd = crowd.await.unwrap().unwrap();
        assert_eq!((crowd.following, crowd.followers), (CROWD_FOLLOWS as u64 + 1, 1), "{crowd:?}");
        let (id, hash) = crate::ports::store::Users::password_hash(&store, &ada.name).await.unwrap().unzip();
        assert_eq!(id, Some(ada.id));
        assert!(Passwords::weak(1).verify(Password::new(PASSWORD).unwrap(), hash).await.unwrap());
    }
}
