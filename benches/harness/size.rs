//! Sizes as people write and read them.

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads `64MiB`, `1GiB`, `512KiB` or a plain number of bytes.
///
/// # Errors
/// A sentence for the user, when the text is none of these or is zero.
pub fn parse(text: &str) -> Result<u64, String> {
    let unit = UNITS.iter().find_map(|(name, scale)| Some((text.strip_suffix(name)?, *scale)));
    let (digits, scale) = unit.unwrap_or((text, 1));
    let size = digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    size.filter(|size| *size > 0).ok_or_else(|| format!("{text:?} is not a size such as 64MiB or 1GiB"))
}

/// Writes `bytes` in the largest unit that it reaches.
pub fn show(bytes: u64) -> String {
    match UNITS.iter().find(|(_, scale)| bytes >= *scale) {
        Some((name, scale)) if bytes.is_multiple_of(*scale) => format!("{} {name}", bytes / scale),
        Some((name, scale)) => format!("{}.{} {name}", bytes / scale, bytes % scale * 10 / scale),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("1 GiB"), Ok(1 << 30));
        assert_eq!(parse("17"), Ok(17));
        for text in ["", "0", "0MiB", "-1", "1GB", "1.5GiB", "99999999999GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_one_digit_after_the_point() {
        assert_eq!(show(1 << 30), "1 GiB");
        assert_eq!(show((3 << 20) / 2), "1.5 MiB");
        assert_eq!(show(1023), "1023 B");
    }
}
