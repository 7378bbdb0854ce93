//! Making a .torrent file (BEP 3) out of names, lengths and hashes that somebody else has gathered.
//!
//! What comes out is read back with [`Metainfo::parse`], so there is one truth about what a torrent may be, and a
//! payload whose names would not survive the reading is refused instead of shared under others.

use serde::{Serialize, Serializer};
use serde_bytes::Bytes;

use super::files::FileKind;
use super::metainfo::{Metainfo, MetainfoError};
use super::url::UrlFilter;
use crate::announce::TrackerUrl;

/// Shortest piece that is chosen, in bytes: a block, below which a piece has no use.
const MIN_DEFAULT_PIECE_LENGTH: u32 = 16 * 1024;
/// Longest piece that is chosen, in bytes: larger ones make every client verify late.
const MAX_DEFAULT_PIECE_LENGTH: u32 = 16 * 1024 * 1024;
/// Most pieces aimed at: 40 kB of hashes, while a piece is still quickly fetched.
const MAX_DEFAULT_PIECE_COUNT: u64 = 2_000;

/// What a new torrent is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTorrent {
    /// The name of the file or folder.
    pub name: String,
    /// What is shared under that name.
    pub payload: Payload,
    /// Bytes in a piece; see [`default_piece_length`].
    pub piece_length: u32,
    /// The SHA-1 of each piece, 20 bytes each, in order.
    pub pieces: Vec<u8>,
    /// Whether peers may only come from the trackers (BEP 27).
    pub private: bool,
    /// Trackers, each a tier of its own (BEP 12).
    pub trackers: Vec<String>,
    /// HTTP servers that have the payload (BEP 19).
    pub web_seeds: Vec<String>,
    /// What its maker has to say.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// When it is made, in seconds of Unix time.
    pub creation_date: Option<i64>,
}

/// What a new torrent shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// One file, of so many bytes.
    File {
        /// Its bytes.
        length: u64,
    },
    /// A folder of files, in the order in which they were hashed.
    Folder {
        /// The files.
        files: Vec<NewFile>,
    },
}

/// A file of a new torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its path below the folder, as components.
    pub path: Vec<String>,
    /// Its bytes.
    pub length: u64,
}

/// Why no torrent can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The parts do not make a torrent that anybody would accept.
    #[error("the torrent would not be valid: {0}")]
    Invalid(#[from] MetainfoError),
    /// A name that others would store differently.
    #[error("`{path}` cannot be shared under this name: others would read it as `{read_as}`")]
    Name {
        /// The path as it was given, joined by `/`.
        path: String,
        /// The path that a reader would make of it.
        read_as: String,
    },
    /// A name that others would take for padding, of which nothing is stored.
    #[error("`{0}` cannot be shared under this name: others would take it for padding")]
    Padding(String),
    /// A tracker or web seed that readers would leave out.
    #[error("`{0}` is not a usable URL, or is one too many, or is given twice")]
    Url(String),
    /// The encoder failed.
    #[error("cannot encode the torrent: {0}")]
    Encode(String),
}

impl NewTorrent {
    /// A torrent that says what is shared and nothing else.
    pub fn new(name: &str, payload: Payload, piece_length: u32, pieces: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            payload,
            piece_length,
            pieces,
            private: false,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
        }
    }

    /// Makes the bytes of the .torrent file, with its keys in order, and what a reader makes of them.
    ///
    /// # Errors
    /// When the parts do not fit together, exceed a limit, or have names that would not be read as they are.
    pub fn build(&self) -> Result<(Metainfo, Vec<u8>), CreateError> {
        let encoded = serde_bencode::to_bytes(&Outer::of(self));
        let bytes = encoded.map_err(|error| CreateError::Encode(error.to_string()))?;
        let metainfo = Metainfo::parse(&bytes)?;
        self.check_names(&metainfo)?;
        check_urls(&self.trackers, metainfo.trackers.iter().flatten())?;
        check_urls(&self.web_seeds, metainfo.web_seeds.iter())?;
        Ok((metainfo, bytes))
    }

    /// Every file must be read as the regular file at the path that was given.
    fn check_names(&self, metainfo: &Metainfo) -> Result<(), CreateError> {
        let below: Vec<&[String]> = match &self.payload {
            Payload::File { .. } => vec![&[]],
            Payload::Folder { files } => files.iter().map(|file| file.path.as_slice()).collect(),
        };
        for (given, file) in below.into_iter().zip(metainfo.info.files()) {
            let given = || std::iter::once(&self.name).chain(given).map(String::as_str);
            let path = || given().collect::<Vec<_>>().join("/");
            if !given().eq(file.path.components()) {
                return Err(CreateError::Name { path: path(), read_as: file.path.to_string() });
            }
            if file.kind != FileKind::Regular {
                return Err(CreateError::Padding(path()));
            }
        }
        Ok(())
    }
}

