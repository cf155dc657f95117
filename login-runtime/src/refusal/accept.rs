//! What the `Accept` header of a client prefers (RFC 9110 §12.5.1).

/// Types of pages, which browsers ask for when they navigate.
const PAGES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// The best weights that an `Accept` header names, in thousandths. `None` if it names no such type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accept {
    /// For a page.
    page: Option<u16>,
    /// For `text/*`, which stands for a page that is not named.
    text: Option<u16>,
    /// For JSON.
    json: Option<u16>,
    /// For an event stream.
    events: Option<u16>,
    /// For everything that is not named.
    any: Option<u16>,
    /// Whether it names another type, or one that cannot be read.
    other: bool,
}

impl Accept {
    /// Reads all values of the header. An entry with a malformed weight counts as another type.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut accept = Self::default();
        for entry in values.flat_map(|value| split(value, b',')) {
            accept.add(entry);
        }
        accept
    }

    fn add(&mut self, entry: &[u8]) {
        let mut parts = split(entry, b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        if name.is_empty() && parts.next().is_none() {
            // Lists may have empty entries (RFC 9110 §5.6.1).
            return;
        }
        let Some(weight) = weight(parts) else {
            self.other = true;
            return;
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let best = if PAGES.into_iter().any(is) {
            &mut self.page
        } else if is("text/*") {
            &mut self.text
        } else if is("text/event-stream") {
            &mut self.events
        } else if is("*/*") {
            &mut self.any
        } else if is("application/json") || is_suffixed(name, b"+json") {
            &mut self.json
        } else {
            self.other = true;
            return;
        };
        *best = (*best).max(Some(weight));
    }

    /// Whether it names a page, and nothing that a program reads with a greater weight.
    pub(super) fn names_page(self) -> bool {
        let page = self.page.or(self.text).unwrap_or_default();
        page > 0 && Some(page) >= self.json.max(self.events)
    }

    /// Whether the client would show a page: it names one, or takes everything.
    pub(super) fn wants_page(self) -> bool {
        let Self {
            page,
            text,
            json,
            events,
            any,
            other,
        } = self;
        let names_nothing = (page, text, json, events) == (None, None, None, None) && !other;
        self.names_page() || names_nothing && any != Some(0)
    }

    /// Whether the client opens an event stream, and would show no page instead.
    pub(super) fn is_event_stream(self) -> bool {
        self.events.is_some_and(|weight| weight > 0) && !self.names_page()
    }
}

/// The weight of an entry with these parameters, in thousandths; 1000 without a weight. `None` if it is
/// malformed (RFC 9110 §12.4.2).
fn weight<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let text = parameters.find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', text @ ..] => Some(text),
        [b'q' | b'Q'] => Some(&b""[..]),
        _ => None,
    });
    let Some(text) = text else {
        return Some(1000);
    };
    let (whole, decimals) = match text {
        [whole] => (whole, &b""[..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let digits = decimals.iter().chain(&b"000"[decimals.len()..]);
    let thousandths = digits.into_iter().try_fold(0, |sum: u16, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(sum * 10 + u16::from(digit))
    })?;
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

fn is_suffixed(name: &[u8], suffix: &[u8]) -> bool {
    name.len()
        .checked_sub(suffix.len())
        .and_then(|at| name.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Splits a header at `separator`, but not inside a quoted text.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |byte| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && *byte == b'\\' {
            is_escaped = true;
        } else if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        !is_quoted && *byte == separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], wants_page: bool) {
        let accept = Accept::of(values.iter().map(|value| value.as_bytes()));
        assert_eq!(accept.wants_page(), wants_page, "{values:?}");
    }

    #[test]
    fn the_greater_weight_decides_between_a_page_and_json() {
        check(&["text/html, application/json"], true);
        check(&["application/json, text/html"], true);
        check(&["application/json, text/html;q=0.9"], false);
        check(&["application/json;q=0.9, text/html"], true);
        check(&["application/vnd.api+json, text/html;q=0.999"], false);
        check(&["text/html;level=1;Q=0.5, application/json;q=0.4"], true);
        check(&["text/html;q=0.2", "application/json;q=0.3"], false);
        check(&["application/json;q=0.5, text/html;Q=0.4"], false);
        check(&["text/event-stream, text/html;q=0.5"], false);
        let twice = "text/html, application/xhtml+xml;q=0.1, application/json;q=0.5";
        check(&[twice], true);
    }

    #[test]
    fn a_weight_of_zero_takes_no_page() {
        for weight in ["0", "0.", "0.0", "0.000"] {
            check(&[&format!("text/html;q={weight}")], false);
            check(&[&format!("text/html;q={weight}, */*")], false);
            check(&[&format!("text/*;q={weight}, */*")], false);
            check(&[&format!("*/*;q={weight}")], false);
        }
        check(&["text/*, text/html;q=0"], false);
        check(&["text/html;q=0, application/xhtml+xml"], true);
        check(&["text/html;q=0.001"], true);
    }

    #[test]
    fn an_entry_with_a_malformed_weight_names_nothing() {
        for weight in [
            "", "x", "-1", "2", "1.1", "1.001", "0.1234", "0,5", ".5", "\"1\"", "1 0", "1e0",
            "0.x", "0.1x", "0.-1", "1.0x",
        ] {
            check(&[&format!("text/html;q={weight}")], false);
        }
        check(&["text/html;q"], false);
        check(&["text/html;q=x, text/*"], true);
        check(&["application/json;q=x, text/html;q=0.1"], true);
    }

    #[test]
    fn separators_inside_quotes_are_text() {
        check(&["text/html;a=\"x,y;q=0\""], true);
        check(&["text/html;a=\"\\\",\";q=0"], false);
        check(&["application/json;a=\", text/html\""], false);
        // Outside quotes, nothing is escaped.
        check(&["image/png;a=\\\", text/html"], false);
    }

    #[test]
    fn a_client_that_takes_everything_gets_a_page() {
        for all in ["", " ", ",", "*/*", "*/*;q=0.1", ", */* ,"] {
            check(&[all], true);
        }
        check(&[], true);
        for other in [
            "garbage",
            ";q=1",
            "image/png, */*",
            "application/json, */*",
            "text/plain",
        ] {
            check(&[other], false);
        }
    }
}
