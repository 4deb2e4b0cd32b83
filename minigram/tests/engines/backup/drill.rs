//! Numbered rows and pictures around a chosen second, the loss of all of them, and their return.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minigram::backup::{Restore, Target};
use minigram::cluster::ClusterSettings;
use minigram::logs::{text_of, time_in};
use minigram::process::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::engines::{BOUND, Engines, Places, fail, minigram, number, succeed};
use crate::programs::{MINIGRAM, evenkeel};

/// Rows before the first backup, before the chosen second, and after it.
const BEFORE_BACKUP: i64 = 40;
const BEFORE: i64 = 80;
const AFTER: i64 = 120;
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Writes rows, takes a backup, and writes on; the chosen second, in milliseconds since the Unix epoch.
pub async fn write_around_a_chosen_second(engines: &Engines<'_>) -> u64 {
    let mut session = engines.session(true).await;
    sqlx::query("CREATE TABLE rows (number bigint PRIMARY KEY)").execute(&mut session).await.unwrap();
    for row in 0..BEFORE_BACKUP {
        write(engines.places, &mut session, row).await;
    }
    let begun = Instant::now();
    let printed = backup(engines.places, &[]);
    println!("the backup took {:.1} s\n{printed}", begun.elapsed().as_secs_f64());
    assert!(
        printed.contains(&format!("pictures: {BEFORE_BACKUP}, of which {BEFORE_BACKUP} are new")),
        "{printed}"
    );
    assert!(printed.contains("checked"), "{printed}");
    for row in BEFORE_BACKUP..BEFORE {
        write(engines.places, &mut session, row).await;
    }
    // The next full second; no row is written around it.
    let target = (number(&mut session, CLOCK).await / 1000 + 1) * 1000;
    while number(&mut session, CLOCK).await <= target {}
    for row in BEFORE..AFTER {
        write(engines.places, &mut session, row).await;
    }
    u64::try_from(target).unwrap()
}

async fn write(places: &Places, session: &mut PgConnection, row: i64) {
    let picture = picture(places, row);
    fs::create_dir_all(picture.parent().unwrap()).unwrap();
    fs::write(picture, format!("picture {row}")).unwrap();
    sqlx::query("INSERT INTO rows VALUES ($1)").bind(row).execute(session).await.unwrap();
}

fn picture(places: &Places, row: i64) -> PathBuf {
    places.pictures().join(format!("photos/{row}/large"))
}

fn backup(places: &Places, arguments: &[&str]) -> String {
    let more = [vec!["--blobs".into(), places.pictures()], places.options().to_vec()].concat();
    succeed(&[&["backup"], arguments].concat(), &more)
}

/// The windows of `backup list`.
fn windows(places: &Places, arguments: &[&str]) -> Vec<(u64, u64)> {
    let printed = minigram(&[&["backup", "list"], arguments].concat(), &places.options()).stdout;
    let printed = String::from_utf8(printed).unwrap();
    let lines = printed.lines().filter_map(|line| {
        let (from, until) = line.split_once(" to ")?;
        Some((time_in(from.rsplit(' ').next()?)?, time_in(until)?))
    });
    lines.collect()
}

pub async fn the_backups_lead_there(engines: &Engines<'_>, target: u64) {
    let leads = || async {
        windows(engines.places, &[]).iter().any(|(from, until)| (*from..*until).contains(&target))
    };
    wait_until("the archive reaches beyond the chosen second", BOUND, leads).await.unwrap();
}

pub fn restore_refuses_while_the_engines_run(places: &Places, target: u64) {
    let error = fail(&["restore", "--to", &text_of(target)], &places.options());
    assert!(error.contains("already runs"), "{error}");
}

pub fn lose_everything_but_the_backups(places: &Places) {
    fs::remove_dir_all(places.state()).unwrap();
    fs::remove_dir_all(places.pictures()).unwrap();
}

/// It would overwrite the archive's pieces, or leave them without a database.
pub fn a_new_database_does_not_take_the_place_of_the_lost_one(places: &Places) {
    let options = ["--state".into(), places.state(), "--backup".into(), places.backup()];
    let error = fail(&["engines", "--evenkeel", evenkeel().to_str().unwrap()], &options);
    assert!(error.contains("minigram restore"), "{error}");
}

pub fn restore_says_which_times_there_are(places: &Places) {
    for time in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let error = fail(&["restore", "--to", time], &places.options());
        let (from, until) = windows(places, &[])[0];
        assert!(error.contains(&format!("{} to {}", text_of(from), text_of(until))), "{error}");
        assert!(!places.state().join("node-a/data").exists());
    }
}

