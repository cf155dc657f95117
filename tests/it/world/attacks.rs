//! What attackers send, in one list for each kind of value.

/// Values of `next` that must not be followed.
pub(crate) const HOSTILE_NEXT: &[&str] =
    include!("../../../login-runtime/testdata/hostile_next.rs");

/// The value of a `Cookie` header with one cookie.
pub(crate) fn cookie(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_ref()].concat()
}

/// `Cookie` headers in which this cookie is worthless, made from its valid value.
pub(crate) struct WorthlessCookies<'a> {
    pub(crate) name: &'a str,
    pub(crate) valid: &'a str,
}

impl WorthlessCookies<'_> {
    fn of<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) -> Vec<Vec<u8>> {
        let values = values.into_iter();
        values.map(|value| cookie(self.name, value)).collect()
    }

    /// Values that were not made with the key of the application.
    pub(crate) fn forged(&self) -> Vec<Vec<u8>> {
        let valid = self.valid;
        let (text, tag) = valid.split_once('.').unwrap_or((valid, valid));
        self.of([
            "1",
            "A",
            "forged",
            "1|0123456789abcdef",
            ".",
            "..",
            &format!("{text}."),
            &format!(".{tag}"),
            &format!("{text}.{text}"),
            &format!("{tag}.{text}"),
            &format!("{text}.{tag}.{tag}"),
            &format!("A{valid}"),
            &format!("{valid}A"),
            &format!("{valid}="),
            &format!("\"{valid}\""),
        ])
    }

    /// The valid value, cut off at its start or its end.
    pub(crate) fn truncated(&self) -> Vec<Vec<u8>> {
        let valid = self.valid;
        let len = valid.len();
        let at = [1, len / 2, len - 2, len - 1];
        self.of(at.map(|at| [&valid[..at], &valid[at..]]).concat())
    }

    /// Values over the limit of 4096 bytes that browsers have.
    pub(crate) fn oversized(&self) -> Vec<Vec<u8>> {
        let valid = self.valid;
        self.of([
            "x".repeat(100_000),
            valid.repeat(50),
            format!("{valid}{}", "A".repeat(4096)),
        ])
    }

    /// Two cookies of the name. A sibling domain can set the second one, and the request does not say
    /// which is which.
    pub(crate) fn twice(&self) -> Vec<Vec<u8>> {
        let valid = self.valid;
        let pairs = [
            (valid, valid),
            (valid, "forged"),
            ("forged", valid),
            (valid, ""),
            ("", valid),
        ];
        let headers = pairs.map(|(one, two)| self.of([one, two]).join(&b"; "[..]));
        headers.to_vec()
    }

    /// Values with characters outside ASCII, and bytes that are not UTF-8.
    pub(crate) fn outside_ascii(&self) -> Vec<Vec<u8>> {
        self.of::<&[u8]>([
            "é".as_bytes(),
            "1|ü".as_bytes(),
            "é🦀".as_bytes(),
            b"%C3%A9%00",
            b"%ff%fe",
            b"\xff\xfe",
            b"1|\xff\xfe\x80",
        ])
    }

    /// Values that hold nothing.
    pub(crate) fn empty(&self) -> Vec<Vec<u8>> {
        self.of(["", "\"\"", "%20"])
    }

    /// All of these.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        [
            self.forged(),
            self.truncated(),
            self.oversized(),
            self.twice(),
            self.outside_ascii(),
            self.empty(),
        ]
        .concat()
    }
}