/// Every URL must be read as it was given.
fn check_urls<'a>(given: &[String], mut read: impl Iterator<Item = &'a String>) -> Result<(), CreateError> {
    let lost = given.iter().find(|url| read.next() != Some(url));
    lost.map_or(Ok(()), |url| Err(CreateError::Url(url.clone())))
}

/// The first of `trackers` that a new torrent cannot name: nobody could announce to it, or it is there twice, or is one
/// too many. For whoever wants to know before anything is hashed.
pub fn unusable_tracker(trackers: &[String]) -> Option<&str> {
    let mut read = UrlFilter::trackers();
    let mut is_usable =
        |url: &str| url.parse::<TrackerUrl>().is_ok() && read.take(url.as_bytes()).as_deref() == Some(url);
    trackers.iter().map(String::as_str).find(|url| !is_usable(url))
}

/// The piece length to use for `length` bytes, in bytes: the smallest power of two from 16 KiB to 16 MiB that makes
/// no more than 2,000 pieces, so between 1,000 and 2,000 of them from 16 MB to 33 GB.
pub fn default_piece_length(length: u64) -> u32 {
    let fits = |piece_length: &u32| length.div_ceil(u64::from(*piece_length)) <= MAX_DEFAULT_PIECE_COUNT;
    let doubled = |piece_length: &u32| piece_length.checked_mul(2).filter(|n| *n <= MAX_DEFAULT_PIECE_LENGTH);
    let mut choices = std::iter::successors(Some(MIN_DEFAULT_PIECE_LENGTH), doubled);
    choices.find(fits).unwrap_or(MAX_DEFAULT_PIECE_LENGTH)
}

/// The file as it is encoded. The encoder leaves out what is `None`, and puts keys in order.
#[derive(Serialize)]
struct Outer<'a> {
    announce: Option<&'a str>,
    #[serde(rename = "announce-list")]
    announce_list: Option<Vec<[&'a str; 1]>>,
    comment: Option<&'a str>,
    #[serde(rename = "created by")]
    created_by: Option<&'a str>,
    #[serde(rename = "creation date")]
    creation_date: Option<i64>,
    info: Inner<'a>,
    #[serde(rename = "url-list")]
    url_list: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Inner<'a> {
    files: Option<Vec<InnerFile<'a>>>,
    length: Option<u64>,
    name: &'a str,
    #[serde(rename = "piece length")]
    piece_length: u32,
    #[serde(serialize_with = "as_bytes")]
    pieces: &'a [u8],
    private: Option<u8>,
}

#[derive(Serialize)]
struct InnerFile<'a> {
    length: u64,
    path: &'a [String],
}

impl<'a> Outer<'a> {
    fn of(torrent: &'a NewTorrent) -> Self {
        let trackers = &torrent.trackers;
        // Readers without BEP 12 need `announce`; with one tracker the list would say nothing more.
        let tiers = (trackers.len() > 1).then(|| trackers.iter().map(|url| [url.as_str()]).collect());
        Self {
            announce: trackers.first().map(String::as_str),
            announce_list: tiers,
            comment: torrent.comment.as_deref(),
            created_by: torrent.created_by.as_deref(),
            creation_date: torrent.creation_date,
            info: Inner::of(torrent),
            url_list: (!torrent.web_seeds.is_empty()).then_some(torrent.web_seeds.as_slice()),
        }
    }
}

impl<'a> Inner<'a> {
    fn of(torrent: &'a NewTorrent) -> Self {
        let file = |file: &'a NewFile| InnerFile { length: file.length, path: &file.path };
        let (length, files) = match &torrent.payload {
            Payload::File { length } => (Some(*length), None),
            Payload::Folder { files } => (None, Some(files.iter().map(file).collect())),
        };
        let NewTorrent { name, pieces, .. } = torrent;
        // Its absence is what all readers take for "not private".
        let private = torrent.private.then_some(1);
        Self { files, length, name, piece_length: torrent.piece_length, pieces, private }
    }
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    Bytes::new(bytes).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::info::InfoError;
    use super::*;

