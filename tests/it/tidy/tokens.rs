//! The tokens of a Rust file, in the form in which `imports.rs` reads them.

use proc_macro2::{Delimiter, LineColumn, Spacing, TokenStream, TokenTree};

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// An identifier or a keyword. `$crate` is read as `crate`.
    Word(String),
    /// A string, a number or another literal, as it is written.
    Literal(String),
    /// `::`
    PathSep,
    /// Any other punctuation, character by character.
    Sign(char),
    /// What stands in brackets, braces or parentheses.
    Group(Delimiter, Vec<Token>),
    /// What stands between the brackets of `#[..]` or `#![..]`.
    Attribute(Vec<Token>),
    /// An item, a field, a match arm or a statement under `#[cfg(test)]`.
    TestOnly(Vec<Token>),
}

impl Token {
    /// The identifier or keyword that this token is.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        matches!(self.kind, Kind::Sign(own) if own == sign)
    }

    pub(super) fn is_path_sep(&self) -> bool {
        matches!(self.kind, Kind::PathSep)
    }

    /// What stands between the delimiters, if this token is such a group.
    pub(super) fn group(&self, delimiter: Delimiter) -> Option<&[Token]> {
        match &self.kind {
            Kind::Group(own, inner) if *own == delimiter => Some(inner),
            _ => None,
        }
    }

    /// The tokens inside a group, an attribute or a part that is compiled for tests only.
    pub(super) fn inner(&self) -> &[Token] {
        match &self.kind {
            Kind::Group(_, inner) | Kind::Attribute(inner) | Kind::TestOnly(inner) => inner,
            _ => &[],
        }
    }
}

/// Reads the tokens of a file.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let stream: TokenStream = source.parse().map_err(|error| format!("{error}"))?;
    Ok(set_tests_apart(convert(stream)))
}

fn convert(stream: TokenStream) -> Vec<Token> {
    let trees: Vec<_> = stream.into_iter().collect();
    let mut tokens = Vec::with_capacity(trees.len());
    let mut rest = &trees[..];
    while let [first, after @ ..] = rest {
        let LineColumn { line, .. } = first.span().start();
        let (kind, taken) = match first {
            TokenTree::Punct(sign) => match (sign.as_char(), after) {
                (':', [TokenTree::Punct(next), ..])
                    if sign.spacing() == Spacing::Joint && next.as_char() == ':' =>
                {
                    (Kind::PathSep, 2)
                }
                ('$', [TokenTree::Ident(word), ..]) if word == "crate" => {
                    (Kind::Word("crate".to_owned()), 2)
                }
                ('#', [TokenTree::Group(group), ..]) if group.delimiter() == Delimiter::Bracket => {
                    (Kind::Attribute(convert(group.stream())), 2)
                }
                ('#', [TokenTree::Punct(not), TokenTree::Group(group), ..])
                    if not.as_char() == '!' && group.delimiter() == Delimiter::Bracket =>
                {
                    (Kind::Attribute(convert(group.stream())), 3)
                }
                (sign, _) => (Kind::Sign(sign), 1),
            },
            TokenTree::Ident(word) => (Kind::Word(word.to_string()), 1),
            TokenTree::Literal(literal) => (Kind::Literal(literal.to_string()), 1),
            TokenTree::Group(group) => (Kind::Group(group.delimiter(), convert(group.stream())), 1),
        };
        tokens.push(Token { line, kind });
        rest = &rest[taken..];
    }
    tokens
}

/// Wraps everything under `#[cfg(test)]` in [`Kind::TestOnly`], at any depth.
fn set_tests_apart(tokens: Vec<Token>) -> Vec<Token> {
    let mut done = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let line = token.line;
        match token.kind {
            Kind::Attribute(_) => {
                let mut attributes = vec![token];
                while let Some(more) =
                    tokens.next_if(|token| matches!(token.kind, Kind::Attribute(_)))
                {
                    attributes.push(more);
                }
                if attributes.iter().any(is_cfg_test) {
                    let length = {
                        let rest: Vec<_> = tokens.clone().collect();
                        length_of_part(&rest)
                    };
                    attributes.extend(tokens.by_ref().take(length));
                    let kind = Kind::TestOnly(attributes);
                    done.push(Token { line, kind });
                } else {
                    done.extend(attributes);
                }
            }
            Kind::Group(delimiter, inner) => {
                let kind = Kind::Group(delimiter, set_tests_apart(inner));
                done.push(Token { line, kind });
            }
            kind => done.push(Token { line, kind }),
        }
    }
    done
}

/// Whether this is `#[cfg(..)]` with a condition that holds in tests only.
fn is_cfg_test(attribute: &Token) -> bool {
    /// Splits `a, b(c), d = "e"` at its commas.
    fn conditions(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
        tokens
            .split(|token| token.is_sign(','))
            .filter(|condition| !condition.is_empty())
    }
    fn needs_test(condition: &[Token]) -> bool {
        match condition {
            [word] => word.is_word("test"),
            [word, group] if word.is_word("all") => conditions(group.inner()).any(needs_test),
            [word, group] if word.is_word("any") => conditions(group.inner()).all(needs_test),
            _ => false,
        }
    }
    match attribute.inner() {
        [word, group] if word.is_word("cfg") => needs_test(group.inner()),
        _ => false,
    }
}

/// How many tokens the item, field, arm or statement has that begins here.
fn length_of_part(tokens: &[Token]) -> usize {
    let mut start = 0;
    if tokens.first().is_some_and(|token| token.is_word("pub")) {
        start = 1;
        if tokens
            .get(1)
            .is_some_and(|token| token.group(Delimiter::Parenthesis).is_some())
        {
            start = 2;
        }
    }
    let word = |index: usize| tokens.get(index).and_then(Token::word).unwrap_or_default();
    let is_function = || matches!(word(start + 1), "fn" | "unsafe" | "async" | "extern");
    let (at_comma, at_brace) = match word(start) {
        "use" | "static" | "type" | "let" => (false, false),
        "const" => (false, is_function()),
        "fn" | "mod" | "struct" | "enum" | "union" | "trait" | "impl" | "unsafe" | "async"
        | "extern" | "macro_rules" => (false, true),
        _ => (true, true),
    };
    let is_end = |token: &Token| {
        token.is_sign(';')
            || at_comma && token.is_sign(',')
            || at_brace && token.group(Delimiter::Brace).is_some()
    };
    tokens
        .iter()
        .position(is_end)
        .map_or(tokens.len(), |end| end + 1)
}
