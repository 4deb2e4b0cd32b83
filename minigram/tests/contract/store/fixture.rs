//! Users and photos for tests.

use minigram::clock::Time;
use minigram::ids::{IdMaker, PhotoId, UserId};
use minigram::media::MediaType;
use minigram::ports::queue::NewJob;
use minigram::ports::store::{Caption, NewPhoto, NewUser, Profile, Store};

static IDS: std::sync::LazyLock<IdMaker> = std::sync::LazyLock::new(|| IdMaker::new(0));

/// In 2026.
pub const NOW: Time = Time(1_780_000_000_000);

pub fn ids() -> &'static IdMaker {
    &IDS
}

pub fn new_user(name: &str) -> NewUser {
    let name = name.parse().unwrap();
    NewUser {
        id: IDS.user(&name, NOW),
        profile: Profile::new("Display name", "Bio").unwrap(),
        password_hash: format!("hash of {name}"),
        name,
        created: NOW,
    }
}

pub async fn add_user(store: &dyn Store, name: &str) -> UserId {
    let user = new_user(name);
    store.add_user(&user).await.unwrap();
    user.id
}

/// The `n`th photo of an author: a later one for a larger `n`.
pub fn new_photo(author: UserId, n: u64) -> NewPhoto {
    let created = Time(NOW.0 + n);
    NewPhoto {
        id: IDS.photo(author, created),
        author,
        caption: Caption::new(&format!("photo {n}")).unwrap(),
        media: MediaType::Jpeg,
        bytes: 1000 + n,
        created,
        once: None,
    }
}

pub async fn add_photo(store: &dyn Store, author: UserId, n: u64) -> PhotoId {
    let photo = new_photo(author, n);
    store.add_photo(&photo, &[]).await.unwrap();
    photo.id
}

pub fn job(key: &str) -> NewJob {
    NewJob { topic: "thumbnails".into(), key: key.into(), payload: format!("payload of {key}").into() }
}