    fn new(name: &str, payload: Payload) -> NewTorrent {
        let length = match &payload {
            Payload::File { length } => *length,
            Payload::Folder { files } => files.iter().map(|file| file.length).sum(),
        };
        let hashes = usize::try_from(length.div_ceil(4)).unwrap();
        NewTorrent::new(name, payload, 4, (0..=255_u8).cycle().take(hashes * 20).collect())
    }

    fn folder(paths: &[&[&str]]) -> Payload {
        let path = |path: &&[&str]| path.iter().map(|component| (*component).to_owned()).collect();
        Payload::Folder { files: paths.iter().map(|p| NewFile { path: path(p), length: 3 }).collect() }
    }

    fn encoded(torrent: &NewTorrent) -> String {
        String::from_utf8_lossy(&torrent.build().unwrap().1).into_owned()
    }

    #[test]
    fn a_torrent_of_one_file_has_only_the_keys_it_needs_in_order() {
        let mut torrent = new("a", Payload::File { length: 4 });
        torrent.pieces = vec![b'A'; 20];
        let info = "4:infod6:lengthi4e4:name1:a12:piece lengthi4e6:pieces20:AAAAAAAAAAAAAAAAAAAA";
        assert_eq!(encoded(&torrent), format!("d{info}ee"));
        torrent.private = true;
        torrent.trackers = vec!["udp://t".to_owned()];
        torrent.creation_date = Some(7);
        assert_eq!(encoded(&torrent), format!("d8:announce7:udp://t13:creation datei7e{info}7:privatei1eee"));
    }

    #[test]
    fn each_of_several_trackers_is_a_tier() {
        let mut torrent = new("a", Payload::File { length: 4 });
        torrent.trackers = vec!["udp://t".to_owned(), "udp://u".to_owned()];
        let outer = "d8:announce7:udp://t13:announce-listll7:udp://tel7:udp://uee4:info";
        assert!(encoded(&torrent).starts_with(outer));
        assert_eq!(torrent.build().unwrap().0.trackers, [["udp://t"], ["udp://u"]]);
    }

    #[test]
    fn names_that_would_be_read_otherwise_are_refused() {
        let paths: [&[&[&str]]; 5] =
            [&[&["a"], &["a"]], &[&["a"], &["a", "b"]], &[&["..", "a"]], &[&["a/b"]], &[&["a", ""]]];
        for paths in paths {
            let error = new("n", folder(paths)).build().unwrap_err();
            assert!(matches!(error, CreateError::Name { .. }), "{paths:?}: {error}");
        }
        let error = new("a/b", Payload::File { length: 4 }).build().unwrap_err();
        assert_eq!(error, CreateError::Name { path: "a/b".to_owned(), read_as: "a_b".to_owned() });
        let padding = folder(&[&["a"], &["b"], &["c"], &[".pad", "3"]]);
        let error = new("n", padding).build().unwrap_err();
        assert_eq!(error, CreateError::Padding("n/.pad/3".to_owned()));
        assert!(new("n", folder(&[&[".pad", "3"], &[".pad", "7"]])).build().is_ok());
    }

    #[test]
    fn parts_that_make_no_torrent_are_refused() {
        let invalid = |torrent: NewTorrent| match torrent.build().unwrap_err() {
            CreateError::Invalid(MetainfoError::Info(error)) => error,
            other => panic!("{other}"),
        };
        let empty = NewTorrent { pieces: vec![0; 20], ..new("n", folder(&[])) };
        assert_eq!(invalid(empty), InfoError::NoFiles);
        assert_eq!(invalid(new("n", folder(&[&[]]))), InfoError::EmptyPath { file: 0 });
        assert_eq!(invalid(new("", Payload::File { length: 4 })), InfoError::MissingName);
        let short = NewTorrent { pieces: vec![0; 20], ..new("n", Payload::File { length: 5 }) };
        assert_eq!(invalid(short), InfoError::PieceCount { expected: 2, found: 1 });
    }

