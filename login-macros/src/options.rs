//! `name` and `name = value` options, shared by all macros.

use proc_macro2::{Delimiter, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{
    Expr, LitStr, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream, Parser as _},
};

use crate::{errors::Errors, paths::Root};

/// The options of one attribute. The parser and the messages read the same table.
///
/// Names that start with `__` are written by generated code only. Messages do not list them.
pub(crate) type Table<K> = &'static [(&'static str, K)];

/// The option called `name`.
pub(crate) fn lookup<K: Copy>(table: Table<K>, name: &str) -> Option<K> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, key)| *key)
}

/// The names that messages list.
pub(crate) fn names<K>(table: Table<K>) -> Vec<&'static str> {
    table
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.starts_with("__"))
        .collect()
}

/// Reads the options of one item or field, which may have several attributes.
pub(crate) struct Reader<K: 'static> {
    table: Table<K>,
    /// Says where an option goes that belongs in another place.
    elsewhere: fn(&str) -> Option<&'static str>,
    /// Which options may be given more than once.
    repeats: fn(K) -> bool,
    seen: Vec<K>,
}

impl<K: Copy + PartialEq> Reader<K> {
    pub(crate) fn new(table: Table<K>, elsewhere: fn(&str) -> Option<&'static str>) -> Self {
        Self {
            table,
            elsewhere,
            repeats: |_| false,
            seen: Vec::new(),
        }
    }

    /// Allows some options more than once.
    pub(crate) fn repeating(mut self, repeats: fn(K) -> bool) -> Self {
        self.repeats = repeats;
        self
    }

    /// The known options in `tokens`. Reports those that are unknown or given twice.
    pub(crate) fn read(&mut self, tokens: TokenStream, errors: &mut Errors) -> Vec<(K, Opt)> {
        let mut known = Vec::new();
        // The list is split first, so a mistake in one option does not spoil the next.
        for (tokens, end) in split_at_commas(tokens) {
            let opt = match Opt::parse(tokens, end) {
                Ok(opt) => opt,
                Err(span) => {
                    errors.not_an_option(span, &names(self.table));
                    continue;
                }
            };
            let name = opt.name.unraw().to_string();
            match lookup(self.table, &name) {
                Some(key) if self.seen.contains(&key) && !(self.repeats)(key) => {
                    errors.option_given_twice(&opt.name)
                }
                Some(key) => {
                    self.seen.push(key);
                    known.push((key, opt));
                }
                None => match (self.elsewhere)(&name) {
                    Some(place) => errors.misplaced_option(&opt.name, place),
                    None => errors.unknown_option(&opt.name, &names(self.table)),
                },
            }
        }
        known
    }
}

/// One option as it was written.
pub(crate) struct Opt {
    pub(crate) name: Ident,
    value: Value,
}

enum Value {
    Absent,
    /// The tokens after the `=`.
    Given(TokenStream),
    /// The tokens in the parentheses.
    List(TokenStream),
    /// Something other than `= value`.
    Malformed,
}

impl Opt {
    /// Reads the tokens before `end`. Fails with the span of what is in the place of a name.
    fn parse(tokens: TokenStream, end: Span) -> Result<Self, Span> {
        let mut tokens = tokens.into_iter();
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            Some(other) => return Err(other.span()),
            None => return Err(end),
        };
        let value = match tokens.next() {
            None => Value::Absent,
            Some(TokenTree::Punct(punct)) if punct.as_char() == '=' => {
                Value::Given(tokens.collect())
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => return Err(name.span()),
            Some(TokenTree::Group(group))
                if group.delimiter() == Delimiter::Parenthesis && tokens.next().is_none() =>
            {
                Value::List(group.stream())
            }
            Some(_) => Value::Malformed,
        };
        Ok(Self { name, value })
    }

    pub(crate) fn has_value(&self) -> bool {
        !matches!(self.value, Value::Absent)
    }

    /// Reads an option that takes no value.
    pub(crate) fn flag(&self, errors: &mut Errors) {
        if self.has_value() {
            errors.takes_no_value(&self.name);
        }
    }

    /// Reads the value of an option that needs one; `example` shows both, such as `user = Admin`.
    pub(crate) fn value<T: Parse>(&self, example: &str, errors: &mut Errors) -> Option<T> {
        let tokens = match &self.value {
            Value::Given(tokens) if !tokens.is_empty() => tokens,
            _ => {
                errors.needs_a_value(self.name.span(), &self.name, example);
                return None;
            }
        };
        let value = syn::parse2(tokens.clone());
        if value.is_err() {
            let at = first_span(tokens).unwrap_or_else(|| self.name.span());
            errors.needs_a_value(at, &self.name, example);
        }
        value.ok()
    }

    /// Reads the value of `crate`, which says where generated code finds `login_runtime`.
    pub(crate) fn root(&self, errors: &mut Errors) -> Root {
        self.value("crate = ::my_app::login_runtime", errors)
            .map_or_else(Root::default, Root::at)
    }

    /// Reads the options in the parentheses of an option that needs some.
    pub(crate) fn list(&self, errors: &mut Errors) -> Option<TokenStream> {
        match &self.value {
            Value::List(tokens) if !tokens.is_empty() => Some(tokens.clone()),
            _ => {
                errors.needs_conditions(&self.name);
                None
            }
        }
    }

    /// Reads a duration such as `"10m"`, in seconds.
    pub(crate) fn seconds(&self, errors: &mut Errors) -> Option<u64> {
        let example = format!("{} = \"10m\"", self.name);
        let text: LitStr = self.value(&example, errors)?;
        let seconds = parse_seconds(&text.value());
        if seconds.is_none() {
            errors.not_a_duration(&text);
        }
        seconds
    }
}

