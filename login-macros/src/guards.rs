//! `#[login_required]` and `#[fresh_login_required]`.
//!
//! The handler is rewritten in place: its arguments become one extractor, which asks the policy
//! first and extracts the arguments afterwards.
//!
//! ```text
//! async fn show(Guarded { args: (id, mut body), .. }: Guarded<Policy, (Path<u32>, Json<Page>)>) -> ..
//! ```
//!
//! Taking the arguments apart in the parameter, and not in a first line of the body, keeps them
//! alive until the last temporary of the body is gone. Before edition 2024 a local would not do:
//! `data.lock().unwrap().len()` as the last expression would stop compiling.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Abi, Attribute, Error, FnArg, GenericArgument, Meta, Pat, PatType, Path, PathArguments,
    PathSegment, ReturnType, Safety, Signature, Token, Type, Visibility, braced,
    ext::IdentExt as _,
    parse::{ParseStream, Parser as _},
    parse_quote,
    spanned::Spanned as _,
    token::Brace,
};

use crate::{
    conditions::{self, Condition, Names, Permission},
    errors::Errors,
    options::{Reader, Table, lookup},
    paths::Root,
    routes,
    spans::locate,
};

/// `actix_web::Handler` is implemented for functions with up to so many arguments.
const MAX_ARGUMENTS: usize = 16;

pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let guard = match Guard::parse(kind, &options, &item, &mut errors) {
        Ok(guard) => guard,
        Err(error) => return expand_fallback(&errors.finish_with(error), &item),
    };
    if errors.is_empty()
        && let Some(later) = guard.expand_later()
    {
        return later;
    }
    guard.check(&mut errors);
    match errors.finish() {
        Ok(()) => guard.expand(),
        Err(error) => {
            let mut tokens = expand_fallback(&error, &item);
            tokens.extend(guard.declaration());
            tokens
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
#[allow(clippy::enum_variant_names, reason = "the attributes are called so")]
pub(crate) enum Kind {
    LoginRequired,
    FreshLoginRequired,
    PermissionRequired,
}

/// What can be asked of the user, in a guard's table of options.
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

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::FreshLoginRequired => "fresh_login_required",
            Self::PermissionRequired => "permission_required",
        }
    }

    fn table(self) -> Table<Key> {
        match self {
            Self::LoginRequired | Self::PermissionRequired => {
                table![("user", Key::User), ("fresh", Key::Fresh)]
            }
            Self::FreshLoginRequired => table![("user", Key::User), ("max_age", Key::MaxAge)],
        }
    }

    /// Where the guard stands among several on one handler: who expands last is asked first. A login
    /// is asked for before a permission, and a fresh one last.
    fn rank(self) -> u8 {
        match self {
            Self::FreshLoginRequired => 0,
            Self::PermissionRequired => 1,
            Self::LoginRequired => 2,
        }
    }

    /// The guard that an attribute is.
    fn of(attr: &Attribute) -> Option<Self> {
        [
            Self::LoginRequired,
            Self::FreshLoginRequired,
            Self::PermissionRequired,
        ]
        .into_iter()
        .find(|kind| last_is(attr.path(), kind.name()))
    }
}

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

/// Written by us into an attribute that already made way for the others. It is what makes the
/// making way end: attributes above and below look the same from here.
const LAST: &str = "__last";

struct Guard<'a> {
    kind: Kind,
    tokens: &'a TokenStream,
    options: Options,
    handler: Handler,
}

#[derive(Default)]
struct Options {
    root: Root,
    user: Option<Type>,
    fresh: Freshness,
    condition: Option<Condition>,
    exempt_options: bool,
    passive: bool,
    last: bool,
}

#[derive(Default)]
enum Freshness {
    #[default]
    NotAsked,
    /// As fresh as the login manager says.
    OfManager,
    Seconds(u64),
}

/// A function whose body is not looked at: what we do not read, we cannot break.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) attrs: Vec<Attribute>,
    vis: Visibility,
    pub(crate) sig: Signature,
    brace: Brace,
    /// The `#![..]` at the start of the body.
    inner_attrs: Vec<Attribute>,
    body: TokenStream,
}

impl<'a> Guard<'a> {
    fn parse(
        kind: Kind,
        tokens: &'a TokenStream,
        item: &TokenStream,
        errors: &mut Errors,
    ) -> syn::Result<Self> {
        let options = Options::parse(kind, tokens, errors);
        let parser = |input: ParseStream<'_>| Handler::parse(kind.name(), input);
        let handler = parser.parse2(item.clone())?;
        Ok(Self {
            kind,
            tokens,
            options,
            handler,
        })
    }
}

impl Options {
    fn parse(kind: Kind, tokens: &TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        if kind == Kind::FreshLoginRequired {
            options.fresh = Freshness::OfManager;
        }
        let mut tokens = tokens.clone();
        let mut conditions = Vec::new();
        if kind == Kind::PermissionRequired {
            let (permission, rest) = take_permission(tokens, errors);
            conditions.extend(permission);
            tokens = rest;
        }
        let mut seen = Vec::new();
        let mut reader =
            Reader::new(kind.table(), |_| None).repeating(|key| matches!(key, Key::Condition(_)));
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
                Key::Fresh if !opt.has_value() => options.fresh = Freshness::OfManager,
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
                    let path: Option<Path> = opt.value("crate = ::my_app::login_runtime", errors);
                    options.root = path.map_or_else(Root::default, Root::at);
                }
                Key::Last => options.last = true,
            }
        }
        options.condition = Condition::all(conditions);
        options
    }
}

impl Handler {
    pub(crate) fn parse(attribute: &str, input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !starts_function(input) {
            let (span, item) = kind_of_item(input.parse()?);
            return Err(Errors::not_a_function(span, attribute, item));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(Errors::no_body(attribute, &sig.ident));
        }
        let content;
        Ok(Self {
            attrs,
            vis,
            sig,
            brace: braced!(content in input),
            inner_attrs: content.call(Attribute::parse_inner)?,
            body: content.parse()?,
        })
    }

