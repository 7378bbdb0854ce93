//! kill -9 at random moments, two hundred times, while clients add and remove torrents and payload comes in: what was
//! answered is so afterwards, the state opens, and no piece is trusted that is not right.

use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::Value as Json;
use tests::api::{Broken, Client};
use tests::compare::{EmptyFiles, assert_same};
use tests::daemon::{ALL_CORES, Daemon, Home, WAIT_LIMIT};

use crate::Case;
use crate::daemon_subject::{Known, Subject, downloads};
use crate::kill::{Random, seed};

pub(crate) const CASES: &[Case] =
    &[Case::new("daemon_killed_under_load_loses_nothing", daemon_killed_under_load_loses_nothing)];

/// How often it is killed.
const KILLS: u64 = 200;
/// Connections that ask for something all the time, each about torrents of its own.
const CLIENTS: u64 = 12;
/// Torrents of each that have no payload.
const ROWS: u64 = 16;
/// Most answers that are waited for before a kill.
const MAX_ANSWERS: u64 = 400;
/// Most looks for an open transaction before a kill.
const MAX_LOOKS: u64 = 40;
/// Of so many kills one comes wherever the daemon is.
const BLIND_KILLS: u64 = 5;
/// Of so many runs one lasts until payload has come and is about to be remembered.
const RUNS_FOR_PAYLOAD: u64 = 8;
/// After so many kills one more comes while the daemon starts.
const KILLS_FOR_START: u64 = 10;
/// Most steps that it is let take before that.
const MAX_START_STEPS: u64 = 60;

/// A client and its torrents.
struct Worker {
    subjects: Vec<Subject>,
    random: Random,
}

impl Worker {
    /// Asks for one thing after the other, and tells `answered` of each, until the daemon is gone.
    fn work(&mut self, socket: &Path, answered: &Sender<()>) {
        let Ok(mut client) = Client::connect(socket) else { return };
        loop {
            let index = self.random.below(self.subjects.len() as u64);
            let subject = &mut self.subjects[usize::try_from(index).unwrap()];
            match subject.step(&mut client, &mut self.random) {
                // Nobody listens any more when the kill has come.
                Ok(()) => drop(answered.send(())),
                Err(Broken) => return,
            }
        }
    }
}

/// What all kills have come to.
#[derive(Debug, Default)]
struct Tally {
    answers: u64,
    inside: u64,
    unsure: usize,
    trusted: usize,
}

struct Trial<'a> {
    home: &'a Home,
    workers: Vec<Worker>,
    random: Random,
    tally: Tally,
}

