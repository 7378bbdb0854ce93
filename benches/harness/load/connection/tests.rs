//! A connection of the load against a seeder that is the test itself.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;

use protocol::geometry::{BLOCK_LENGTH, Geometry};

use super::super::cursor::Course;
use super::super::options::Order;
use super::*;

const SCRATCH_LENGTH: usize = BLOCK_LENGTH as usize;

const PIECE_LENGTH: u32 = 2 * BLOCK_LENGTH;

/// A connection to a seeder that is the test itself, and a judge over 8 pieces of payload.
fn pair() -> (Connection, TcpStream, Judge, tempfile::NamedTempFile) {
    let payload = tempfile::NamedTempFile::new().unwrap();
    payload.as_file().set_len(8 * u64::from(PIECE_LENGTH)).unwrap();
    let geometry = Geometry::new(8 * u64::from(PIECE_LENGTH), PIECE_LENGTH.into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (seeder, _) = listener.accept().unwrap();
    let course = Rc::new(Course::new(geometry, BLOCK_LENGTH, Order::InOrder));
    let mut connection = Connection::new(stream, Cursor::new(course, 0, 1), &[1; 20], &[2; 20]);
    connection.send().unwrap();
    (connection, seeder, Judge::new(payload.path(), geometry, true).unwrap(), payload)
}

/// Lets the connection take all of `bytes`, cut into parts of `step`.
fn feed(
    connection: &mut Connection,
    seeder: &mut TcpStream,
    judge: &mut Judge,
    bytes: &[u8],
    step: usize,
) -> Result<(), Fault> {
    let mut scratch = vec![0; SCRATCH_LENGTH];
    connection.stream.set_nonblocking(true).unwrap();
    for part in bytes.chunks(step) {
        seeder.write_all(part).unwrap();
        let mut peeked = [0; 1];
        while connection.stream.peek(&mut peeked).is_ok() {
            connection.receive(judge, &mut scratch, &mut Latencies::default())?;
        }
    }
    Ok(())
}

fn greeting() -> Vec<u8> {
    let mut bytes = wire::handshake(&[1; 20], &[3; 20]).to_vec();
    bytes.extend(b"\0\0\0\x02\x05\xff");
    bytes.extend([0; 4]);
    bytes.extend(wire::UNCHOKE_FRAME);
    bytes.extend(b"\0\0\0\x05\x04\0\0\0\x01");
    bytes
}

#[test]
fn answers_are_taken_in_any_cut_and_order_among_other_messages() {
    for step in [1, 5, 13, 1000, 1 << 20] {
        let (mut connection, mut seeder, mut judge, _payload) = pair();
        feed(&mut connection, &mut seeder, &mut judge, &greeting(), step).unwrap();
        assert!(connection.is_unchoked);
        connection.ask(3);
        let mut bytes = Vec::new();
        for place in [2, 0, 1] {
            bytes.extend([0; 4]);
            bytes.extend(wire::piece_header(connection.open[place].0));
            bytes.extend([0; BLOCK_LENGTH as usize]);
            bytes.extend(b"\0\0\0\x05\x04\0\0\0\x01");
        }
        feed(&mut connection, &mut seeder, &mut judge, &bytes, step).unwrap();
        assert!(connection.open.is_empty(), "step {step}");
        assert_eq!((connection.bytes, judge.compared()), (3 * u64::from(BLOCK_LENGTH), 3));
    }
}

#[test]
fn payload_is_dropped_where_the_judge_does_not_want_it() {
    let (mut connection, mut seeder, _, payload) = pair();
    let geometry = Geometry::new(8 * u64::from(PIECE_LENGTH), PIECE_LENGTH.into()).unwrap();
    let mut judge = Judge::new(payload.path(), geometry, false).unwrap();
    feed(&mut connection, &mut seeder, &mut judge, &greeting(), 1 << 20).unwrap();
    for _ in 0..20 {
        connection.ask(1);
        let mut bytes = wire::piece_header(connection.open[0].0).to_vec();
        bytes.extend([0; BLOCK_LENGTH as usize]);
        feed(&mut connection, &mut seeder, &mut judge, &bytes, 10_000).unwrap();
    }
    assert_eq!((connection.bytes, judge.compared()), (20 * u64::from(BLOCK_LENGTH), 8));
}

#[test]
fn wrong_answers_are_found() {
    let open = Block { piece: 0, begin: 0, length: BLOCK_LENGTH };
    let cases = [
        (Block { begin: BLOCK_LENGTH, ..open }, 0, "not asked for"),
        (Block { length: BLOCK_LENGTH - 1, ..open }, 0, "not asked for"),
        (open, 1, "other bytes"),
    ];
    for (block, byte, expected) in cases {
        let (mut connection, mut seeder, mut judge, _payload) = pair();
        feed(&mut connection, &mut seeder, &mut judge, &greeting(), 1 << 20).unwrap();
        connection.ask(1);
        let mut bytes = wire::piece_header(block).to_vec();
        bytes.extend(vec![byte; block.length as usize]);
        let fault = feed(&mut connection, &mut seeder, &mut judge, &bytes, 1 << 20);
        assert!(matches!(&fault, Err(Fault::Wrong(what)) if what.contains(expected)), "{fault:?}");
    }
}

#[test]
fn a_choke_forgets_open_requests_and_an_end_is_noticed() {
    let (mut connection, mut seeder, mut judge, _payload) = pair();
    feed(&mut connection, &mut seeder, &mut judge, &greeting(), 1 << 20).unwrap();
    connection.ask(5);
    feed(&mut connection, &mut seeder, &mut judge, b"\0\0\0\x01\x00", 1 << 20).unwrap();
    assert!(!connection.is_unchoked && connection.open.is_empty() && connection.chokes == 1);
    let mut asked = [0; wire::HANDSHAKE_LENGTH];
    seeder.read_exact(&mut asked).unwrap();
    assert_eq!(wire::handshake_info_hash(&asked), Some([1; 20]));
    drop(seeder);
    let end = connection.receive(&mut judge, &mut [0; SCRATCH_LENGTH], &mut Latencies::default());
    assert!(matches!(end, Err(Fault::Closed)), "{end:?}");
}
