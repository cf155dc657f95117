//! The text of an expression, for reports that are compared with reviewed ones.
//!
//! `TokenStream::to_string` puts spaces where the compiler's version likes them. This text only depends on
//! the tokens. It is for readers: it need not be parsed again.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Words after which an operator has no left side, and a group is not a call.
const KEYWORDS: &[&str] = &[
    "as", "else", "for", "if", "in", "let", "loop", "match", "move", "mut", "ref", "return",
    "while",
];

/// Operators without spaces around them.
const TIGHT: &[&str] = &[".", "..", "..=", "::", "?", "'"];

/// The text of these tokens, on one line.
pub(crate) fn text(tokens: TokenStream) -> String {
    let mut text = Text::default();
    text.push_all(tokens);
    text.out
}

/// What stands before the next token.
#[derive(Clone, Copy, Default, PartialEq)]
enum Before {
    /// The start of the text or of a group, or an operator that needs no space after it.
    #[default]
    Nothing,
    /// A name, a literal or a group: an operator has a left side.
    Operand,
    Keyword,
    /// An operator or a separator after which a space comes.
    Spaced,
}

#[derive(Default)]
struct Text {
    out: String,
    before: Before,
    /// Whether the parameters of a closure are being written.
    in_closure: bool,
}

impl Text {
    fn push_all(&mut self, tokens: TokenStream) {
        let mut operator = String::new();
        for token in tokens {
            match token {
                TokenTree::Punct(punct) => {
                    let is_first = operator.is_empty();
                    // `|_| !x` and `a.b == &c`: a prefix is an operator of its own.
                    if !is_first && !is_operator(&operator, punct.as_char()) {
                        self.operator(&std::mem::take(&mut operator));
                    }
                    operator.push(punct.as_char());
                    if punct.spacing() == Spacing::Alone {
                        self.operator(&std::mem::take(&mut operator));
                    }
                }
                other => {
                    if !operator.is_empty() {
                        self.operator(&std::mem::take(&mut operator));
                    }
                    self.token(other);
                }
            }
        }
        if !operator.is_empty() {
            self.operator(&operator);
        }
    }

    fn token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                self.word(&word);
                if KEYWORDS.contains(&&*word) {
                    self.before = Before::Keyword;
                }
            }
            TokenTree::Literal(literal) => self.word(&literal.to_string()),
            TokenTree::Group(group) => self.group(group.delimiter(), group.stream()),
            // Collected by the caller.
            TokenTree::Punct(_) => {}
        }
    }

    fn word(&mut self, word: &str) {
        if self.before != Before::Nothing {
            self.space();
        }
        self.out.push_str(word);
        self.before = Before::Operand;
    }

    fn group(&mut self, delimiter: Delimiter, tokens: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{ ", " }"),
            Delimiter::None => ("", ""),
        };
        // A call and an index follow what they belong to.
        let follows = self.before == Before::Operand && delimiter != Delimiter::Brace;
        if self.before != Before::Nothing && !follows && delimiter != Delimiter::None {
            self.space();
        }
        self.out.push_str(open);
        let mut inner = Self::default();
        inner.push_all(tokens);
        self.out.push_str(&inner.out);
        self.out.push_str(close);
        self.before = Before::Operand;
    }

    fn operator(&mut self, operator: &str) {
        let has_left = self.before == Before::Operand;
        match operator {
            "," | ";" | ":" => {
                self.out.push_str(operator);
                self.before = Before::Spaced;
            }
            _ if TIGHT.contains(&operator) => {
                if matches!(self.before, Before::Keyword | Before::Spaced) {
                    self.space();
                }
                self.out.push_str(operator);
                // `a? && b`: what follows `?` is not part of it.
                self.before = match operator {
                    "?" => Before::Operand,
                    _ => Before::Nothing,
                };
            }
            "|" if self.in_closure => {
                self.out.push('|');
                self.in_closure = false;
                self.before = Before::Spaced;
            }
            "||" if !has_left => {
                self.prefix(operator);
                self.before = Before::Spaced;
            }
            "|" if !has_left => {
                self.prefix(operator);
                self.in_closure = true;
            }
            "!" if has_left => {
                // A macro.
                self.out.push('!');
            }
            _ if has_left => {
                self.space();
                self.out.push_str(operator);
                self.before = Before::Spaced;
            }
            _ => self.prefix(operator),
        }
    }

    fn prefix(&mut self, operator: &str) {
        if self.before != Before::Nothing {
            self.space();
        }
        self.out.push_str(operator);
        self.before = Before::Nothing;
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
    }
}

/// Whether these characters together are one operator.
fn is_operator(start: &str, next: char) -> bool {
    const LONG: &[&str] = &[
        "&&", "||", "==", "!=", "<=", ">=", "=>", "->", "::", "..", "..=", "<<", ">>", "+=", "-=",
    ];
    LONG.iter().any(|operator| {
        operator
            .strip_prefix(start)
            .is_some_and(|rest| rest.starts_with(next))
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let tokens = TokenStream::from_str(source).unwrap();
        assert_eq!(text(tokens), expected);
        // Spaces and line breaks do not matter.
        let spaced = source.replace(' ', "  \n");
        assert_eq!(text(TokenStream::from_str(&spaced).unwrap()), expected);
    }

    #[test]
    fn an_expression_reads_as_it_is_written() {
        for source in [
            "is_owner",
            "crate::rules::is_owner",
            "|user: &User| !user.is_trainee",
            "|user: &User, request: &HttpRequest| user.id == 7 && request.path() != \"/x\"",
            "|m| m.is_staff() || m.has(LOCKED)",
            "|u: &User| matches!(u.role, Role::Admin | Role::Editor)",
            "|u: &User| u.age >= 18 && -1 < u.x - 2",
            "|u: &User| { let a = *u; if !a.b { return false; } a[0] }",
            "|_: &User| true",
            "move |u: &User| u.tags.iter().any(|tag| tag == &x)",
            "|u: &User| u.level()? > 0..=9",
            "|u: &'static str| [1, 2].contains(&u.len())",
        ] {
            check(source, source);
        }
    }

    #[test]
    fn another_expression_has_another_text() {
        let texts = [
            "|u: &User| u.a",
            "|u: &User| !u.a",
            "|u: &User| u.b",
            "|u: &User| u.a && u.b",
            "|u: &User| u.a & u.b",
            "|u: &User| u.a == b",
            "|u: &User| u.a != b",
            "|u: &Admin| u.a",
            "|v: &User| v.a",
        ];
        let texts = texts.map(|source| text(TokenStream::from_str(source).unwrap()));
        for (index, text) in texts.iter().enumerate() {
            assert!(!texts[index + 1..].contains(text), "{text}");
        }
    }
}
