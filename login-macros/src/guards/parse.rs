//! Fills the model and reports wrong options.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{
    Path, Token,
    parse::{ParseStream, Parser as _},
};

use super::model::{Freshness, Guard, LAST, Options};
use crate::{
    conditions::{self, Condition, Permission},
    errors::Errors,
    guard_kind::GuardKind,
    handler::Handler,
    options::{Reader, Table, lookup},
};

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Condition(conditions::Key),
    User,
    Fresh,
    MaxAge,
    ExemptOptions,
    Passive,
    Crate,
    Last,
}

/// The options of a guard: the given ones, and those that all guards share.
macro_rules! table {
    ($(($name:expr, $key:expr)),* $(,)?) => {
        &[
            $(($name, $key),)*
            ("role", Key::Condition(conditions::Key::Role)),
            ("permission", Key::Condition(conditions::Key::Permission)),
            ("check", Key::Condition(conditions::Key::Check)),
            ("any", Key::Condition(conditions::Key::Any)),
            ("all", Key::Condition(conditions::Key::All)),
            ("not", Key::Condition(conditions::Key::Not)),
            ("exempt_options", Key::ExemptOptions),
            ("passive", Key::Passive),
            ("crate", Key::Crate),
            (LAST, Key::Last),
        ]
    };
}

fn option_table(kind: GuardKind) -> Table<Key> {
    match kind {
        GuardKind::LoginRequired | GuardKind::PermissionRequired => {
            table![("user", Key::User), ("fresh", Key::Fresh)]
        }
        GuardKind::FreshLoginRequired => table![("user", Key::User), ("max_age", Key::MaxAge)],
    }
}

impl<'a> Guard<'a> {
    pub(super) fn parse(
        kind: GuardKind,
        tokens: &'a TokenStream,
        item: &TokenStream,
        errors: &mut Errors,
    ) -> syn::Result<Self> {
        let options = Options::parse(kind, tokens, errors);
        let handler = Handler::parse(kind.name(), item.clone())?;
        Ok(Self {
            kind,
            tokens,
            options,
            handler,
        })
    }
}

impl Options {
    fn parse(kind: GuardKind, tokens: &TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        if kind == GuardKind::FreshLoginRequired {
            options.fresh = Freshness::ByManager;
        }
        let mut tokens = tokens.clone();
        let mut conditions = Vec::new();
        if kind == GuardKind::PermissionRequired {
            let (permission, rest) = take_permission(tokens, errors);
            conditions.extend(permission);
            tokens = rest;
        }
        let mut seen = Vec::new();
        let mut reader = Reader::new(option_table(kind), |_| None)
            .repeating(|key| matches!(key, Key::Condition(_)));
        for (key, opt) in reader.read(tokens, errors) {
            match key {
                Key::Condition(key @ (conditions::Key::Role | conditions::Key::Permission))
                    if seen.contains(&key) =>
                {
                    errors.condition_given_twice(&opt.name);
                }
                Key::Condition(key) => {
                    seen.push(key);
                    let condition = Condition::parse(key, &opt, errors);
                    conditions.extend(condition);
                }
                Key::User => options.user = opt.value("user = Admin", errors),
                Key::Fresh if !opt.has_value() => options.fresh = Freshness::ByManager,
                Key::Fresh | Key::MaxAge => {
                    if let Some(seconds) = opt.seconds(errors) {
                        options.fresh = Freshness::Seconds(seconds);
                    }
                }
                Key::ExemptOptions => {
                    opt.flag(errors);
                    options.exempt_options = true;
                }
                Key::Passive => {
                    opt.flag(errors);
                    options.passive = true;
                }
                Key::Crate => {
                    options.root = opt.root(errors);
                }
                Key::Last => options.is_last = true,
            }
        }
        options.condition = Condition::all(conditions);
        options
    }
}

/// Takes the permission off the front of the options, where it stands without `permission =`.
fn take_permission(tokens: TokenStream, errors: &mut Errors) -> (Option<Condition>, TokenStream) {
    let first = tokens.clone().into_iter().next();
    let at = first.as_ref().map_or_else(Span::call_site, TokenTree::span);
    let table = option_table(GuardKind::PermissionRequired);
    let is_option = |word: &Ident| lookup(table, &word.to_string()).is_some();
    let parser = |input: ParseStream<'_>| {
        let mut mark = TokenStream::new();
        // The mark of a moved attribute comes before it.
        let ahead = input.fork();
        if ahead.parse::<Ident>().is_ok_and(|word| word == LAST) {
            let (word, comma): (Ident, Token![,]) = (input.parse()?, input.parse()?);
            mark = quote!(#word #comma);
        }
        let path: Path = input.parse()?;
        if path.get_ident().is_some_and(is_option) {
            return Err(input.error(""));
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        let rest: TokenStream = input.parse()?;
        Ok((path, quote!(#mark #rest)))
    };
    match parser.parse2(tokens.clone()) {
        Ok((path, rest)) => {
            let permission = Permission::parse(path, errors);
            (permission.map(Condition::Permission), rest)
        }
        Err(_) => {
            errors.no_permission(at);
            // Tokens that start like an option are read as options.
            let rest = matches!(first, Some(TokenTree::Ident(_))).then_some(tokens);
            (None, rest.unwrap_or_default())
        }
    }
}