/// Freezes each copy of the primary as soon as it begins, until the value is dropped.
struct NoCopies {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl NoCopies {
    fn below(state: PathBuf) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let freeze = move || {
            let state = state.to_str().unwrap().to_owned();
            while !stopped.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let id = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
                    if let Some(id) = id.filter(|_| line.contains("pg_basebackup") && line.contains(&state)) {
                        // Fails if it has just ended.
                        let _ = kill_process(id, Signal::STOP);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        Self { stop, thread: Some(std::thread::spawn(freeze)) }
    }
}

impl Drop for NoCopies {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The copies of the primary hang: the restore fails soon, and leaves nothing.
pub async fn a_restore_whose_replicas_cannot_copy_says_so(places: &Places, target: u64) {
    let mut cluster = ClusterSettings::new(&places.state(), Path::new(""), Path::new(MINIGRAM));
    cluster.backup = Some(places.backup());
    cluster.copy_stalled_max = Duration::from_secs(4);
    let pictures = places.pictures();
    let restore = Restore { cluster, pictures, target: Target::Time(target), timeline: None };
    let begun = Instant::now();
    let frozen = NoCopies::below(places.state());
    let error = format!("{:#}", minigram::backup::restore(&restore).await.unwrap_err());
    drop(frozen);
    println!("the restore failed after {:.1} s: {error}", begun.elapsed().as_secs_f64());
    assert!(error.contains("not all nodes can copy the primary"), "{error}");
    assert!(error.contains("the state directory is as it was before"), "{error}");
    assert!(!places.state().join("node-a/data").exists());
}

pub fn restore(places: &Places, target: u64) {
    let begun = Instant::now();
    let more = [vec!["--blobs".into(), places.pictures()], places.options().to_vec()].concat();
    let printed = succeed(&["restore", "--to", &text_of(target)], &more);
    println!("the restore took {:.1} s\n{printed}", begun.elapsed().as_secs_f64());
    assert!(printed.contains(&format!("pictures that were missing: {BEFORE_BACKUP}")), "{printed}");
}

pub async fn all_before_is_there_and_nothing_after(engines: &Engines<'_>) {
    let mut session = engines.session(true).await;
    let rows: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM rows ORDER BY number").fetch_all(&mut session).await.unwrap();
    assert_eq!(rows, (0..BEFORE).collect::<Vec<_>>());
    for row in 0..BEFORE_BACKUP {
        assert_eq!(fs::read_to_string(picture(engines.places, row)).unwrap(), format!("picture {row}"));
    }

    // Three nodes, of which two follow, and both of Evenkeel's ports.
    let primary = engines.faults.primary().await.unwrap();
    assert!(primary.is_complete);
    let password = engines.endpoints.password("postgres").unwrap();
    let url = format!("postgres://postgres:{password}@127.0.0.1:{}/postgres?sslmode=disable", primary.port);
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    assert_eq!(number(&mut superuser, streaming).await, 2);
    sqlx::query("INSERT INTO rows VALUES (1000)").execute(&mut session).await.unwrap();
    let has_it = || async {
        let mut session = engines.session(false).await;
        assert_eq!(number(&mut session, "SELECT pg_is_in_recovery()::int::bigint").await, 1);
        number(&mut session, "SELECT count(*) FROM rows WHERE number = 1000").await == 1
    };
    wait_until("a replica has the new row", BOUND, has_it).await.unwrap();
}

pub async fn the_next_backup_goes_on(engines: &Engines<'_>, target: u64) {
    // What was written after the chosen second can still be reached, in the history that was left.
    let old = windows(engines.places, &["--timeline", "1"]);
    assert!(old.iter().any(|(from, until)| (*from..*until).contains(&target)), "{old:?}");
    let goes_on = || async { windows(engines.places, &[]).iter().any(|(_, until)| *until > old[0].1) };
    wait_until("the archive goes on after the restore", BOUND, goes_on).await.unwrap();

    let pieces = || fs::read_dir(engines.places.backup().join("wal")).unwrap().count();
    let before = pieces();
    let printed = backup(engines.places, &["--keep", "1"]);
    assert!(printed.contains("removed: 1 older backups"), "{printed}");
    assert!(pieces() < before, "the archive before the backup is still there");
    let left = windows(engines.places, &[]);
    assert!(matches!(left[..], [(from, until)] if from <= until), "{left:?}");
    let bases = fs::read_dir(engines.places.backup().join("bases")).unwrap().count();
    assert_eq!(bases, 1);
}
