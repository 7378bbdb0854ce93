//! The decoder of the peer wire: from reads to messages.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use protocol::geometry::{BLOCK_LENGTH, Block};
use protocol::wire::{Decoder, Message};

use crate::torrent::{MANY_PIECES, blocks};

/// Bytes of a read while no blocks are expected.
const SHORT_READ: usize = 16 * 1024;
/// Bytes of a read while blocks are: most of them then lie in one read as a whole.
const LONG_READ: usize = 128 * 1024;
/// Rounds of small messages in the stream.
const SMALL_ROUNDS: u32 = 1_000;

/// Measures small messages and blocks.
pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    let small = small_messages();
    let bytes = encode(&small);
    assert_decodes(&small, &bytes, SHORT_READ);
    group.throughput(Throughput::Elements(small.len() as u64));
    group.bench_function("small messages in reads of 16 KiB", |bencher| {
        let mut decoder = decoder();
        bencher.iter(|| assert_eq!(count(&mut decoder, black_box(&bytes), SHORT_READ), small.len()));
    });

    let data = vec![0x5a; BLOCK_LENGTH as usize];
    let pieces = piece_messages(&data);
    let bytes = encode(&pieces);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for (name, read) in [("blocks in reads of 16 KiB", SHORT_READ), ("blocks in reads of 128 KiB", LONG_READ)]
    {
        assert_decodes(&pieces, &bytes, read);
        group.bench_function(name, |bencher| {
            let mut decoder = decoder();
            bencher.iter(|| assert_eq!(count(&mut decoder, black_box(&bytes), read), pieces.len()));
        });
    }
    group.finish();
}

fn decoder() -> Decoder {
    Decoder::new(MANY_PIECES, BLOCK_LENGTH)
}

/// What peers say most, in the proportions of a busy leecher: it asks, and tells what it has got.
fn small_messages() -> Vec<Message<'static>> {
    let round = |piece: u32| {
        let request = |begin| Message::Request(Block { piece, begin, length: BLOCK_LENGTH });
        let mut round = vec![Message::Interested, Message::Have(piece), Message::Have(piece + 1)];
        round.extend((0..8).map(|index| request(index * BLOCK_LENGTH)));
        round.extend([Message::Cancel(Block { piece, begin: 0, length: BLOCK_LENGTH }), Message::KeepAlive]);
        round
    };
    (0..SMALL_ROUNDS).flat_map(round).collect()
}

/// The blocks of one piece.
fn piece_messages(data: &[u8]) -> Vec<Message<'_>> {
    blocks(7).into_iter().map(|Block { piece, begin, .. }| Message::Piece { piece, begin, data }).collect()
}

fn encode(messages: &[Message<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    bytes
}

/// Decodes `bytes` in reads of `read` bytes, as a connection does: what came in parts is taken as it is. How many
/// messages there were; an error ends a read early, so that there are fewer. They are looked at where they lie, for to
/// move one takes half as long as to decode it.
fn count(decoder: &mut Decoder, bytes: &[u8], read: usize) -> usize {
    let mut count = 0;
    for mut input in bytes.chunks(read) {
        while let Ok(Some(message)) = &decoder.next(&mut input) {
            count += 1;
            if matches!(black_box(message), Message::Piece { .. }) {
                black_box(decoder.take_gathered());
            }
        }
    }
    count
}

/// Each message comes out as it went in.
fn assert_decodes(messages: &[Message<'_>], bytes: &[u8], read: usize) {
    let (mut decoder, mut expected) = (decoder(), messages.iter());
    for mut input in bytes.chunks(read) {
        while let Some(message) = decoder.next(&mut input).unwrap() {
            assert_eq!(Some(&message), expected.next());
        }
    }
    assert_eq!(expected.next(), None, "a message is missing");
}