    #[test]
    fn trackers_that_nobody_could_ask_are_found_before_a_torrent_is_made() {
        let unusable = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            unusable_tracker(&urls).map(str::to_owned)
        };
        assert_eq!(unusable(&[]), None);
        assert_eq!(
            unusable(&["http://a/announce", "https://a:1", "udp://a:1", "udp://[::1]:1/announce"]),
            None
        );
        for bad in
            ["", "a/b", "http://", "http:///a", "http://a b", " http://a", "udp://a", "udp://a:0", "wss://a"]
        {
            assert_eq!(unusable(&["http://c", bad, "http://d"]).as_deref(), Some(bad));
        }
        assert_eq!(unusable(&["http://a", "udp://a:1", "http://a"]).as_deref(), Some("http://a"), "twice");
    }

    #[test]
    fn urls_that_readers_would_drop_are_refused() {
        for urls in [vec!["http://a b"], vec!["", "http://a"], vec!["http://a", "http://a"]] {
            let urls: Vec<String> = urls.into_iter().map(str::to_owned).collect();
            let torrent = new("a", Payload::File { length: 4 });
            let trackers = NewTorrent { trackers: urls.clone(), ..torrent.clone() };
            assert!(matches!(trackers.build(), Err(CreateError::Url(_))), "{urls:?}");
            let web_seeds = NewTorrent { web_seeds: urls.clone(), ..torrent };
            assert!(matches!(web_seeds.build(), Err(CreateError::Url(_))), "{urls:?}");
        }
    }

    #[test]
    fn the_default_piece_length_makes_one_to_two_thousand_pieces() {
        const KIB: u64 = 1024;
        const GIB: u64 = KIB * KIB * KIB;
        let table = [
            (0, 16),
            (1, 16),
            (2_000 * 16 * KIB, 16),
            (2_000 * 16 * KIB + 1, 32),
            (GIB, 1_024),
            (4 * GIB, 4_096),
            (30 * GIB, 16_384),
            (1_024 * GIB, 16_384),
            (u64::MAX, 16_384),
        ];
        for (length, kib) in table {
            assert_eq!(default_piece_length(length), kib * 1024, "{length}");
        }
    }

    prop_compose! {
        fn any_torrent()(
            name in "[a-zé ]{1,10}",
            files in prop::option::of(prop::collection::btree_map("[a-c]{1,3}", 1_u64..50, 1..6)),
            private in any::<bool>(),
            trackers in prop::collection::hash_set("udp://[a-z]{1,5}", 0..4),
            web_seeds in prop::collection::hash_set("http://[a-z]{1,5}", 0..3),
            notes in any::<[Option<char>; 2]>(),
            creation_date in any::<Option<i64>>(),
        ) -> NewTorrent {
            let file = |(name, length)| NewFile { path: vec!["d".to_owned(), name], length };
            let payload = match files {
                Some(files) => Payload::Folder { files: files.into_iter().map(file).collect() },
                None => Payload::File { length: 9 },
            };
            let [comment, created_by] = notes.map(|note| note.map(String::from));
            let (trackers, web_seeds) = (trackers.into_iter().collect(), web_seeds.into_iter().collect());
            NewTorrent { private, trackers, web_seeds, comment, created_by, creation_date, ..new(&name, payload) }
        }
    }

    proptest! {
        #[test]
        fn a_torrent_that_is_made_is_read_back(torrent in any_torrent()) {
            let (metainfo, bytes) = torrent.build().unwrap();
            prop_assert_eq!(&Metainfo::parse(&bytes), &Ok(metainfo.clone()));
            let info = &metainfo.info;
            let lengths: Vec<u64> = match &torrent.payload {
                Payload::File { length } => vec![*length],
                Payload::Folder { files } => files.iter().map(|file| file.length).collect(),
            };
            prop_assert_eq!(info.files().iter().map(|file| file.length).collect::<Vec<_>>(), lengths);
            let hashes = (0..info.geometry().piece_count()).flat_map(|piece| *info.piece_hash(piece));
            prop_assert_eq!(hashes.collect::<Vec<u8>>(), torrent.pieces);
            prop_assert_eq!((info.name(), info.is_private()), (torrent.name.as_str(), torrent.private));
            prop_assert_eq!(metainfo.trackers.concat(), torrent.trackers);
            prop_assert_eq!(metainfo.web_seeds, torrent.web_seeds);
            let notes = (metainfo.comment, metainfo.created_by, metainfo.creation_date);
            prop_assert_eq!(notes, (torrent.comment, torrent.created_by, torrent.creation_date));
        }
    }
}