    /// The arguments without a `self`, which is an error of its own.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &PatType> {
        self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(argument) => Some(argument),
            FnArg::Receiver(_) => None,
        })
    }
}

impl ToTokens for Handler {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs, vis, sig, ..
        } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig));
        self.brace.surround(tokens, |tokens| {
            let Self {
                inner_attrs, body, ..
            } = self;
            tokens.extend(quote!(#(#inner_attrs)* #body));
        });
    }
}

impl Guard<'_> {
    fn check(&self, errors: &mut Errors) {
        self.check_conditions(errors);
        self.check_modifiers(errors);
        self.check_future(errors);
        self.check_arguments(errors);
    }

    // A condition of the application's own is about a user whose type is known.
    fn check_conditions(&self, errors: &mut Errors) {
        if let (None, Some(condition)) = (self.user(), &self.options.condition) {
            condition.check_user(errors);
        }
    }

    // actix-web calls handlers as plain functions.
    fn check_modifiers(&self, errors: &mut Errors) {
        let sig = &self.handler.sig;
        if let Some(token) = &sig.constness {
            errors.modifier(token);
        }
        if let Safety::Unsafe(token) = &sig.safety {
            errors.modifier(token);
        }
        if let Some(abi) = &sig.abi {
            errors.foreign_abi(abi);
        }
        if let Some(variadic) = &sig.variadic {
            errors.variadic(variadic.dots);
        }
    }

    // A handler makes a future of a response.
    fn check_future(&self, errors: &mut Errors) {
        let sig = &self.handler.sig;
        let output = match &sig.output {
            ReturnType::Type(_, ty) => Some(ty),
            ReturnType::Default => None,
        };
        if sig.asyncness.is_none() && !output.is_some_and(|ty| is_future(ty)) {
            errors.not_async(sig.fn_token, &sig.ident);
        }
        if output.is_none() {
            errors.returns_nothing(&sig.ident);
        }
    }

    // Arguments are extracted from the request, one by one.
    fn check_arguments(&self, errors: &mut Errors) {
        if let Some(receiver) = self.handler.sig.receiver() {
            errors.method(receiver);
        }
        if let Some(argument) = self.handler.arguments().nth(MAX_ARGUMENTS) {
            errors.too_many_arguments(argument, MAX_ARGUMENTS);
        }
        for argument in self.handler.arguments() {
            for attr in &argument.attrs {
                if attr.path().is_ident("cfg_attr") {
                    errors.cfg_attr_on_argument(attr.path());
                }
            }
            if let Some(name) = optional_user(&argument.ty) {
                errors.optional_user(&argument.ty, &name);
            }
        }
    }
}

