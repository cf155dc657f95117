//! Percent-encoding for addresses in headers.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a `Location` cannot contain as it is. Escapes that are there already stay.
pub(crate) const LOCATION: &AsciiSet = &CONTROLS
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

/// What the value of a query parameter cannot contain as it is.
pub(crate) const QUERY_VALUE: &AsciiSet = &LOCATION
    .add(b'#')
    .add(b'\'')
    .add(b'&')
    .add(b'+')
    .add(b'%')
    .add(b'=')
    .add(b'?');

/// Appends a text, with these characters, controls and everything outside ASCII escaped.
pub(crate) fn push(out: &mut String, text: &str, escaped: &'static AsciiSet) {
    out.extend(utf8_percent_encode(text, escaped));
}

/// An address as a `Location` header can hold it.
pub(crate) fn location(address: &str) -> String {
    let mut location = String::with_capacity(address.len());
    push(&mut location, address, LOCATION);
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_value_holds_no_separators() {
        let mut value = String::new();
        push(
            &mut value,
            "/a b?c=d&e=%41#f+g'\u{e4}\u{7f}\r\n",
            QUERY_VALUE,
        );
        assert_eq!(
            value,
            "/a%20b%3Fc%3Dd%26e%3D%2541%23f%2Bg%27%C3%A4%7F%0D%0A"
        );
    }

    #[test]
    fn a_location_keeps_its_escapes_and_separators() {
        assert_eq!(
            location("/a b?c=%41&d=<e>#f\u{e4}\r\n"),
            "/a%20b?c=%41&d=%3Ce%3E#f%C3%A4%0D%0A"
        );
    }
}
