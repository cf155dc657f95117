//! Percent-encoding for addresses in headers.

use percent_encoding::percent_encode_byte;

/// The characters to escape in the value of a query parameter.
pub(crate) static QUERY_VALUE: Escapes = Escapes::new(b" \"#<>'&+%=?\\^`{|}");

/// The characters to escape in a `Location`. `%` is not among them, so existing escapes stay.
pub(crate) static LOCATION: Escapes = Escapes::new(b" \"<>\\^`{|}");

/// A table of the bytes to escape. The `percent_encoding` crate makes a refusal a tenth slower, and cannot
/// tell the length of the result in advance.
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
        let text = text.as_bytes();
        let mut written = 0;
        for (at, &byte) in text.iter().enumerate() {
            if self.has(byte) {
                out.extend_from_slice(&text[written..at]);
                out.extend_from_slice(percent_encode_byte(byte).as_bytes());
                written = at + 1;
            }
        }
        out.extend_from_slice(&text[written..]);
    }
}

/// Escapes an address for a `Location` header.
pub(crate) fn location(address: &str) -> Vec<u8> {
    let mut location = Vec::with_capacity(LOCATION.len(address));
    LOCATION.push(&mut location, address);
    location
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

    use super::*;

    #[track_caller]
    fn check(escapes: &Escapes, set: &'static AsciiSet) {
        let texts = (0..=0x400)
            .filter_map(char::from_u32)
            .map(|char| format!("{char}a{char}{char}b"));
        for text in texts {
            let mut escaped = Vec::new();
            escapes.push(&mut escaped, &text);
            assert_eq!(escaped.len(), escapes.len(&text), "{text:?}");
            let expected = utf8_percent_encode(&text, set).to_string();
            assert_eq!(String::from_utf8(escaped), Ok(expected));
        }
    }

    #[test]
    fn a_query_value_contains_no_separators() {
        const SET: &AsciiSet = &CONTROLS
            .add(b' ')
            .add(b'"')
            .add(b'#')
            .add(b'<')
            .add(b'>')
            .add(b'\'')
            .add(b'&')
            .add(b'+')
            .add(b'%')
            .add(b'=')
            .add(b'?')
            .add(b'\\')
            .add(b'^')
            .add(b'`')
            .add(b'{')
            .add(b'|')
            .add(b'}');
        check(&QUERY_VALUE, SET);
    }

    #[test]
    fn a_location_keeps_its_escapes() {
        const SET: &AsciiSet = &CONTROLS
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
        check(&LOCATION, SET);
    }
}