/// What has to happen before the signature is final.
impl Guard<'_> {
    fn expand_later(&self) -> Option<TokenStream> {
        self.make_way().or_else(|| self.decide_cfg())
    }

    /// Moves this attribute behind all others, so that they see the signature as it was written.
    fn make_way(&self) -> Option<TokenStream> {
        let attrs = &self.handler.attrs;
        if self.options.last || !attrs.iter().any(|attr| self.waits_for(attr)) {
            return None;
        }
        let (behind, before): (Vec<_>, Vec<_>) = attrs
            .iter()
            .cloned()
            .partition(|attr| Kind::of(attr).is_some_and(|kind| kind.rank() > self.kind.rank()));
        let last = format_ident!("{LAST}");
        let tokens = self.tokens;
        let this = self.attribute(&quote!(#last, #tokens));
        let mut handler = self.handler.clone();
        handler.attrs = before.into_iter().chain([this]).chain(behind).collect();
        let mark = routes::guarded_by(&self.options.root, &self.policy());
        routes::wrap(&mut handler.attrs, &mark);
        let declaration = self.declaration();
        Some(quote!(#handler #declaration))
    }

    /// Lets the handler into a strict configuration, if it is a service by itself.
    fn declaration(&self) -> TokenStream {
        let Handler { attrs, sig, .. } = &self.handler;
        routes::declaration(&self.options.root, attrs, &sig.ident)
    }

    /// Takes the first `#[cfg]` off an argument: the handler with it and the one without it, of
    /// which the compiler keeps one. There are as many rounds as there are such attributes.
    fn decide_cfg(&self) -> Option<TokenStream> {
        let (index, attr, condition) =
            self.handler
                .sig
                .inputs
                .iter()
                .enumerate()
                .find_map(|(index, input)| {
                    let FnArg::Typed(argument) = input else {
                        return None;
                    };
                    let (attr, condition) = first_cfg(&argument.attrs)?;
                    Some((index, attr, condition))
                })?;
        let this = self.attribute(self.tokens);

        let mut with = self.handler.clone();
        if let Some(FnArg::Typed(argument)) = with.sig.inputs.get_mut(index) {
            argument.attrs.remove(attr);
        }
        let mut without = self.handler.clone();
        without.sig.inputs = without
            .sig
            .inputs
            .into_iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, input)| input)
            .collect();
        Some(quote! {
            #[cfg(#condition)] #this #with
            #[cfg(not(#condition))] #this #without
        })
    }

    fn attribute(&self, options: &TokenStream) -> Attribute {
        let root = &self.options.root;
        let name = format_ident!("{}", self.kind.name());
        parse_quote!(#[#root::#name(#options)])
    }

    fn waits_for(&self, attr: &Attribute) -> bool {
        match Kind::of(attr) {
            Some(kind) => kind.rank() < self.kind.rank(),
            None => !is_inert(attr),
        }
    }
}

impl Guard<'_> {
    fn expand(&self) -> TokenStream {
        let Handler {
            attrs,
            vis,
            sig,
            brace,
            inner_attrs,
            body,
        } = &self.handler;
        let Signature {
            asyncness,
            fn_token,
            ident,
            generics,
            output,
            ..
        } = sig;
        let where_clause = &generics.where_clause;
        let argument = self.argument();
        let assertions = self.assertions();

        let mut tokens = quote! {
            #(#attrs)*
            #vis #asyncness #fn_token #ident #generics (#argument) #output #where_clause
        };
        brace.surround(&mut tokens, |tokens| {
            tokens.extend(quote!(#(#inner_attrs)* #assertions));
            if !assertions.is_empty() && starts_with_item(body) {
                // Items of the body still come first in their block.
                brace.surround(tokens, |tokens| body.to_tokens(tokens));
            } else {
                body.to_tokens(tokens);
            }
        });
        if let (Some(user), Some(condition)) = (self.user(), &self.options.condition) {
            tokens.extend(condition.items(&self.names(), &user));
        }
        tokens
    }

    /// How items are called that stand next to the handler.
    fn names(&self) -> Names<'_> {
        let Handler {
            attrs, vis, sig, ..
        } = &self.handler;
        // The same before and after this attribute made way, and another for another guard.
        let condition = self.options.condition.as_ref();
        let number = condition.map_or(0, Condition::fingerprint);
        Names {
            private: self.options.root.private(),
            stem: format!("{number:08x}_{}", sig.ident.unraw()),
            vis,
            cfgs: attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cfg"))
                .collect(),
        }
    }

    /// The user type that is asked for, if anything says which.
    fn user(&self) -> Option<TokenStream> {
        let Options {
            root,
            user,
            condition,
            ..
        } = &self.options;
        match user {
            Some(user) => Some(user.to_token_stream()),
            None => condition.as_ref()?.user(root),
        }
    }

    /// The one argument that is left.
    fn argument(&self) -> TokenStream {
        let private = self.options.root.private();
        let policy = self.policy();
        let arguments: Vec<_> = self.handler.arguments().collect();
        let types = arguments.iter().map(|argument| &argument.ty);
        let ty = quote!(#private::Guarded<#policy, (#(#types,)*)>);
        if arguments.is_empty() {
            return quote!(_: #ty);
        }
        let attrs = arguments.iter().flat_map(|argument| &argument.attrs);
        let patterns = arguments.iter().map(|argument| &argument.pat);
        quote!(#(#attrs)* #private::Guarded { args: (#(#patterns,)*), .. }: #ty)
    }

    fn policy(&self) -> TokenStream {
        let Options {
            root,
            fresh,
            condition,
            exempt_options,
            passive,
            ..
        } = &self.options;
        let private = root.private();
        let set = condition.as_ref().and_then(Condition::set_of_user);
        let login = match (set, self.user()) {
            // What is no set of permissions is said once, and not in the signature too.
            (Some(set), _) if self.options.user.is_none() => quote!(#private::LoginOf<#set>),
            (_, Some(user)) => quote!(#private::LoginRequired<#user>),
            (_, None) => quote!(#private::LoginRequired),
        };
        let policy = match fresh {
            Freshness::NotAsked => login,
            Freshness::OfManager => quote!(#private::Fresh<#login>),
            Freshness::Seconds(seconds) => quote!(#private::Fresh<#login, #seconds>),
        };
        let policy = match condition {
            Some(condition) => {
                let term = condition.term(&self.names());
                quote!(#private::Requires<#policy, #term>)
            }
            None => policy,
        };
        let policy = if *passive {
            quote!(#private::Passive<#policy>)
        } else {
            policy
        };
        if *exempt_options {
            quote!(#private::ExemptOptions<#policy>)
        } else {
            policy
        }
    }

    /// Statements that turn a wall of errors at `.to(handler)` into one error at the type.
    ///
    /// They cost nothing at run time, and they are left out where a type is not known before the
    /// handler is used.
    fn assertions(&self) -> TokenStream {
        let sig = &self.handler.sig;
        if !sig.generics.params.is_empty() {
            return TokenStream::new();
        }
        let private = self.options.root.private();
        let assert = |name: &str, ty: &Type| {
            let name = Ident::new(name, Span::call_site());
            let span = ty.span().resolved_at(Span::call_site());
            quote_spanned!(span=> const { #private::#name::<#ty>() };)
        };
        let policy = self.policy();
        let mut assertions = TokenStream::new();
        if let Some(user) = &self.options.user
            && is_concrete(user)
        {
            assertions.extend(assert("assert_user", user));
        }
        if let (Some(user), Some(condition)) = (self.user(), &self.options.condition) {
            let asked = self.options.user.is_some();
            assertions.extend(condition.assertions(&private, &user, asked));
        }
        assertions.extend(self.same_user_assertions());
        // Another guard of ours already said the rest.
        if self.handler.arguments().any(is_guarded) {
            return assertions;
        }
        for argument in self.handler.arguments() {
            if is_concrete(&argument.ty) {
                let ty = &argument.ty;
                let span = ty.span().resolved_at(Span::call_site());
                assertions.extend(if is_proof(ty) {
                    // An item is evaluated also where the program is only checked.
                    let proof = quote!(#private::assert_proof::<#policy, #ty>());
                    let proof = locate(proof, ty.span());
                    quote_spanned!(span=> const _: () = #proof;)
                } else {
                    quote_spanned!(span=> const { #private::assert_argument::<#policy, #ty>() };)
                });
            }
        }
        // Without `async` the type is a future, and what it resolves to is not written here.
        if let (Some(_), ReturnType::Type(_, ty)) = (&sig.asyncness, &sig.output)
            && !matches!(**ty, Type::Never(_))
            && is_concrete(ty)
        {
            assertions.extend(assert("assert_responder", ty));
        }
        assertions
    }
}

/// Whose user an argument is, where the guard names a user type and is alone.
impl Guard<'_> {
    fn same_user_assertions(&self) -> TokenStream {
        let private = self.options.root.private();
        let alone = !self
            .handler
            .attrs
            .iter()
            .any(|attr| Kind::of(attr).is_some())
            && !self.handler.arguments().any(is_guarded);
        let Some(user) = self.user().filter(|_| alone) else {
            return TokenStream::new();
        };
        let arguments = self.handler.arguments();
        let users = arguments.filter_map(|argument| only_argument(&argument.ty, "CurrentUser"));
        users
            .filter(|other| is_concrete(other))
            .map(|other| {
                let span = other.span().resolved_at(Span::call_site());
                quote_spanned!(span=> const { #private::assert_same_user::<#user, #other>() };)
            })
            .collect()
    }
}

/// Wrong code never compiles, and the untouched item keeps editors working.
pub(crate) fn expand_fallback(error: &Error, item: &TokenStream) -> TokenStream {
    let errors = error.to_compile_error();
    quote!(#errors #item)
}

/// Whether a function comes next, with or without modifiers.
fn starts_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let modifiers = || -> syn::Result<()> {
        ahead.parse::<Option<Token![const]>>()?;
        ahead.parse::<Option<Token![async]>>()?;
        ahead.parse::<Option<Token![unsafe]>>()?;
        ahead.parse::<Option<Abi>>()?;
        Ok(())
    };
    modifiers().is_ok() && ahead.peek(Token![fn])
}

const ITEMS: &[(&str, &str)] = &[
    ("struct", "a struct"),
    ("enum", "an enum"),
    ("union", "a union"),
    ("mod", "a module"),
    ("impl", "an impl block"),
    ("trait", "a trait"),
    ("const", "a constant"),
    ("static", "a static"),
    ("type", "a type alias"),
    ("use", "an import"),
    ("extern", "an `extern` item"),
    ("macro_rules", "a macro"),
];

/// What the item is, with its article, and where it says so.
fn kind_of_item(item: TokenStream) -> (Span, Option<&'static str>) {
    let mut first = None;
    for token in item {
        let span = token.span();
        first = first.or(Some(span));
        let TokenTree::Ident(word) = token else {
            break;
        };
        if let Some((_, kind)) = ITEMS.iter().find(|(keyword, _)| word == keyword) {
            return (span, Some(kind));
        }
    }
    (first.unwrap_or_else(Span::call_site), None)
}

/// Attributes that the compiler only keeps, and `cfg_attr`, which it has replaced before we run.
const INERT: &[&str] = &[
    "allow",
    "automatically_derived",
    "cfg",
    "cfg_attr",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "link_section",
    "must_use",
    "no_mangle",
    "should_panic",
    "target_feature",
    "track_caller",
    "warn",
];

/// Tools whose attributes the compiler leaves alone.
const TOOLS: &[&str] = &["clippy", "diagnostic", "miri", "rust_analyzer", "rustfmt"];

fn is_inert(attr: &Attribute) -> bool {
    let path = attr.path();
    let one_of = |names: &[&str]| {
        path.segments
            .first()
            .is_some_and(|first| names.iter().any(|name| first.ident == name))
    };
    if path.segments.len() == 1 {
        one_of(INERT)
    } else {
        path.leading_colon.is_none() && one_of(TOOLS)
    }
}

/// Takes the permission off the front of the options, where it has no name.
fn take_permission(tokens: TokenStream, errors: &mut Errors) -> (Option<Condition>, TokenStream) {
    let first = tokens.clone().into_iter().next();
    let at = first.as_ref().map_or_else(Span::call_site, TokenTree::span);
    let table = Kind::PermissionRequired.table();
    let is_option = |word: &Ident| lookup(table, &word.to_string()).is_some();
    let parser = |input: ParseStream<'_>| {
        let mut mark = TokenStream::new();
        // A mark of ours comes first.
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
            // What starts like an option is read as one.
            let rest = matches!(first, Some(TokenTree::Ident(_))).then_some(tokens);
            (None, rest.unwrap_or_default())
        }
    }
}

/// Whether the attribute is a guard of ours.
pub(crate) fn is_guard(attr: &Attribute) -> bool {
    Kind::of(attr).is_some()
}

/// The place of the first `#[cfg(..)]`, and its condition.
fn first_cfg(attrs: &[Attribute]) -> Option<(usize, TokenStream)> {
    attrs.iter().enumerate().find_map(|(index, attr)| {
        let Meta::List(list) = &attr.meta else {
            return None;
        };
        list.path
            .is_ident("cfg")
            .then(|| (index, list.tokens.clone()))
    })
}

fn last_is(path: &Path, name: &str) -> bool {
    path.segments
        .last()
        .is_some_and(|segment| segment.ident.unraw() == name)
}

/// The last segment of a type's path, through what macros wrap around it.
fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Whether a function that returns this type can be a handler without `async`.
fn is_future(ty: &Type) -> bool {
    match ty {
        Type::ImplTrait(_) => true,
        Type::Group(group) => is_future(&group.elem),
        Type::Paren(paren) => is_future(&paren.elem),
        _ => last_segment(ty).is_some_and(|segment| {
            let name = segment.ident.unraw().to_string();
            name == "Pin" || name == "Ready" || name.ends_with("Future")
        }),
    }
}

/// `T` in `Name<T>`.
fn only_argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident.unraw() == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

fn is_proof(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| {
        let name = segment.ident.unraw();
        name == "FreshUser" || name == "UserWith"
    })
}

/// The user in an `Option`, by the name of one of our arguments.
fn optional_user(ty: &Type) -> Option<String> {
    let name = last_segment(only_argument(ty, "Option")?)?.ident.unraw();
    let name = name.to_string();
    matches!(&*name, "CurrentUser" | "FreshUser" | "UserWith").then_some(name)
}

pub(crate) fn is_optional_current_user(ty: &Type) -> bool {
    optional_user(ty).is_some_and(|name| name == "CurrentUser")
}

/// Whether the argument is one that a guard made.
fn is_guarded(argument: &PatType) -> bool {
    matches!(*argument.pat, Pat::Struct(_) | Pat::Wild(_))
        && last_segment(&argument.ty).is_some_and(|segment| segment.ident == "Guarded")
}

/// Whether the type is fully written here, so that bounds on it can be checked here.
fn is_concrete(ty: &Type) -> bool {
    fn concrete(tokens: TokenStream) -> bool {
        tokens.into_iter().all(|token| match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                // One capital letter is a type parameter, maybe one of the impl block around us.
                let parameter = word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase());
                !parameter && !matches!(word.as_str(), "Self" | "impl" | "_")
            }
            TokenTree::Group(group) => concrete(group.stream()),
            _ => true,
        })
    }
    concrete(ty.to_token_stream())
}

/// Whether the first statement of the body is an item, as far as its first word tells.
fn starts_with_item(body: &TokenStream) -> bool {
    match body.clone().into_iter().next() {
        Some(TokenTree::Ident(word)) => {
            word == "fn" || ITEMS.iter().any(|(keyword, _)| word == keyword)
        }
        Some(TokenTree::Punct(punct)) => punct.as_char() == '#',
        Some(TokenTree::Group(group)) => {
            group.delimiter() == Delimiter::None && starts_with_item(&group.stream())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Kind::{FreshLoginRequired, LoginRequired, PermissionRequired};

    #[track_caller]
    fn check(kind: Kind, options: TokenStream, item: TokenStream, messages: &[&str]) {
        let mut errors = Errors::default();
        let found = match Guard::parse(kind, &options, &item, &mut errors) {
            Ok(guard) => {
                guard.check(&mut errors);
                errors.messages()
            }
            Err(error) => vec![errors.finish_with(error).to_string()],
        };
        assert_eq!(found, messages);
        if !messages.is_empty() {
            let output = expand(kind, options, item.clone()).to_string();
            assert!(output.contains("compile_error"), "{output}");
            assert!(output.ends_with(&item.to_string()), "{output}");
        }
    }

    /// Checks one mistake in the signature.
    #[track_caller]
    fn refuses(item: TokenStream, message: &str) {
        check(LoginRequired, quote!(), item, &[message]);
    }

    #[track_caller]
    fn expands(kind: Kind, options: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(
            expand(kind, options, item).to_string(),
            expected.to_string()
        );
    }

    #[track_caller]
    fn policy_is(kind: Kind, options: TokenStream, policy: TokenStream) {
        let handler = quote!(
            async fn h() -> impl Responder {
                body()
            }
        );
        let output = expand(kind, options, handler).to_string();
        let signature = quote! {
            async fn h(_: ::login_runtime::__private::Guarded<#policy, ()>) -> impl Responder
        };
        assert!(output.starts_with(&signature.to_string()), "{output}");
    }

    #[test]
    fn the_arguments_become_one_and_the_body_stays() {
        expands(
            LoginRequired,
            quote!(),
            quote! {
                /// Shows a page.
                #[inline]
                pub(crate) async fn show(
                    id: web::Path<u32>,
                    mut body: Bytes,
                    Query(q): Query<Page>,
                ) -> Result<HttpResponse, Error> {
                    #![allow(clippy::unwrap_used)]
                    half typed.
                }
            },
            quote! {
                /// Shows a page.
                #[inline]
                pub(crate) async fn show(
                    ::login_runtime::__private::Guarded { args: (id, mut body, Query(q),), .. }:
                        ::login_runtime::__private::Guarded<
                            ::login_runtime::__private::LoginRequired,
                            (web::Path<u32>, Bytes, Query<Page>,)
                        >
                ) -> Result<HttpResponse, Error> {
                    #![allow(clippy::unwrap_used)]
                    const { ::login_runtime::__private::assert_argument::<::login_runtime::__private::LoginRequired, web::Path<u32> >() };
                    const { ::login_runtime::__private::assert_argument::<::login_runtime::__private::LoginRequired, Bytes>() };
                    const { ::login_runtime::__private::assert_argument::<::login_runtime::__private::LoginRequired, Query<Page> >() };
                    const {
                        ::login_runtime::__private::assert_responder::<Result<HttpResponse, Error> >()
                    };
                    half typed.
                }
            },
        );
    }

    #[test]
    fn options_choose_the_policy() {
        let login = quote!(::login_runtime::__private::LoginRequired);
        let fresh = quote!(::login_runtime::__private::Fresh);
        let exempt = quote!(::login_runtime::__private::ExemptOptions);
        policy_is(LoginRequired, quote!(), login.clone());
        policy_is(LoginRequired, quote!(user = Admin), quote!(#login<Admin>));
        policy_is(LoginRequired, quote!(fresh), quote!(#fresh<#login>));
        policy_is(
            LoginRequired,
            quote!(fresh = "10m", user = Admin, exempt_options),
            quote!(#exempt<#fresh<#login<Admin>, 600u64> >),
        );
        policy_is(FreshLoginRequired, quote!(), quote!(#fresh<#login>));
        policy_is(
            FreshLoginRequired,
            quote!(max_age = "0s"),
            quote!(#fresh<#login, 0u64>),
        );
        policy_is(
            LoginRequired,
            quote!(exempt_options),
            quote!(#exempt<#login>),
        );
        let passive = quote!(::login_runtime::__private::Passive);
        policy_is(
            LoginRequired,
            quote!(passive, exempt_options),
            quote!(#exempt<#passive<#login> >),
        );
    }

    #[test]
    fn the_user_type_is_checked_where_it_is_written() {
        let once = expand(
            LoginRequired,
            quote!(user = User),
            quote!(
                async fn h() -> impl Responder {
                    body()
                }
            ),
        );
        let p = quote!(::login_runtime::__private);
        expands(
            LoginRequired,
            quote!(user = Admin),
            once,
            quote! {
                async fn h(
                    #p::Guarded { args: (_,), .. }: #p::Guarded<
                        #p::LoginRequired<Admin>,
                        (#p::Guarded<#p::LoginRequired<User>, ()>,)
                    >
                ) -> impl Responder {
                    const { #p::assert_user::<Admin>() };
                    {
                        const { #p::assert_user::<User>() };
                        body()
                    }
                }
            },
        );
    }

    #[test]
    fn the_crate_can_live_elsewhere() {
        expands(
            LoginRequired,
            quote!(crate = crate::facade),
            quote!(
                async fn h() -> impl Responder {}
            ),
            quote! {
                async fn h(
                    _: crate::facade::__private::Guarded<crate::facade::__private::LoginRequired, ()>
                ) -> impl Responder {}
            },
        );
        expands(
            LoginRequired,
            quote!(crate = crate::facade),
            quote!(
                #[get("/")]
                async fn h() -> impl Responder {}
            ),
            quote! {
                #[get("/", wrap = "crate :: facade :: __private :: declared :: < crate :: facade :: __private :: LoginRequired > ()")]
                #[crate::facade::login_required(__last, crate = crate::facade)]
                async fn h() -> impl Responder {}
                #[automatically_derived]
                impl crate::facade::__private::DeclaredService for h {}
            },
        );
    }

    #[test]
    fn wrong_options_are_reported_at_once() {
        let item = quote!(
            async fn h() -> impl Responder {}
        );
        check(
            LoginRequired,
            quote!(
                user,
                fresh = "soon",
                max_age = "1m",
                exempt_options = true,
                crate
            ),
            item.clone(),
            &[
                "unknown option `max_age`, expected `user`, `fresh`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
                "`user` needs a value, such as `user = Admin`",
                "`soon` is not a duration; write a number and `s`, `m`, `h` or `d`: \"10m\"",
                "`exempt_options` takes no value",
                "`crate` needs a value, such as `crate = ::my_app::login_runtime`",
            ],
        );
        check(
            FreshLoginRequired,
            quote!(fresh, max_age = 10),
            item,
            &[
                "unknown option `fresh`, expected `user`, `max_age`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
                "`max_age` needs a value, such as `max_age = \"10m\"`",
            ],
        );
    }

    #[test]
    fn options_and_signature_are_reported_together() {
        check(
            LoginRequired,
            quote!(usr = A),
            quote!(
                fn h() {}
            ),
            &[
                "unknown option `usr`, expected `user`, `fresh`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
                "handlers must be async; write `async fn h`",
                "handler `h` returns nothing; give it a return type such as `-> impl Responder`",
            ],
        );
    }

    #[test]
    fn only_a_function_is_guarded() {
        for (item, kind) in [
            (
                quote!(
                    struct S;
                ),
                "a struct",
            ),
            (
                quote!(
                    #[derive(Debug)]
                    pub enum E {}
                ),
                "an enum",
            ),
            (quote!(union U { a: u8 }), "a union"),
            (
                quote!(
                    pub mod m {}
                ),
                "a module",
            ),
            (quote!(impl S {}), "an impl block"),
            (
                quote!(
                    unsafe impl Send for S {}
                ),
                "an impl block",
            ),
            (
                quote!(
                    pub(crate) unsafe trait T {}
                ),
                "a trait",
            ),
            (
                quote!(
                    const C: u8 = 1;
                ),
                "a constant",
            ),
            (
                quote!(
                    static S: u8 = 1;
                ),
                "a static",
            ),
            (
                quote!(
                    type T = u8;
                ),
                "a type alias",
            ),
            (
                quote!(
                    use a::b;
                ),
                "an import",
            ),
            (
                quote!(
                    extern crate a;
                ),
                "an `extern` item",
            ),
            (
                quote!(
                    extern "C" {}
                ),
                "an `extern` item",
            ),
            (
                quote!(
                    macro_rules! m {
                        () => {};
                    }
                ),
                "a macro",
            ),
        ] {
            refuses(
                item,
                &format!("`#[login_required]` goes on a handler function, not on {kind}"),
            );
        }
        check(
            FreshLoginRequired,
            quote!(),
            quote!(a::b! {}),
            &["`#[fresh_login_required]` goes on a handler function"],
        );
    }

    #[test]
    fn a_handler_is_called_by_actix() {
        refuses(
            quote!(
                async fn h(&self) -> A {}
            ),
            "a handler has no `self`; its arguments all come from the request, so use `web::Data`",
        );
        refuses(
            quote!(
                async unsafe fn h() -> A {}
            ),
            "handlers cannot be `unsafe fn`; remove `unsafe`",
        );
        refuses(
            quote!(
                const fn h() -> Ready<A> {}
            ),
            "handlers cannot be `const fn`; remove `const`",
        );
        refuses(
            quote!(
                async extern "C" fn h() -> A {}
            ),
            "handlers are called by actix-web; remove `extern`",
        );
        refuses(
            quote!(
                async fn h(a: A, ...) -> A {}
            ),
            "a handler names each of its arguments; remove `...`",
        );
        refuses(
            quote!(
                async fn h() -> A;
            ),
            "`h` has no body to guard; put `#[login_required]` where it is implemented",
        );
        refuses(
            quote!(
                async fn h() {}
            ),
            "handler `h` returns nothing; give it a return type such as `-> impl Responder`",
        );
    }

    #[test]
    fn a_handler_is_async_or_returns_a_future() {
        for output in [
            quote!(impl Future<Output = A>),
            quote!(Pin<Box<dyn Future<Output = A>>>),
            quote!(futures::LocalBoxFuture<'static, A>),
            quote!(std::future::Ready<A>),
        ] {
            check(LoginRequired, quote!(), quote!(fn h() -> #output {}), &[]);
        }
        refuses(
            quote!(
                fn index() -> HttpResponse {}
            ),
            "handlers must be async; write `async fn index`",
        );
    }

    #[test]
    fn the_seventeenth_argument_is_one_too_many() {
        let arguments = |count: usize| {
            let names = (0..count).map(|index| format_ident!("a{index}"));
            quote!(async fn h(#(#names: A),*) -> A {})
        };
        check(LoginRequired, quote!(), arguments(16), &[]);
        refuses(
            arguments(17),
            "actix-web handlers take at most 16 arguments; join some in one extractor",
        );
    }

    #[test]
    fn an_optional_current_user_is_refused() {
        let message = "`Option<CurrentUser<..>>` turns an outage into an anonymous user; \
                       inside a guard the user is there: write `CurrentUser<..>`";
        refuses(
            quote!(
                async fn h(a: Option<CurrentUser<U>>) -> A {}
            ),
            message,
        );
        refuses(
            quote!(
                async fn h(a: std::option::Option<login_runtime::CurrentUser<U>>) -> A {}
            ),
            message,
        );
        check(
            LoginRequired,
            quote!(),
            quote!(
                async fn h(a: CurrentUser<U>, b: Option<Query<U>>) -> A {}
            ),
            &[],
        );
    }

    #[test]
    fn other_attributes_see_the_signature_first() {
        for options in [quote!(), quote!(fresh)] {
            expands(
                LoginRequired,
                options.clone(),
                quote! {
                    /// Docs.
                    #[measured]
                    #[tracing::instrument(skip(req))]
                    async fn h(req: HttpRequest) -> A {}
                },
                quote! {
                    /// Docs.
                    #[measured]
                    #[tracing::instrument(skip(req))]
                    #[::login_runtime::login_required(__last, #options)]
                    async fn h(req: HttpRequest) -> A {}
                },
            );
        }
    }

    #[test]
    fn a_route_below_says_what_guards_it_once() {
        let once = expand(
            FreshLoginRequired,
            quote!(max_age = "10m"),
            quote! {
                #[login_required]
                #[cfg(x)]
                #[web::post("/")]
                async fn h() -> A {}
            },
        );
        let twice = quote! {
            #[cfg(x)]
            #[web::post("/", wrap = ":: login_runtime :: __private :: declared :: < :: login_runtime :: __private :: Fresh < :: login_runtime :: __private :: LoginRequired , 600u64 > > ()")]
            #[::login_runtime::fresh_login_required(__last, max_age = "10m")]
            #[login_required]
            async fn h() -> A {}
        };
        let declaration = quote! {
            #[cfg(x)]
            #[automatically_derived]
            impl ::login_runtime::__private::DeclaredService for h {}
        };
        assert_eq!(once.to_string(), quote!(#twice #declaration).to_string());
        let again = expand(LoginRequired, quote!(), twice).to_string();
        assert_eq!(again.matches("declared ::").count(), 2, "{again}");
        assert!(!again.contains("DeclaredService"), "{again}");
    }

    #[test]
    fn making_way_ends_at_an_attribute_that_never_goes() {
        let output = expand(
            LoginRequired,
            quote!(__last,),
            quote!(
                #[unheard_of]
                async fn h() -> impl Responder {}
            ),
        );
        assert!(output.to_string().contains("Guarded"), "{output}");
    }

    #[test]
    fn inert_attributes_are_not_waited_for() {
        let output = expand(
            LoginRequired,
            quote!(),
            quote! {
                #[doc = "x"] #[allow(unused)] #[cfg(a)] #[must_use] #[clippy::msrv = "1"]
                async fn h() -> impl Responder {}
            },
        );
        assert!(output.to_string().contains("Guarded"), "{output}");
    }

    #[test]
    fn a_login_is_asked_for_before_a_fresh_one() {
        let handler = quote!(
            async fn h() -> A {}
        );
        // Whoever expands last wraps the other.
        expands(
            LoginRequired,
            quote!(),
            quote!(#[fresh_login_required] #handler),
            quote! {
                #[fresh_login_required]
                #[::login_runtime::login_required(__last,)]
                #handler
            },
        );
        expands(
            FreshLoginRequired,
            quote!(),
            quote!(#[instrument] #[login_required] #[doc = "x"] #handler),
            quote! {
                #[instrument]
                #[doc = "x"]
                #[::login_runtime::fresh_login_required(__last,)]
                #[login_required]
                #handler
            },
        );
        let output = expand(
            FreshLoginRequired,
            quote!(),
            quote!(#[login_required] #handler),
        );
        assert!(output.to_string().contains("Guarded"), "{output}");
    }

    #[test]
    fn a_guarded_handler_can_be_guarded_again() {
        let once = expand(
            FreshLoginRequired,
            quote!(),
            quote!(
                async fn h(a: Path) -> Page {
                    body()
                }
            ),
        );
        let p = quote!(::login_runtime::__private);
        expands(
            LoginRequired,
            quote!(),
            once,
            quote! {
                async fn h(
                    #p::Guarded { args: (#p::Guarded { args: (a,), .. },), .. }: #p::Guarded<
                        #p::LoginRequired,
                        (#p::Guarded<#p::Fresh<#p::LoginRequired>, (Path,)>,)
                    >
                ) -> Page {
                    const { #p::assert_argument::<#p::Fresh<#p::LoginRequired>, Path>() };
                    const { #p::assert_responder::<Page>() };
                    body()
                }
            },
        );
    }

    #[test]
    fn cfg_on_an_argument_is_decided_one_by_one() {
        expands(
            LoginRequired,
            quote!(fresh),
            quote! { async fn h(a: A, #[cfg(x)] #[cfg(y)] b: B, #[cfg(z)] c: C) -> D {} },
            quote! {
                #[cfg(x)]
                #[::login_runtime::login_required(fresh)]
                async fn h(a: A, #[cfg(y)] b: B, #[cfg(z)] c: C) -> D {}
                #[cfg(not(x))]
                #[::login_runtime::login_required(fresh)]
                async fn h(a: A, #[cfg(z)] c: C) -> D {}
            },
        );
        refuses(
            quote!(
                async fn h(#[cfg_attr(x, allow(unused))] a: A) -> D {}
            ),
            "`cfg_attr` cannot be read on a handler's argument; use `cfg`, or put it on the function",
        );
    }

    #[test]
    fn lint_attributes_stay_on_the_argument() {
        let output = expand(
            LoginRequired,
            quote!(),
            quote!(
                async fn h(#[expect(unused_variables)] a: A) -> B {}
            ),
        );
        let argument = quote! {
            #[expect(unused_variables)] ::login_runtime::__private::Guarded { args: (a,), .. }
        };
        assert!(
            output.to_string().contains(&argument.to_string()),
            "{output}"
        );
    }

    #[test]
    fn bounds_are_left_alone_where_types_are_not_known_yet() {
        for item in [
            quote!(
                async fn h<R>(a: Data<R>) -> A
                where
                    R: Repo,
                {
                }
            ),
            quote!(
                async fn h(a: Data<Self>) -> Self::Output {}
            ),
            quote!(
                async fn h(a: impl FromRequest) -> Result<impl Responder, E> {}
            ),
            quote!(
                async fn h(a: Data<T>) -> Json<T> {}
            ),
            quote!(
                fn h() -> LocalBoxFuture<'static, A> {}
            ),
        ] {
            let output = expand(LoginRequired, quote!(user = U), item).to_string();
            assert!(output.contains("Guarded"), "{output}");
            assert!(!output.contains("assert_"), "{output}");
        }
    }

    #[test]
    fn items_of_the_body_still_come_first() {
        let output = expand(
            LoginRequired,
            quote!(),
            quote!(
                async fn h(path: Path) -> impl Responder {
                    use std::fmt::Write;
                    body()
                }
            ),
        );
        assert!(
            output
                .to_string()
                .ends_with("{ use std :: fmt :: Write ; body () } }"),
            "{output}"
        );
    }

    #[test]
    fn conditions_are_asked_with_the_login() {
        let p = quote!(::login_runtime::__private);
        let role = quote!(#p::Role<1usize, 128935115591136839671669284847193423872u128>);
        policy_is(
            LoginRequired,
            quote!(role = "a", fresh, passive),
            quote!(#p::Passive<#p::Requires<#p::Fresh<#p::LoginRequired>, #role> >),
        );
        policy_is(
            FreshLoginRequired,
            quote!(role = "a", user = Admin),
            quote!(#p::Requires<#p::Fresh<#p::LoginRequired<Admin> >, #role>),
        );
        let permitted = quote!(#p::Permitted<P, { P::A as usize }>);
        for (kind, options) in [
            (LoginRequired, quote!(permission = P::A)),
            (PermissionRequired, quote!(P::A)),
            (PermissionRequired, quote!(__last, P::A,)),
        ] {
            policy_is(
                kind,
                options,
                quote!(#p::Requires<#p::LoginOf<P>, #permitted>),
            );
        }
        policy_is(
            PermissionRequired,
            quote!(P::A, fresh = "1m", role = "a"),
            quote!(#p::Requires<
                #p::Fresh<#p::LoginOf<P>, 60u64>,
                #p::And<#permitted, #role>
            >),
        );
    }

    #[test]
    fn what_a_guard_asks_is_said_once() {
        let item = quote!(
            async fn h() -> impl Responder {}
        );
        check(
            LoginRequired,
            quote!(role = "a", role = "b", permission = P::A, permission = P::B),
            item.clone(),
            &[
                "`role` is given twice; write `any(role = .., role = ..)`, or `all(..)` if both are needed",
                "`permission` is given twice; write `any(permission = .., permission = ..)`, or `all(..)` if both are needed",
            ],
        );
        check(
            LoginRequired,
            quote!(any(role = "a"), any(role = "b")),
            item.clone(),
            &[],
        );
        let unknown =
            "`check` does not know the user type; write `|user: &User| ..`, or add `user = User`";
        check(
            LoginRequired,
            quote!(check = |u| u.a),
            item.clone(),
            &[unknown],
        );
        check(
            LoginRequired,
            quote!(not(check = is_staff)),
            item.clone(),
            &[unknown],
        );
        check(
            LoginRequired,
            quote!(check = |u| u.a, user = U),
            item.clone(),
            &[],
        );
        check(
            LoginRequired,
            quote!(check = is_staff, permission = P::A),
            item.clone(),
            &[],
        );
        let nothing =
            "no permission is named; write `#[permission_required(Permission::EditPost)]`";
        for options in [
            quote!(),
            quote!(user = U),
            quote!("edit"),
            quote!(fresh = "1m"),
        ] {
            check(PermissionRequired, options, item.clone(), &[nothing]);
        }
    }

    #[test]
    fn a_login_is_asked_for_before_a_permission_and_a_fresh_one_last() {
        let handler = quote!(
            async fn h() -> A {}
        );
        expands(
            LoginRequired,
            quote!(),
            quote!(#[permission_required(P::A)] #handler),
            quote!(#[permission_required(P::A)] #[::login_runtime::login_required(__last,)] #handler),
        );
        expands(
            PermissionRequired,
            quote!(P::A),
            quote!(#[login_required] #[fresh_login_required] #handler),
            quote! {
                #[fresh_login_required]
                #[::login_runtime::permission_required(__last, P::A)]
                #[login_required]
                #handler
            },
        );
    }

    #[test]
    fn a_check_is_an_item_next_to_its_handler() {
        let output = expand(
            LoginRequired,
            quote!(check = |u: &U| u.a || u.b),
            quote!(
                #[cfg(x)]
                #[doc = "y"]
                pub async fn r#try() -> A {}
            ),
        );
        let items = quote! {
            #[cfg(x)]
            #[doc(hidden)]
            #[allow(non_camel_case_types)]
            #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
            pub enum __login_check_0_58e6f15e_try {}
            #[cfg(x)]
            #[automatically_derived]
            impl ::login_runtime::__private::Checking for __login_check_0_58e6f15e_try
        };
        assert!(output.to_string().contains(&items.to_string()), "{output}");
    }

    #[test]
    fn half_typed_bodies_pass_through_untouched() {
        for body in [
            "let x = user. ;",
            "user.",
            "match user { Some(",
            "if let Some(x) = user.name.iter(). {",
            "a b c # $ ! => ..=",
        ] {
            // A body never has unbalanced brackets here: editors balance them before they expand.
            let Ok(body): Result<TokenStream, _> = body.parse() else {
                continue;
            };
            let item = quote!(async fn h(user: CurrentUser<U>) -> String { #body });
            let output = expand(LoginRequired, quote!(role = "a"), item).to_string();
            assert!(!output.contains("compile_error"), "{output}");
            assert!(output.contains(&format!("{body} }}")), "{output}");
        }
    }

    #[test]
    fn a_failed_attribute_leaves_the_function_in_place() {
        for (kind, options) in [
            (LoginRequired, quote!(rol = "a")),
            (LoginRequired, quote!(check = |user| user.)),
            (FreshLoginRequired, quote!(max_age)),
            (PermissionRequired, quote!()),
        ] {
            let item = quote!(#[get("/")] async fn h(user: CurrentUser<U>) -> String { user. });
            let output = expand(kind, options, item.clone()).to_string();
            assert!(output.contains("compile_error"), "{output}");
            assert!(output.contains(&item.to_string()), "{output}");
        }
    }
}
