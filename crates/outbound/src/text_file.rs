//! Text files as people's editors and shells save them: in UTF-8 with or without a byte order mark, or in UTF-16 with one.

use std::io;
use std::path::Path;

/// Reads a text file; a byte order mark is no part of its text.
///
/// # Errors
/// It can't be read, or is no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let no_text = || io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8 or UTF-16");
    decode(std::fs::read(path)?).ok_or_else(no_text)
}

fn decode(bytes: Vec<u8>) -> Option<String> {
    match bytes.as_slice() {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] => std::str::from_utf8(text).ok().map(str::to_owned),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let wide = |bytes: fn(u16) -> [u8; 2]| "\u{feff}aé☃😀".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for bytes in ["aé☃😀".into(), "\u{feff}aé☃😀".into(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)]
        {
            assert_eq!(decode(bytes).as_deref(), Some("aé☃😀"));
        }
        assert_eq!(decode(Vec::new()).as_deref(), Some(""));
        assert_eq!(decode(b"\xef\xbb\xbf".into()).as_deref(), Some(""));
        for no_text in [&b"\xff"[..], b"\xff\xfea", b"\xfe\xff\xd8\x00", b"\xef\xbb\xbf\xff"] {
            assert_eq!(decode(no_text.into()), None, "{no_text:?}");
        }
    }
}
