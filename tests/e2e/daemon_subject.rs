//! Torrents that come and go while the daemon is killed: what was asked about each, and what is known of it by the
//! answers.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Value as Json, json};
use tests::api::{Broken, Client};
use tests::bencode::{Value, bytes, dictionary};
use tests::btd::{Seeder, arguments, btd};
use tests::payload::write_single;
use tests::torrent::Torrent;

use crate::kill::Random;

/// Torrents that are downloaded, one for each of the first clients.
const DOWNLOADS: u64 = 6;
/// Bytes of each: 65 pieces of 32 KiB.
const LENGTH: u64 = 2 * 1024 * 1024 + 12_345;
/// What peers get of them all, so that a download lives through some kills.
const SEED_RATE: &str = "6M";

/// What is known of a torrent by what the daemon has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Absent,
    Present,
    /// It was killed before it had answered.
    Unsure,
}

/// A torrent that comes and goes.
pub(crate) struct Subject {
    pub(crate) torrent: Torrent,
    pub(crate) name: String,
    pub(crate) is_download: bool,
    request: Json,
    pub(crate) known: Known,
    /// A removal of its payload may have begun, and was not answered.
    pub(crate) is_torn: bool,
}

impl Subject {
    /// A torrent of two pieces that nobody has.
    pub(crate) fn row(number: u64) -> Self {
        let name = format!("row-{number}");
        let info = dictionary([
            ("length", Value::Integer(20_000)),
            ("name", bytes(&name)),
            ("piece length", Value::Integer(16_384)),
            ("pieces", bytes([7; 40])),
        ]);
        let torrent = Torrent::of_info(&info.encode());
        let file = dictionary([("announce", bytes("http://127.0.0.1:9/announce")), ("info", info)]).encode();
        let request = json!({ "metainfo": BASE64.encode(&file), "paused": true });
        Self { torrent, name, is_download: false, request, known: Known::Absent, is_torn: false }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/torrents/{}{rest}", self.torrent.hex())
    }

    /// Does one thing to it, by chance.
    pub(crate) fn step(&mut self, client: &mut Client, random: &mut Random) -> Result<(), Broken> {
        if self.known == Known::Absent {
            return self.add(client, random);
        }
        match random.below(8) {
            _ if self.is_download => self.go_on(client, random),
            0 => self.act(client, "POST", "/pause", None),
            1 => self.act(client, "POST", "/resume", None),
            2 => self.act(client, "PATCH", "", Some(&json!({ "label": format!("l{}", random.below(9)) }))),
            _ => self.remove(client, random),
        }
    }

    pub(crate) fn add(&mut self, client: &mut Client, random: &mut Random) -> Result<(), Broken> {
        self.request["seed_only"] = (!self.is_download && random.below(2) == 0).into();
        self.known = Known::Unsure;
        let answer = client.ask("POST", "/v1/torrents", Some(&self.request))?;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        self.known = Known::Present;
        Ok(())
    }

    /// One that is complete is removed soon, another one seldom.
    fn go_on(&mut self, client: &mut Client, random: &mut Random) -> Result<(), Broken> {
        let answer = client.ask("GET", &self.path(""), None)?;
        assert_eq!(answer.status, 200, "{}: {}", self.name, answer.text());
        if self.is_torn {
            return self.remove(client, random);
        }
        let torrent = answer.json();
        assert_ne!(torrent["state"], "error", "{torrent}");
        let chance = if torrent["state"] == "seeding" { 2 } else { 40 };
        if random.below(chance) == 0 { self.remove(client, random) } else { Ok(()) }
    }

    pub(crate) fn remove(&mut self, client: &mut Client, random: &mut Random) -> Result<(), Broken> {
        let with_data = self.is_torn || random.below(2) == 0;
        self.known = Known::Unsure;
        self.is_torn |= with_data;
        self.act(client, "DELETE", if with_data { "?with_data=true" } else { "" }, None)?;
        (self.known, self.is_torn) = (Known::Absent, false);
        Ok(())
    }

    fn act(&self, client: &mut Client, method: &str, path: &str, body: Option<&Json>) -> Result<(), Broken> {
        let answer = client.ask(method, &self.path(path), body)?;
        assert_eq!(answer.status, 200, "{method} {}: {}", self.path(path), answer.text());
        Ok(())
    }

    /// Checks that pieces that are told to be here are.
    pub(crate) fn check_pieces(&self, client: &mut Client, data_dir: &Path) -> usize {
        let answer = client.expect(200, "GET", &self.path("/pieces"), None);
        let bits = BASE64.decode(answer["have"].as_str().unwrap_or_default().as_bytes()).unwrap();
        let has = |piece: &u32| bits.get(*piece as usize / 8).is_some_and(|it| it << (piece % 8) & 0x80 != 0);
        let have: Vec<u32> = (0..self.torrent.piece_count()).filter(has).collect();
        let payload = fs::read(data_dir.join(&self.name)).unwrap_or_default();
        for piece in &have {
            let begin = *piece as usize * self.torrent.piece_length as usize;
            let end = begin + self.torrent.piece_bytes(*piece) as usize;
            let data = payload.get(begin..end).unwrap_or_default();
            assert!(self.torrent.is_piece(*piece, data), "{}: piece {piece} is trusted and wrong", self.name);
        }
        have.len()
    }
}

/// Payloads that a btd seeds, and the requests that have them downloaded.
pub(crate) fn downloads(folder: &Path) -> (Seeder, Vec<Subject>) {
    let names: Vec<String> = (0..DOWNLOADS).map(|number| format!("payload-{number}.bin")).collect();
    let paths: Vec<_> =
        (1..).zip(&names).map(|(number, name)| write_single(folder, name, number, LENGTH)).collect();
    let torrents: Vec<_> = names.iter().map(|name| folder.join(format!("{name}.torrent"))).collect();
    for (path, torrent) in paths.iter().zip(&torrents) {
        let made = arguments(&[&"create", path, &"-o", torrent, &"--piece-length", &"32KiB"]);
        let made = btd(&made);
        assert_eq!(made.code(), Some(0), "{}", made.describe());
    }
    let borrowed: Vec<&Path> = torrents.iter().map(AsRef::as_ref).collect();
    let options = arguments(&[&"--data", &folder, &"--upload-limit", &SEED_RATE]);
    let seeder = Seeder::start(&borrowed, &options);
    let subject = |(name, path): (&String, &PathBuf)| {
        let torrent = Torrent::read(path);
        let magnet = format!("magnet:?xt=urn:btih:{}&dn={name}&x.pe={}", torrent.hex(), seeder.address());
        let request = json!({ "magnet": magnet });
        let name = name.clone();
        Subject { torrent, name, is_download: true, request, known: Known::Absent, is_torn: false }
    };
    let subjects = names.iter().zip(&torrents).map(subject).collect();
    (seeder, subjects)
}
