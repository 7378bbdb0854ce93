//! A picture of which pieces are here.

use data_encoding::BASE64;
use protocol::control::Pieces;

use super::units::bytes;

/// Shades of a place in the picture: none, some, half, most, all of its pieces.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
/// Most lines of a picture; more is no overview.
const MAX_LINES: usize = 8;

/// How many are here, and where, in lines of `width` columns. A place stands for one piece, or for as many as it takes.
pub fn pieces(pieces: &Pieces, width: u16) -> Vec<String> {
    let (count, have) = (pieces.piece_count, pieces.have_count);
    let mut lines = vec![format!("{have} of {count} pieces, {} each", bytes(pieces.piece_length.into()))];
    let bits = BASE64.decode(pieces.have.as_bytes()).unwrap_or_default();
    let count = count as usize;
    let has = |index: usize| bits.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0);
    let places = count.min(usize::from(width.max(1)) * MAX_LINES);
    let place = |place: usize| {
        let (start, end) = (place * count / places, (place + 1) * count / places);
        shade((start..end).filter(|index| has(*index)).count(), end - start)
    };
    let picture: Vec<char> = (0..places).map(place).collect();
    lines.extend(picture.chunks(usize::from(width.max(1))).map(|line| line.iter().collect::<String>()));
    lines
}

/// All and none are told from nearly so.
fn shade(have: usize, of: usize) -> char {
    let index = match have {
        0 => 0,
        have if have >= of => 4,
        have => (have * 3 / of + 1).min(3),
    };
    SHADES.get(index).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(count: u32, have: &[u8], width: u16) -> Vec<String> {
        let have = BASE64.encode(have);
        pieces(&Pieces { piece_count: count, piece_length: 16_384, have_count: 1, have }, width).split_off(1)
    }

    #[test]
    fn a_piece_has_a_place_where_there_is_room() {
        assert_eq!(picture(10, &[0b1010_0000, 0b0100_0000], 80), ["█·█······█"]);
        assert_eq!(picture(10, &[0xff, 0xff], 4), ["████", "████", "██"]);
    }

    #[test]
    fn many_pieces_share_places() {
        assert_eq!(
            picture(32, &[0xff, 0b1111_0000, 0, 0b0000_1111], 1),
            ["█", "█", "█", "·", "·", "·", "·", "█"]
        );
        assert_eq!(picture(16, &[0b1000_0000, 0], 1)[0], "▒");
        assert_eq!((shade(1, 100), shade(99, 100), shade(100, 100)), ('░', '▓', '█'));
    }

    #[test]
    fn nonsense_draws_nothing_worse_than_holes() {
        assert_eq!(picture(0, &[], 80), Vec::<String>::new());
        assert_eq!(picture(3, &[], 0), ["·", "·", "·"]);
        let odd = Pieces { piece_count: 2, have: "%".to_owned(), ..Pieces::default() };
        assert_eq!(pieces(&odd, 80)[1], "··");
    }
}
