//! A model of the users' browsers: which requests of their pages reach the network, because no browser has the answer.
//!
//! Each user opens pages, pauses, and opens the next one. All pages are one document with scripts, so only the first page of a visit
//! loads it: a browser that has it asks whether it is still the same (`no-cache`), and takes its files from its cache (`immutable`).
//! Every page needs answers of the API, which a browser asks for each time, and pictures, which it keeps (`immutable`). The model
//! counts all of these, and so gives the mix of requests that a generator without browsers must send.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;

/// What a user sees and does, in percent of the pages.
pub const MIX: [(Page, u32); 4] = [(Page::Feed, 60), (Page::Photo, 25), (Page::Like, 10), (Page::Upload, 5)];

/// Pages of one visit. The next visit loads the document again.
pub const VISIT_PAGES: u32 = 10;

/// What a user opens or does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Page {
    /// The own feed, with the pictures in it.
    Feed,
    /// One photo with its comments.
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
    /// How often the page of each photo was opened.
    pub opened: BTreeMap<usize, u64>,
    /// Requests for the picture of each photo.
    pub pictures: BTreeMap<usize, u64>,
    /// Visits of browsers that had nothing: requests for the document and each of its files.
    pub first_visits: u64,
    /// Visits of browsers that had the document: requests whether it is still the same.
    pub later_visits: u64,
    /// Pictures and files that a browser had.
    pub browser_hits: u64,
    /// Pictures and files that it had not, and documents that it asked about.
    pub browser_misses: u64,
}

impl Network {
    /// Requests on the network: those of the API, pictures, and the document with its files, which are so many together.
    #[must_use]
    pub fn requests(&self, shell_files: u64) -> u64 {
        let api: u64 = self.pages.iter().map(|(page, count)| count * api_requests(*page)).sum();
        let pictures: u64 = self.pictures.values().sum();
        api + pictures + self.first_visits * shell_files + self.later_visits
    }

    /// The share of pictures and files that browsers had.
    #[must_use]
    pub fn browser_hit_ratio(&self) -> f64 {
        self.browser_hits as f64 / (self.browser_hits + self.browser_misses).max(1) as f64
    }

    /// A visit begins. `shell_files` are the document and its files, or 0 without pages.
    fn visit(&mut self, is_first: bool, shell_files: u64) {
        if shell_files == 0 {
            return;
        }
        if is_first {
            self.first_visits += 1;
            self.browser_misses += shell_files;
        } else {
            self.later_visits += 1;
            self.browser_misses += 1;
            self.browser_hits += shell_files - 1;
        }
    }

    /// A browser shows the picture of a photo.
    fn picture(&mut self, browser: &mut HashSet<usize>, photo: usize) {
        if browser.insert(photo) {
            self.browser_misses += 1;
            *self.pictures.entry(photo).or_default() += 1;
        } else {
            self.browser_hits += 1;
        }
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
/// opened by popularity: the second half as often as the first, the third a third as often (Zipf). `shell_files` are the document
/// of the pages and its files.
#[must_use]
pub fn browse(users: &[User], photos: usize, pages_each: u32, shell_files: u64) -> Network {
    let mut rng = Rng::with_seed(2000);
    let popular = Popularity::new(photos);
    let mut network = Network::default();
    for user in users {
        let mut browser: HashSet<usize> = HashSet::new();
        for number in 0..pages_each {
            if number % VISIT_PAGES == 0 {
                network.visit(number == 0, shell_files);
            }
            let page = choose(&mut rng);
            *network.pages.entry(page).or_default() += 1;
            match page {
                Page::Feed => user.feed.iter().for_each(|photo| network.picture(&mut browser, *photo)),
                Page::Photo if photos > 0 => {
                    let photo = popular.choose(&mut rng);
                    *network.opened.entry(photo).or_default() += 1;
                    network.picture(&mut browser, photo);
                }
                Page::Photo | Page::Like | Page::Upload => {}
            }
        }
    }
    network
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
        let network = browse(&[user], 5, 200, 0);
        assert!(network.pictures.values().all(|requests| *requests == 1), "{network:?}");
        assert!(network.opened.values().sum::<u64>() > 30, "a photo is opened again: {network:?}");
        assert_eq!(network.pages.values().sum::<u64>(), 200);
        assert_eq!(network.browser_misses, 5);
        assert!(network.browser_hit_ratio() > 0.95, "{}", network.browser_hit_ratio());
    }

    #[test]
    fn a_visit_loads_the_document_once_and_its_files_only_the_first_time() {
        let check = |pages, first_visits, later_visits, hits, misses| {
            let network = browse(&[User::default()], 0, pages, 19);
            assert_eq!((network.first_visits, network.later_visits), (first_visits, later_visits));
            assert_eq!((network.browser_hits, network.browser_misses), (hits, misses), "{pages} pages");
            let api: u64 = network.pages.iter().map(|(page, count)| api_requests(*page) * count).sum();
            assert_eq!(network.requests(19), api + misses);
        };
        check(1, 1, 0, 0, 19);
        check(VISIT_PAGES, 1, 0, 0, 19);
        check(VISIT_PAGES + 1, 1, 1, 18, 20);
        check(3 * VISIT_PAGES, 1, 2, 36, 21);
    }

    #[test]
    fn pages_come_in_their_shares_and_popular_photos_more_often() {
        let users = vec![User::default(); 1000];
        let network = browse(&users, 100, 20, 1);
        for (page, share) in MIX {
            let part = network.pages[&page] as f64 / 20_000.0 * 100.0;
            assert!((part - f64::from(share)).abs() < 2.0, "{page:?}: {part} %");
        }
        assert!(network.opened[&0] > 5 * network.opened[&50]);
        assert_eq!(network, browse(&users, 100, 20, 1));
    }
}
