//! A model of the users' browsers: which requests of their pages reach the network, because no browser has the answer.
//!
//! Each user opens pages, pauses, and opens the next one. A page needs answers of the API, which a browser asks for each time,
//! and pictures and static files, which it keeps (`immutable`). The model counts both, and so gives the mix of requests that
//! a generator without browsers must send.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;

/// What a user sees and does, in percent of the pages.
pub const MIX: [(Page, u32); 4] = [(Page::Feed, 60), (Page::Photo, 25), (Page::Like, 10), (Page::Upload, 5)];

/// What a user opens or does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Page {
    /// The own feed, with the pictures in it.
    Feed,
    /// One photo, large, with its comments.
    Photo,
    /// A like.
    Like,
    /// A photo is posted.
    Upload,
}

/// One user, as far as the model needs to know.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// Numbers of the photos that the feed shows.
    pub feed: Vec<usize>,
}

/// The requests that reached the network, and those that browsers answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Pages of each kind.
    pub pages: BTreeMap<Page, u64>,
    /// Requests for the small picture of each photo.
    pub small: BTreeMap<usize, u64>,
    /// Requests for the large picture of each photo.
    pub large: BTreeMap<usize, u64>,
    /// Requests for the shell of the pages and each of its files.
    pub shells: u64,
    /// Pictures and files that a browser had.
    pub browser_hits: u64,
    /// Pictures and files that it had not.
    pub browser_misses: u64,
}

impl Network {
    /// Requests on the network: those of the API, pictures, and the shell with so many files.
    #[must_use]
    pub fn requests(&self, shell_files: u64) -> u64 {
        let api: u64 = self.pages.iter().map(|(page, count)| count * api_requests(*page)).sum();
        let pictures: u64 = self.small.values().chain(self.large.values()).sum();
        api + pictures + self.shells * shell_files
    }

    /// The share of pictures and files that browsers had.
    #[must_use]
    pub fn browser_hit_ratio(&self) -> f64 {
        self.browser_hits as f64 / (self.browser_hits + self.browser_misses).max(1) as f64
    }
}

/// Requests to the API for one page.
#[must_use]
pub fn api_requests(page: Page) -> u64 {
    match page {
        // The photo and its comments.
        Page::Photo => 2,
        Page::Feed | Page::Like | Page::Upload => 1,
    }
}

/// Lets every one of `users` open `pages_each` pages, with an empty browser at first. Photos, of which there are `photos`, are
/// opened by popularity: the second half as often as the first, the third a third as often (Zipf).
#[must_use]
pub fn browse(users: &[User], photos: usize, pages_each: u32, shell_files: u64) -> Network {
    let mut rng = Rng::with_seed(2000);
    let popular = Popularity::new(photos);
    let mut network = Network::default();
    for user in users {
        let mut browser: HashSet<(bool, usize)> = HashSet::new();
        let mut has_shell = false;
        for _ in 0..pages_each {
            let page = choose(&mut rng);
            *network.pages.entry(page).or_default() += 1;
            let shell_hit = std::mem::replace(&mut has_shell, true);
            network.shells += u64::from(!shell_hit);
            network.count(shell_hit, shell_files);
            let seen: Vec<(bool, usize)> = match page {
                Page::Feed => user.feed.iter().map(|photo| (false, *photo)).collect(),
                Page::Photo if photos > 0 => vec![(true, popular.choose(&mut rng))],
                Page::Photo | Page::Like | Page::Upload => Vec::new(),
            };
            for (large, photo) in seen {
                let hit = !browser.insert((large, photo));
                network.count(hit, 1);
                if !hit {
                    let requests = if large { &mut network.large } else { &mut network.small };
                    *requests.entry(photo).or_default() += 1;
                }
            }
        }
    }
    network
}

impl Network {
    fn count(&mut self, hit: bool, requests: u64) {
        let counter = if hit { &mut self.browser_hits } else { &mut self.browser_misses };
        *counter += requests;
    }
}

fn choose(rng: &mut Rng) -> Page {
    let mut at = rng.u32(..100);
    for (page, share) in MIX {
        if at < share {
            return page;
        }
        at -= share;
    }
    Page::Feed
}

/// Chooses photos by Zipf's law.
struct Popularity {
    /// The sum of the shares up to each photo.
    sums: Vec<f64>,
}

impl Popularity {
    fn new(photos: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=photos).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { sums: sums.collect() }
    }

    fn choose(&self, rng: &mut Rng) -> usize {
        let at = rng.f64() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_asks_once_for_each_picture() {
        let user = User { feed: vec![0, 1, 2] };
        let network = browse(&[user], 5, 200, 3);
        assert!(network.small.values().all(|requests| *requests == 1), "{network:?}");
        assert!(network.large.values().all(|requests| *requests == 1), "{network:?}");
        assert_eq!(network.shells, 1);
        assert_eq!(network.pages.values().sum::<u64>(), 200);
        assert!(network.browser_hit_ratio() > 0.95, "{}", network.browser_hit_ratio());
    }

    #[test]
    fn pages_come_in_their_shares_and_popular_photos_more_often() {
        let users = vec![User::default(); 1000];
        let network = browse(&users, 100, 20, 1);
        for (page, share) in MIX {
            let part = network.pages[&page] as f64 / 20_000.0 * 100.0;
            assert!((part - f64::from(share)).abs() < 2.0, "{page:?}: {part} %");
        }
        assert!(network.large[&0] > 5 * network.large[&50]);
        assert_eq!(network, browse(&users, 100, 20, 1));
    }
}