/// A whole number and one of the units `s`, `m`, `h`, `d`.
fn parse_seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    // `u64::from_str` would accept a leading `+`.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    // Times are signed seconds, so a longer duration could not be compared with one.
    i64::try_from(seconds).is_ok().then_some(seconds)
}

/// Splits at the commas outside of `<..>`. Parentheses and brackets are single tokens here. Each part comes
/// with the span of the comma that ends it.
fn split_at_commas(tokens: TokenStream) -> Vec<(TokenStream, Span)> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut depth = 0_usize;
    let mut arrow = false;
    let mut tokens = tokens.into_iter();
    loop {
        // In the expression of a `check`, commas and angle brackets have other meanings.
        if part.is_empty()
            && let Some((option, rest)) = take_check(&tokens.clone().collect())
        {
            part.extend(option);
            tokens = rest.into_iter();
        }
        let Some(token) = tokens.next() else {
            break;
        };
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                ',' if depth == 0 => {
                    arrow = false;
                    parts.push((part.drain(..).collect(), punct.span()));
                    continue;
                }
                '<' => depth += 1,
                // The `>` of `->` does not close a `<`.
                '>' if !arrow => depth = depth.saturating_sub(1),
                _ => {}
            }
            arrow = punct.as_char() == '-' && punct.spacing() == Spacing::Joint;
        } else {
            arrow = false;
        }
        part.push(token);
    }
    if !part.is_empty() {
        parts.push((part.into_iter().collect(), Span::call_site()));
    }
    parts
}

/// Takes `check = expression` off the front, and returns the rest too.
fn take_check(tokens: &TokenStream) -> Option<(TokenStream, TokenStream)> {
    let parser = |input: ParseStream<'_>| -> syn::Result<_> {
        let name: Ident = input.parse()?;
        if name != "check" {
            return Err(input.error(""));
        }
        let equals: Token![=] = input.parse()?;
        let expr: Expr = input.parse()?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error(""));
        }
        Ok((quote!(#name #equals #expr), input.parse()?))
    };
    parser.parse2(tokens.clone()).ok()
}

fn first_span(tokens: &TokenStream) -> Option<Span> {
    tokens.clone().into_iter().next().map(|token| token.span())
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::Type;

    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Key {
        User,
        Fresh,
        Hidden,
    }

    const TABLE: Table<Key> = &[
        ("user", Key::User),
        ("fresh", Key::Fresh),
        ("__hidden", Key::Hidden),
    ];

    fn read(tokens: TokenStream) -> (Vec<Key>, Vec<String>) {
        let mut errors = Errors::default();
        let elsewhere = |name: &str| (name == "id").then_some("a field");
        let options = Reader::new(TABLE, elsewhere).read(tokens, &mut errors);
        let keys = options.iter().map(|(key, _)| *key).collect();
        (keys, errors.messages())
    }

    #[track_caller]
    fn check(tokens: TokenStream, keys: &[Key], messages: &[&str]) {
        assert_eq!(
            read(tokens),
            (
                keys.to_vec(),
                messages.iter().map(ToString::to_string).collect()
            )
        );
    }

    #[test]
    fn every_option_is_read_once() {
        check(quote!(), &[], &[]);
        check(quote!(user = A, fresh), &[Key::User, Key::Fresh], &[]);
        check(quote!(fresh, __hidden,), &[Key::Fresh, Key::Hidden], &[]);
        check(
            quote!(user = A, user = B, fresh),
            &[Key::User, Key::Fresh],
            &["`user` is given twice; keep one"],
        );
    }

    #[test]
    fn a_comma_in_a_type_does_not_end_the_option() {
        check(
            quote!(user = Either<A, fn(u8) -> B, C>, fresh),
            &[Key::User, Key::Fresh],
            &[],
        );
    }

    #[test]
    fn after_a_wrong_option_the_next_is_read() {
        check(
            quote!(usr = A<B, C>, role("a", "b"), fresh),
            &[Key::Fresh],
            &[
                "unknown option `usr`, expected `user` or `fresh`",
                "unknown option `role`, expected `user` or `fresh`",
            ],
        );
        check(
            quote!("fresh", , a::b, user = A),
            &[Key::User],
            &[
                "expected an option: `user` or `fresh`",
                "expected an option: `user` or `fresh`",
                "expected an option: `user` or `fresh`",
            ],
        );
    }

    #[test]
    fn an_option_of_another_place_says_where_it_goes() {
        check(quote!(id), &[], &["`id` goes on a field"]);
    }

    #[test]
    fn a_value_is_asked_for_and_refused() {
        let mut errors = Errors::default();
        for tokens in [
            quote!(user),
            quote!(user =),
            quote!(user("A")),
            quote!(user = 1),
        ] {
            for (_, opt) in Reader::new(TABLE, |_| None).read(tokens, &mut errors) {
                assert!(opt.value::<Type>("user = Admin", &mut errors).is_none());
            }
        }
        assert_eq!(
            errors.messages(),
            ["`user` needs a value, such as `user = Admin`"; 4]
        );

        let mut errors = Errors::default();
        for tokens in [quote!(fresh = "1m"), quote!(fresh())] {
            for (_, opt) in Reader::new(TABLE, |_| None).read(tokens, &mut errors) {
                opt.flag(&mut errors);
            }
        }
        assert_eq!(errors.messages(), ["`fresh` takes no value"; 2]);
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("10m", 600),
            ("1h", 3_600),
            ("30d", 2_592_000),
            ("9223372036854775807s", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse_seconds(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "s",
            "10",
            "10 m",
            "+1m",
            "-1m",
            "1.5h",
            "1w",
            "10M",
            "1h30m",
            "10é",
            "é",
            "9223372036854775808s",
            "18446744073709551615d",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }
}
