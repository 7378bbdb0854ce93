//! Text from strangers, made fit for a terminal. Everything that shows the name of a torrent or the words of a tracker
//! passes it through here.

/// `text` on one line, with what would command a terminal or turn the reading direction spelled out.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_command(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Whether `c` is for the device that shows text: control characters (C0, DEL, C1), line separators, and the marks,
/// embeddings, overrides and isolates of bidirectional text.
pub fn is_command(c: char) -> bool {
    let is_bidi = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_bidi || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_strangers_commands_no_terminal() {
        assert_eq!(printable("\u{1b}[2Ja\rb\nc\u{7f}"), "\\u{1b}[2Ja\\rb\\nc\\u{7f}");
        assert_eq!(printable("\u{9b}2J\u{9d}0;x\u{9c}"), "\\u{9b}2J\\u{9d}0;x\\u{9c}", "C1");
        assert_eq!(printable("gpj\u{202e}.exe\u{2066}\u{200f}"), "gpj\\u{202e}.exe\\u{2066}\\u{200f}");
        assert_eq!(printable("a\u{2028}b"), "a\\u{2028}b");
    }

    #[test]
    fn text_without_tricks_stays_as_it_is() {
        let text = "größe ☃ 名前 שלום it's \"quoted\" \\ back 👩‍🚀";
        assert_eq!(printable(text), text);
    }
}
