//! Reading `WWW-Authenticate` by the grammar of RFC 9110 §11.6.1.

/// A challenge: how a client can authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, such as `Cookie` or `Bearer`.
    pub scheme: String,
    /// The parameters, with their names in lower case. A `token68` has an empty name.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The challenges in the value of a `WWW-Authenticate` header.
///
/// # Errors
///
/// What breaks the grammar. A list without a challenge breaks it too.
pub fn challenges(value: &str) -> Result<Vec<Challenge>, String> {
    let mut rest = Reader(value);
    let mut found = Vec::new();
    loop {
        rest.skip(" \t,");
        if rest.0.is_empty() {
            break;
        }
        let scheme = rest.token().ok_or("a scheme is missing")?.to_owned();
        let mut parameters: Vec<(String, String)> = Vec::new();
        if rest.0.starts_with(' ') {
            rest.skip(" ");
            if let Some(token68) = rest.token68() {
                parameters.push((String::new(), token68.to_owned()));
            } else {
                while let Some((name, value)) = rest.parameter()? {
                    if parameters.iter().any(|(other, _)| *other == name) {
                        return Err(format!("the parameter `{name}` is there twice"));
                    }
                    parameters.push((name, value));
                    rest.skip(" \t");
                    if !rest.0.starts_with(',') {
                        break;
                    }
                    rest.skip(" \t,");
                }
            }
        }
        found.push(Challenge { scheme, parameters });
        rest.skip(" \t");
        // A scheme without parameters, or a parameter that began a new challenge, ends at a comma before.
        let is_next = value
            .get(..value.len() - rest.0.len())
            .is_some_and(|read| read.trim_end_matches([' ', '\t']).ends_with(','));
        if !rest.0.is_empty() && !rest.0.starts_with(',') && !is_next {
            return Err(format!(
                "`{}` is neither a challenge nor a parameter",
                rest.0
            ));
        }
    }
    match found.is_empty() {
        true => Err("there is no challenge".to_owned()),
        false => Ok(found),
    }
}

/// A character of a token (RFC 9110 §5.6.2).
pub(super) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self, what: &str) {
        self.0 = self.0.trim_start_matches(|c| what.contains(c));
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.find(|c| !is_token_char(c)).unwrap_or(self.0.len());
        (end > 0).then(|| self.take(end))
    }

    /// A `token68`, which is followed by a comma or the end; otherwise it is the name of a parameter.
    fn token68(&mut self) -> Option<&'a str> {
        let is_char = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let end = self.0.find(|c| !is_char(c)).unwrap_or(self.0.len());
        let (_, after) = self.0.split_at(end);
        let after = after.trim_start_matches('=');
        let ends = after.trim_start_matches([' ', '\t']);
        let is_alone = ends.is_empty() || ends.starts_with(',');
        let len = self.0.len() - after.len();
        (end > 0 && is_alone).then(|| self.take(len))
    }

    /// A parameter, or `None` if another challenge begins here, or the value ends.
    fn parameter(&mut self) -> Result<Option<(String, String)>, String> {
        let before = self.0;
        let Some(name) = self.token() else {
            return Ok(None);
        };
        self.skip(" \t");
        if !self.0.starts_with('=') {
            self.0 = before;
            return Ok(None);
        }
        self.take(1);
        self.skip(" \t");
        let value = if self.0.starts_with('"') {
            self.quoted()?
        } else {
            let value = self.token();
            value
                .ok_or_else(|| format!("`{name}` has no value"))?
                .to_owned()
        };
        Ok(Some((name.to_ascii_lowercase(), value)))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.0.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.take(at + 1);
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c if c == '\t' || !c.is_control() => text.push(c),
                _ => return Err("a quoted string contains a control character".to_owned()),
            }
        }
        Err("a quoted string does not end".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<&str>) {
        let found = challenges(value).ok().map(|found| {
            let found = found.iter().map(|challenge| {
                let parameters = challenge.parameters.iter();
                let parameters = parameters.map(|(name, value)| format!(" {name}={value}"));
                format!("{}{}", challenge.scheme, parameters.collect::<String>())
            });
            found.collect::<Vec<_>>().join(" / ")
        });
        assert_eq!(found.as_deref(), expected, "{value}");
    }

    #[test]
    fn challenges_are_read_by_the_grammar() {
        check("Cookie", Some("Cookie"));
        check("Cookie realm=\"login\"", Some("Cookie realm=login"));
        check("Basic realm=a, Bearer", Some("Basic realm=a / Bearer"));
        check(
            "Negotiate, Basic realm=\"a\"",
            Some("Negotiate / Basic realm=a"),
        );
        check(
            "NTLM TlRM==, X a = b ,c=\"d,\\\"e\"",
            Some("NTLM =TlRM== / X a=b c=d,\"e"),
        );
        check(" , Cookie realm=x,", Some("Cookie realm=x"));
    }

    #[test]
    fn what_breaks_the_grammar_is_no_challenge() {
        for value in ["", " ,", "=x", "Cookie realm=\"login", "\"Cookie\""] {
            check(value, None);
        }
        for value in [
            "A b=c d=e",
            "A b=c, b=d",
            "A b=\"\u{7}\"",
            "A, =x",
            "A b=c;d",
            "A (x)",
        ] {
            check(value, None);
        }
    }
}