impl Trial<'_> {
    /// Lets the clients work, until payload has come if `is_long`, and kills the daemon.
    fn run_and_kill(&mut self, daemon: Daemon<'_>, is_long: bool) {
        let socket = self.home.socket();
        let (workers, random, tally) = (&mut self.workers, &mut self.random, &mut self.tally);
        let state_file = self.home.state_file();
        thread::scope(|scope| {
            let (sender, answered) = channel();
            let mut working = Vec::new();
            for worker in workers {
                let (socket, sender) = (&socket, sender.clone());
                working.push(scope.spawn(move || worker.work(socket, &sender)));
            }
            // It is in here, so that the clients end when something fails.
            let daemon = daemon;
            if is_long {
                wait_for_payload(&daemon);
                tally.answers += answered.try_iter().count() as u64;
            }
            wait(&daemon, &answered, 1 + random.below(MAX_ANSWERS), tally);
            let looks = if random.below(BLIND_KILLS) == 0 { 1 } else { MAX_LOOKS };
            for look in 1..=looks {
                daemon.freeze();
                let is_inside = is_inside_transaction(&state_file);
                if is_inside || look == looks {
                    tally.inside += u64::from(is_inside);
                    break;
                }
                daemon.thaw();
                wait(&daemon, &answered, 1 + random.below(3), tally);
            }
            daemon.kill();
            // What a client has found wrong is said in its words.
            for client in working {
                client.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
    }

    /// Kills the daemon while it starts.
    fn start_and_kill(&mut self) {
        let daemon = self.home.spawn(self.home.command());
        for _ in 0..self.random.below(MAX_START_STEPS) {
            daemon.freeze();
            daemon.thaw();
        }
        daemon.kill();
    }

    /// Compares what the daemon has with what is known, and learns what was open.
    fn check(&mut self, daemon: &Daemon<'_>) {
        check_database(&self.home.state_file());
        let mut client = daemon.client();
        let list = client.list();
        let mut found: BTreeMap<String, Json> = BTreeMap::new();
        for torrent in list {
            let info_hash = torrent["info_hash"].as_str().unwrap().to_owned();
            assert!(found.insert(info_hash, torrent).is_none(), "a torrent is there twice");
        }
        for subject in self.workers.iter_mut().flat_map(|worker| &mut worker.subjects) {
            let is_there = found.remove(&subject.torrent.hex()).is_some();
            match subject.known {
                Known::Present => assert!(is_there, "{} was lost: {}", subject.name, daemon.describe()),
                Known::Absent => assert!(!is_there, "{} is back: {}", subject.name, daemon.describe()),
                Known::Unsure => self.tally.unsure += 1,
            }
            subject.known = if is_there { Known::Present } else { Known::Absent };
            subject.is_torn &= is_there;
            if subject.is_download && is_there && !subject.is_torn {
                self.tally.trusted += subject.check_pieces(&mut client, &self.home.data());
            }
        }
        assert!(found.is_empty(), "nobody added {found:?}");
    }

    /// Has every download finished, and compares it.
    fn finish(&mut self, daemon: &Daemon<'_>, payloads: &Path) {
        let mut client = daemon.client();
        let random = &mut self.random;
        let downloads = self.workers.iter_mut().flat_map(|worker| &mut worker.subjects);
        for subject in downloads.filter(|subject| subject.is_download) {
            if subject.is_torn {
                subject.remove(&mut client, random).unwrap();
            }
            if subject.known == Known::Absent {
                subject.add(&mut client, random).unwrap();
            }
            let id = subject.torrent.hex();
            daemon.told(&["wait", &id, "--timeout", "90s"]);
            daemon.told(&["verify", &id, "--wait", "--timeout", "90s"]);
            let pieces = subject.check_pieces(&mut client, &self.home.data());
            assert_eq!(pieces, subject.torrent.piece_count() as usize, "{}", subject.name);
            let copy = self.home.data().join(&subject.name);
            assert_same(&payloads.join(&subject.name), &copy, EmptyFiles::Wanted);
        }
    }
}

/// Waits for so many answers.
fn wait(daemon: &Daemon<'_>, answered: &Receiver<()>, count: u64, tally: &mut Tally) {
    for _ in 0..count {
        let answer = answered.recv_timeout(WAIT_LIMIT);
        answer.unwrap_or_else(|error| panic!("no answer: {error}: {}", daemon.describe()));
        tally.answers += 1;
    }
}

/// Waits until more of some download is here than there was: by then it is being written down, too.
fn wait_for_payload(daemon: &Daemon<'_>) {
    let have = |client: &mut Client| -> BTreeMap<String, u64> {
        let of =
            |torrent: &Json| Some((torrent["info_hash"].as_str()?.to_owned(), torrent["have"].as_u64()?));
        client.list().iter().filter_map(of).collect()
    };
    let mut client = daemon.client();
    let before = have(&mut client);
    daemon.wait("payload", |_| {
        let more = |(id, have): (&String, &u64)| *have > before.get(id).copied().unwrap_or(0);
        have(&mut client).iter().any(more).then_some(())
    });
}

/// Whether the daemon, which stands still, has a transaction open that writes: then nobody else can begin one.
fn is_inside_transaction(state_file: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(state_file, flags).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        Ok(()) => false,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => true,
        // It stands still between two locks: what it is about cannot be told.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::FileLockingProtocolFailed) => false,
        Err(error) => panic!("{}: {error}", state_file.display()),
    }
}

/// Checks that the database is whole.
fn check_database(state_file: &Path) {
    let connection = Connection::open_with_flags(state_file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(WAIT_LIMIT).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let mut orphans = connection.prepare("PRAGMA foreign_key_check").unwrap();
    assert!(!orphans.exists([]).unwrap(), "a row belongs to no torrent");
}

fn workers(downloads: Vec<Subject>, seed: u64) -> Vec<Worker> {
    let mut downloads = downloads.into_iter();
    let worker = |number: u64| {
        let rows = (0..ROWS).map(|row| Subject::row(number * ROWS + row));
        Worker { subjects: rows.chain(downloads.next()).collect(), random: Random(seed ^ (number + 1)) }
    };
    (0..CLIENTS).map(worker).collect()
}

fn daemon_killed_under_load_loses_nothing() {
    let number = seed();
    println!("daemon_kill: TESTS_SEED={number}");
    // Torrents that nobody has must not keep those waiting that can be had.
    let home = Home::new("dk", &format!("{ALL_CORES}\n[limits]\nactive_downloads = 0"));
    let payloads = home.join("seeded");
    fs::create_dir(&payloads).unwrap();
    let (seeder, downloads) = downloads(&payloads);
    let workers = workers(downloads, number);
    let mut trial = Trial { home: &home, workers, random: Random(number), tally: Tally::default() };
    for kill in 0..KILLS {
        if kill % KILLS_FOR_START == 0 {
            trial.start_and_kill();
        }
        let daemon = trial.home.start();
        trial.check(&daemon);
        trial.run_and_kill(daemon, kill % RUNS_FOR_PAYLOAD == 0);
    }
    let daemon = trial.home.start();
    trial.check(&daemon);
    trial.finish(&daemon, &payloads);
    daemon.end_well();
    seeder.end_well();
    let Tally { answers, inside, unsure, trusted } = trial.tally;
    println!(
        "daemon_kill: {KILLS} kills, {inside} inside a transaction; {answers} answers, {unsure} requests cut off; \
         {trusted} pieces trusted, all of them right"
    );
    assert!(inside * 2 >= KILLS, "seed {number}: only {inside} of {KILLS} kills were inside a transaction");
    assert!(trusted > 0 && unsure > 0, "seed {number}: the kills have met no download, or no request");
}
