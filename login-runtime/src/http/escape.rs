//! Percent-encoding for addresses in headers.

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode,
};

/// The characters to escape in the value of a query parameter.
pub(crate) static QUERY_VALUE: Escapes = Escapes::new(b" \"#<>'&+%=?\\^`{|}");

/// The characters to escape in a `Location`. `%` is not among them, so existing escapes stay.
const LOCATION: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A table of the bytes to escape. Each refusal escapes `next`; the `percent_encoding` crate makes it a
/// tenth slower, and cannot tell the length of the result in advance.
pub(crate) struct Escapes([bool; 256]);

impl Escapes {
    /// Escapes these bytes, control characters, and everything outside ASCII.
    const fn new(bytes: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = byte < 0x20 || byte >= 0x7f;
            byte += 1;
        }
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = true;
            at += 1;
        }
        Self(table)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    /// The length of the escaped text.
    pub(crate) fn len(&self, text: &str) -> usize {
        let bytes = text.bytes();
        bytes.map(|byte| if self.has(byte) { 3 } else { 1 }).sum()
    }

    /// Appends the escaped text.
    pub(crate) fn push(&self, out: &mut Vec<u8>, text: &str) {
        for byte in text.bytes() {
            if self.has(byte) {
                out.extend_from_slice(percent_encode_byte(byte).as_bytes());
            } else {
                out.push(byte);
            }
        }
    }
}

/// Escapes a text as one segment of a path. `None` if it is empty, or would lead to another directory.
///
/// A text with escapes is escaped once more, so that the same text arrives.
pub(crate) fn segment(text: &str) -> Option<String> {
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let is_segment = !matches!(text, "" | "." | "..");
    is_segment.then(|| utf8_percent_encode(text, SEGMENT).to_string())
}

/// Escapes an address for a `Location` header.
pub(crate) fn location(address: &str) -> String {
    utf8_percent_encode(address, LOCATION).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_value_contains_no_separators() {
        const SET: &AsciiSet = &LOCATION
            .add(b'#')
            .add(b'\'')
            .add(b'&')
            .add(b'+')
            .add(b'%')
            .add(b'=')
            .add(b'?');
        let texts = (0..=0x400)
            .filter_map(char::from_u32)
            .map(|char| format!("{char}a{char}{char}b"));
        for text in texts {
            let mut escaped = Vec::new();
            QUERY_VALUE.push(&mut escaped, &text);
            assert_eq!(escaped.len(), QUERY_VALUE.len(&text), "{text:?}");
            let expected = utf8_percent_encode(&text, SET).to_string();
            assert_eq!(String::from_utf8(escaped), Ok(expected));
        }
    }

    #[test]
    fn a_location_keeps_its_escapes_and_separators() {
        assert_eq!(
            location("/a b?c=%41&d=<e>#f\u{e4}\r\n"),
            "/a%20b?c=%41&d=%3Ce%3E#f%C3%A4%0D%0A"
        );
    }
}
