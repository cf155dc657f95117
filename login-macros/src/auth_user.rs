//! `#[derive(AuthUser)]`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, ExprPath, Fields, GenericParam, Generics, MacroDelimiter,
    Member, Meta, Path, Token, Type, WherePredicate, ext::IdentExt as _, parse_quote,
    spanned::Spanned as _,
};

use crate::{
    errors::Errors,
    options::{Opt, Reader, Table, lookup, names},
    paths::Root,
    spans::locate,
};

pub(crate) fn expand(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let model = Model::parse(input, &mut errors);
    model.check(&mut errors);
    match errors.finish() {
        Ok(()) => model.expand(),
        // The impl exists anyway, so one mistake stays one error.
        Err(error) => model.expand_fallback(&error),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum ItemKey {
    Active,
    Crate,
}

/// What `#[auth(..)]` says about the user as a whole.
const ITEM: Table<ItemKey> = &[("active", ItemKey::Active), ("crate", ItemKey::Crate)];

#[derive(Clone, Copy, PartialEq)]
enum FieldKey {
    Id,
    Active,
    Inactive,
    SessionHash,
    PasswordHash,
    Roles,
}

/// What `#[auth(..)]` says about one field.
const FIELD: Table<FieldKey> = &[
    ("id", FieldKey::Id),
    ("active", FieldKey::Active),
    ("inactive", FieldKey::Inactive),
    ("session_hash", FieldKey::SessionHash),
    ("password_hash", FieldKey::PasswordHash),
    ("roles", FieldKey::Roles),
];

struct Model<'a> {
    input: &'a DeriveInput,
    root: Root,
    /// The function given as `active = path`.
    active_fn: Option<ExprPath>,
    shape: Shape<'a>,
}

enum Shape<'a> {
    Struct(Struct<'a>),
    Enum(Enum<'a>),
    Union(Token![union]),
}

struct Struct<'a> {
    fields: Vec<Field<'a>>,
    marks: Vec<Mark<'a>>,
}

#[derive(Clone)]
struct Field<'a> {
    member: Member,
    ty: &'a Type,
}

/// A field option, and the field that carries it.
struct Mark<'a> {
    key: FieldKey,
    name: Ident,
    field: Field<'a>,
}

struct Enum<'a> {
    variants: Vec<Variant<'a>>,
    /// Whether somebody tried to mark a password hash in here.
    password_hash: bool,
}

struct Variant<'a> {
    name: &'a Ident,
    /// The type in `Name(Type)`; any other variant is no wrapper.
    user: Option<&'a Type>,
}

impl<'a> Model<'a> {
    fn parse(input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let mut model = Self {
            input,
            root: Root::default(),
            active_fn: None,
            shape: match &input.data {
                Data::Struct(data) => Shape::Struct(Struct::parse(&data.fields, errors)),
                Data::Enum(data) => Shape::Enum(Enum::parse(&data.variants, errors)),
                Data::Union(data) => Shape::Union(data.union_token),
            },
        };
        let reader = Reader::new(ITEM, |name| lookup(FIELD, name).map(|_| "a field"));
        for (key, opt) in read_auth(&input.attrs, reader, &names(ITEM), errors) {
            match key {
                ItemKey::Active => {
                    model.active_fn = opt.value("active = Self::may_log_in", errors);
                }
                ItemKey::Crate => {
                    let path: Option<Path> = opt.value("crate = ::my_app::login_runtime", errors);
                    model.root = path.map_or_else(Root::default, Root::at);
                }
            }
        }
        model
    }
}

impl<'a> Struct<'a> {
    fn parse(fields: &'a Fields, errors: &mut Errors) -> Self {
        let mut parsed = Self {
            fields: Vec::new(),
            marks: Vec::new(),
        };
        for (member, field) in fields.members().zip(fields) {
            let ty = &field.ty;
            let reader = Reader::new(FIELD, |name| {
                lookup(ITEM, name).map(|_| "the struct, above its fields")
            });
            for (key, opt) in read_auth(&field.attrs, reader, &names(FIELD), errors) {
                match key {
                    FieldKey::Active if opt.has_value() => {
                        errors.active_function_on_field(&opt.name);
                    }
                    _ => opt.flag(errors),
                }
                parsed.marks.push(Mark {
                    key,
                    name: opt.name,
                    field: Field {
                        member: member.clone(),
                        ty,
                    },
                });
            }
            parsed.fields.push(Field { member, ty });
        }
        parsed
    }

    fn marked(&self, key: FieldKey) -> Option<&Field<'a>> {
        let mark = self.marks.iter().find(|mark| mark.key == key)?;
        Some(&mark.field)
    }

    fn named(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is_named(name))
    }

    /// The marked field, else the one called `id`, else the only one of a tuple struct.
    fn id(&self) -> Option<&Field<'a>> {
        let only = match self.fields.as_slice() {
            [field] if matches!(field.member, Member::Unnamed(_)) => Some(field),
            _ => None,
        };
        self.marked(FieldKey::Id)
            .or_else(|| self.named("id"))
            .or(only)
    }

    /// The field that says who is active, and whether it says so with `false`.
    fn active(&self) -> Option<(&Field<'a>, bool)> {
        match self.active_marks().next() {
            Some(mark) => Some((&mark.field, mark.key == FieldKey::Inactive)),
            None => self.named("is_active").map(|field| (field, false)),
        }
    }

    fn active_marks(&self) -> impl Iterator<Item = &Mark<'a>> {
        self.marks
            .iter()
            .filter(|mark| matches!(mark.key, FieldKey::Active | FieldKey::Inactive))
    }

    /// A changed password ends every login, unless another field is to decide that.
    fn session_hash(&self) -> Option<&Field<'a>> {
        self.marked(FieldKey::SessionHash)
            .or_else(|| self.marked(FieldKey::PasswordHash))
    }
}

impl Field<'_> {
    fn is_named(&self, name: &str) -> bool {
        matches!(&self.member, Member::Named(ident) if ident.unraw() == name)
    }

    /// Code that needs something of the field's type, and whose errors point at the type.
    fn code(&self, tokens: TokenStream) -> TokenStream {
        locate(tokens, self.ty.span())
    }
}

impl<'a> Enum<'a> {
    fn parse(variants: impl IntoIterator<Item = &'a syn::Variant>, errors: &mut Errors) -> Self {
        let mut parsed = Self {
            variants: Vec::new(),
            password_hash: false,
        };
        for variant in variants {
            let of_fields = variant.fields.iter().map(|field| &field.attrs);
            for attrs in [&variant.attrs].into_iter().chain(of_fields) {
                let reader = Reader::new(FIELD, |name| {
                    lookup(ITEM, name).map(|_| "the enum, above its variants")
                });
                for (key, opt) in read_auth(attrs, reader, &names(FIELD), errors) {
                    errors.field_option_in_enum(&opt.name);
                    parsed.password_hash |= key == FieldKey::PasswordHash;
                }
            }
            let user = match &variant.fields {
                Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                    fields.unnamed.first().map(|field| &field.ty)
                }
                _ => None,
            };
            if user.is_none() {
                errors.variant_is_no_wrapper(&variant.ident);
            }
            parsed.variants.push(Variant {
                name: &variant.ident,
                user,
            });
        }
        parsed
    }

    /// The variants with the types they wrap.
    fn wrappers(&self) -> impl Iterator<Item = (&'a Ident, &'a Type)> {
        self.variants
            .iter()
            .filter_map(|variant| Some((variant.name, variant.user?)))
    }
}

/// The options of all `#[auth(..)]` among `attrs`.
fn read_auth<K: Copy + PartialEq>(
    attrs: &[Attribute],
    mut reader: Reader<K>,
    expected: &[&str],
    errors: &mut Errors,
) -> Vec<(K, Opt)> {
    let mut options = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("auth")) {
        match &attr.meta {
            Meta::List(list)
                if matches!(list.delimiter, MacroDelimiter::Paren(_))
                    && !list.tokens.is_empty() =>
            {
                options.extend(reader.read(list.tokens.clone(), errors));
            }
            _ => errors.auth_without_options(attr.path(), expected),
        }
    }
    options
}

impl Model<'_> {
    fn check(&self, errors: &mut Errors) {
        self.check_lifetimes(errors);
        match &self.shape {
            Shape::Struct(fields) => {
                self.check_id(fields, errors);
                self.check_single_marks(fields, errors);
                self.check_active(fields, errors);
            }
            // Nobody could ever be logged in.
            Shape::Enum(users) if users.variants.is_empty() => {
                errors.enum_without_variants(&self.input.ident);
            }
            Shape::Enum(_) => {}
            Shape::Union(token) => errors.union(token),
        }
    }

    // A user is kept for as long as the request lives, and outside of what loaded it.
    fn check_lifetimes(&self, errors: &mut Errors) {
        if let Some(param) = self.input.generics.lifetimes().next() {
            errors.borrowed_user(&param.lifetime);
        }
    }

    // Some field is the id.
    fn check_id(&self, fields: &Struct<'_>, errors: &mut Errors) {
        if fields.id().is_none() {
            errors.no_id(&self.input.ident);
        }
    }

    // What only one field can be, one field is.
    fn check_single_marks(&self, fields: &Struct<'_>, errors: &mut Errors) {
        for key in [
            FieldKey::Id,
            FieldKey::SessionHash,
            FieldKey::PasswordHash,
            FieldKey::Roles,
        ] {
            let marks = fields.marks.iter().filter(|mark| mark.key == key);
            for mark in marks.skip(1) {
                errors.marked_twice(&mark.name);
            }
        }
    }

    // One place says who is active, and it is a `bool` or a function. To ignore the other place
    // without a word would let inactive users in.
    fn check_active(&self, fields: &Struct<'_>, errors: &mut Errors) {
        let mut marks = fields.active_marks();
        let first = marks.next();
        for mark in marks {
            errors.active_marked_twice(&mark.name);
        }
        match (first, fields.named("is_active")) {
            (Some(mark), _) if self.active_fn.is_some() => {
                errors.active_field_and_function(&mark.name);
            }
            (Some(mark), Some(is_active)) if is_active.member != mark.field.member => {
                errors.is_active_ignored(&mark.name);
            }
            _ => {}
        }
        if let (None, Some((field, _))) = (&self.active_fn, fields.active())
            && !is_bool(field.ty)
        {
            errors.active_is_not_bool(field.ty);
        }
    }
}

impl Model<'_> {
    fn expand(&self) -> TokenStream {
        let methods = match &self.shape {
            Shape::Struct(fields) => self.struct_methods(fields),
            Shape::Enum(users) => self.enum_methods(users),
            Shape::Union(_) => TokenStream::new(),
        };
        let auth_user = self.impl_auth_user(&methods);
        let password_user = match &self.shape {
            Shape::Struct(fields) => fields
                .marked(FieldKey::PasswordHash)
                .map(|field| self.impl_password_user(field)),
            _ => None,
        };
        quote!(#auth_user #password_user)
    }

    fn impl_auth_user(&self, methods: &TokenStream) -> TokenStream {
        let header = self.header(&format_ident!("AuthUser"));
        let id = self.id_items();
        quote! {
            #header {
                #id
                #methods
            }
        }
    }

    fn impl_password_user(&self, field: &Field<'_>) -> TokenStream {
        let private = self.root.private();
        let header = self.header(&format_ident!("PasswordUser"));
        let member = &field.member;
        let hash = local("hash");
        let get = field.code(quote!(#private::PasswordField::get(&self.#member)));
        let set = field.code(quote!(#private::PasswordField::set(&mut self.#member, #hash)));
        quote! {
            #header {
                fn password_hash(&self) -> ::core::option::Option<&::core::primitive::str> {
                    #get
                }
                fn set_password_hash(&mut self, #hash: #private::String) {
                    #set
                }
            }
        }
    }

    /// `type Id` and `get_id`, or placeholders where there is no id.
    fn id_items(&self) -> TokenStream {
        let root = &self.root;
        let known = match &self.shape {
            Shape::Struct(fields) => fields.id().map(|field| {
                let (ty, member) = (field.ty, &field.member);
                let get = field.code(quote!(::core::clone::Clone::clone(&self.#member)));
                (ty.to_token_stream(), get)
            }),
            Shape::Enum(users) if users.variants.iter().all(|v| v.user.is_some()) => {
                users.wrappers().next().map(|(_, first)| {
                    let id = quote!(<#first as #root::AuthUser>::Id);
                    (locate(id, first.span()), self.delegate(users, "get_id"))
                })
            }
            _ => None,
        };
        // What borrows cannot be an id, and the lifetime has its error already.
        let known = known.filter(|(ty, _)| !self.is_borrowed() || !has_lifetime(ty.clone()));
        let (ty, get) = known.unwrap_or_else(|| {
            let private = root.private();
            let unknown = quote!(#private::UnknownId);
            (unknown.clone(), unknown)
        });
        let signature = locate(quote!(fn get_id(&self) -> Self::Id), ty.span());
        quote! {
            type Id = #ty;
            #signature {
                #get
            }
        }
    }

    fn struct_methods(&self, fields: &Struct<'_>) -> TokenStream {
        let active = match (&self.active_fn, fields.active()) {
            (Some(path), _) => Some(call_with_self(path)),
            (None, Some((field, negated))) => {
                let member = &field.member;
                let not = negated.then(|| quote!(!));
                Some(field.code(quote!(#not self.#member)))
            }
            (None, None) => None,
        };
        let is_active = active.map(|active| {
            quote! {
                fn is_active(&self) -> ::core::primitive::bool {
                    #active
                }
            }
        });
        let session_hash = fields.session_hash().map(|field| {
            let private = self.root.private();
            let member = &field.member;
            let part = field.code(quote!(#private::SessionHashPart::part(&self.#member)));
            self.session_hash_method(&part)
        });
        let has_role = fields.marked(FieldKey::Roles).map(|field| {
            let (root, member, role) = (&self.root, &field.member, local("role"));
            self.has_role_method(&field.code(quote!(#root::Roles::has_role(&self.#member, #role))))
        });
        quote!(#is_active #session_hash #has_role)
    }

    fn enum_methods(&self, users: &Enum<'_>) -> TokenStream {
        let root = &self.root;
        let active = match &self.active_fn {
            Some(path) => call_with_self(path),
            None => self.delegate(users, "is_active"),
        };
        let authenticated = self.delegate(users, "is_authenticated");
        // The wrapped user knows nothing of the function, so both have to agree.
        let authenticated = match &self.active_fn {
            Some(_) => quote!(#root::AuthUser::is_active(self) && (#authenticated)),
            None => authenticated,
        };
        let session_hash = self.session_hash_method(&self.delegate(users, "session_hash"));
        let has_role = self.has_role_method(&self.delegate(users, "has_role"));
        quote! {
            fn is_active(&self) -> ::core::primitive::bool {
                #active
            }
            fn is_authenticated(&self) -> ::core::primitive::bool {
                #authenticated
            }
            #session_hash
            #has_role
        }
    }

    fn has_role_method(&self, body: &TokenStream) -> TokenStream {
        let role = local("role");
        quote! {
            fn has_role(&self, #role: &::core::primitive::str) -> ::core::primitive::bool {
                #body
            }
        }
    }

    fn session_hash_method(&self, body: &TokenStream) -> TokenStream {
        let private = self.root.private();
        quote! {
            fn session_hash(
                &self,
            ) -> ::core::option::Option<#private::Cow<'_, [::core::primitive::u8]>> {
                #body
            }
        }
    }

    /// Asks the wrapped user.
    fn delegate(&self, users: &Enum<'_>, method: &str) -> TokenStream {
        let root = &self.root;
        let method = format_ident!("{method}");
        let user = local("user");
        let arms = users.wrappers().map(|(variant, ty)| {
            let role = (method == "has_role").then(|| local("role")).into_iter();
            let ask = locate(
                quote!(#root::AuthUser::#method(#user #(, #role)*)),
                ty.span(),
            );
            quote!(Self::#variant(#user) => #ask,)
        });
        quote!(match self { #(#arms)* })
    }

    /// `impl .. for ..`, up to the brace.
    fn header(&self, name: &Ident) -> TokenStream {
        let root = &self.root;
        let user = &self.input.ident;
        let allow = self.allow_deprecated();
        if self.is_borrowed() {
            let statics = self.input.generics.params.iter().map(|_| quote!('static));
            return quote! {
                #[automatically_derived]
                #allow
                impl #root::#name for #user<#(#statics),*>
            };
        }
        let generics = self.generics();
        let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
        quote! {
            #[automatically_derived]
            #allow
            impl #impl_generics #root::#name for #user #type_generics #where_clause
        }
    }

    /// The user's generics, and what the methods need of them.
    fn generics(&self) -> Generics {
        let root = &self.root;
        let private = root.private();
        let mut generics = self.input.generics.clone();
        let params: Vec<Ident> = generics.type_params().map(|p| p.ident.clone()).collect();
        let mut predicates: Vec<WherePredicate> = params
            .iter()
            .map(|param| parse_quote!(#param: 'static))
            .collect();
        let generic = |ty: &Type| mentions(ty.to_token_stream(), &params);
        match &self.shape {
            Shape::Struct(fields) => {
                let bounds = [
                    (fields.id(), quote!(::core::clone::Clone + #root::UserId)),
                    (fields.session_hash(), quote!(#private::SessionHashPart)),
                    (fields.marked(FieldKey::Roles), quote!(#root::Roles)),
                    (
                        fields.marked(FieldKey::PasswordHash),
                        quote!(#private::PasswordField),
                    ),
                ];
                for (field, bound) in bounds {
                    if let Some(Field { ty, .. }) = field
                        && generic(ty)
                    {
                        predicates.push(parse_quote!(#ty: #bound));
                    }
                }
            }
            Shape::Enum(users) => {
                let mut wrapped = users.wrappers().map(|(_, ty)| ty);
                // Said once here, a type that is no user is not complained about at each method.
                let is_user = |ty: &Type| -> WherePredicate {
                    let bound = locate(quote!(#ty: #root::AuthUser), ty.span());
                    parse_quote!(#bound)
                };
                if let Some(first) = wrapped.next() {
                    predicates.push(is_user(first));
                    let id = quote!(<#first as #root::AuthUser>::Id);
                    predicates.extend(wrapped.map(|ty| {
                        if generic(ty) || generic(first) {
                            parse_quote!(#ty: #root::AuthUser<Id = #id>)
                        } else {
                            is_user(ty)
                        }
                    }));
                }
            }
            Shape::Union(_) => {}
        }
        if !predicates.is_empty() {
            generics.make_where_clause().predicates.extend(predicates);
        }
        generics
    }

    fn is_borrowed(&self) -> bool {
        self.input.generics.lifetimes().next().is_some()
    }

    /// Whoever deprecates a field has not deprecated logging in.
    ///
    /// Only where it can matter, because `allow` is an error below a `forbid`.
    fn allow_deprecated(&self) -> Option<TokenStream> {
        let mut attrs: Vec<&Attribute> = self.input.attrs.iter().collect();
        match &self.input.data {
            Data::Struct(data) => attrs.extend(data.fields.iter().flat_map(|field| &field.attrs)),
            Data::Enum(data) => attrs.extend(data.variants.iter().flat_map(|v| &v.attrs)),
            Data::Union(_) => {}
        }
        let deprecated = |attr: &&Attribute| match &attr.meta {
            Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
                mentions(list.tokens.clone(), &[format_ident!("deprecated")])
            }
            meta => meta.path().is_ident("deprecated"),
        };
        attrs
            .iter()
            .any(deprecated)
            .then(|| quote!(#[allow(deprecated)]))
    }
}

impl Model<'_> {
    fn expand_fallback(&self, error: &Error) -> TokenStream {
        let errors = error.to_compile_error();
        // With `'static` for every lifetime the impl is well-formed; bounds on them could object.
        let generics = &self.input.generics;
        let only_lifetimes = generics
            .params
            .iter()
            .all(|param| matches!(param, GenericParam::Lifetime(_)));
        if self.is_borrowed() && !(only_lifetimes && generics.where_clause.is_none()) {
            return errors;
        }
        let auth_user = self.impl_auth_user(&TokenStream::new());
        let has_password = match &self.shape {
            Shape::Struct(fields) => fields.marked(FieldKey::PasswordHash).is_some(),
            Shape::Enum(users) => users.password_hash,
            Shape::Union(_) => false,
        };
        let password_user = has_password.then(|| {
            let private = self.root.private();
            let header = self.header(&format_ident!("PasswordUser"));
            quote! {
                #header {
                    fn password_hash(&self) -> ::core::option::Option<&::core::primitive::str> {
                        ::core::option::Option::None
                    }
                    fn set_password_hash(&mut self, _: #private::String) {}
                }
            }
        });
        quote!(#errors #auth_user #password_user)
    }
}

/// A name for what generated code binds.
///
/// The prefix is for the constants and unit structs around: hygiene does not keep a pattern from
/// meaning one of those, and every `#[get] async fn user()` makes a unit struct called `user`.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__login_{name}"), Span::mixed_site())
}

/// A call of the function that the user named.
fn call_with_self(path: &ExprPath) -> TokenStream {
    locate(quote!(#path(self)), path.span())
}

/// Whether the type is `bool`, as far as its name tells.
fn is_bool(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => is_bool(&group.elem),
        Type::Paren(paren) => is_bool(&paren.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident.unraw() == "bool"),
        _ => false,
    }
}

/// Whether one of `names` occurs in `tokens`.
fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

fn has_lifetime(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == '\'',
        TokenTree::Group(group) => has_lifetime(group.stream()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ID: &str =
        "no field holds the user id; name a field `id` or mark one with `#[auth(id)]`";

    fn parse(input: TokenStream) -> DeriveInput {
        syn::parse2(input).unwrap()
    }

    #[track_caller]
    fn check(input: TokenStream, messages: &[&str]) {
        let input = parse(input);
        let mut errors = Errors::default();
        Model::parse(&input, &mut errors).check(&mut errors);
        assert_eq!(errors.messages(), messages);
    }

    /// Checks that the input is accepted, and that the parts are in what comes out.
    #[track_caller]
    fn expands(input: TokenStream, parts: &[TokenStream]) {
        let output = expand(&parse(input)).to_string();
        assert!(!output.contains("compile_error"), "{output}");
        contains(&output, parts);
    }

    #[track_caller]
    fn falls_back(input: TokenStream, parts: &[TokenStream]) {
        let output = expand(&parse(input)).to_string();
        assert!(output.contains("compile_error"), "{output}");
        contains(&output, parts);
    }

    #[track_caller]
    fn contains(output: &str, parts: &[TokenStream]) {
        for part in parts {
            let part = part.to_string();
            assert!(output.contains(&part), "no `{part}` in `{output}`");
        }
    }

    #[test]
    fn a_field_called_id_is_the_id() {
        let output = expand(&parse(quote!(
            struct User {
                id: i64,
                name: String,
            }
        )));
        let expected = quote! {
            #[automatically_derived]
            impl ::login_runtime::AuthUser for User {
                type Id = i64;
                fn get_id(&self) -> Self::Id {
                    ::core::clone::Clone::clone(&self.id)
                }
            }
        };
        assert_eq!(output.to_string(), expected.to_string());
    }

    #[test]
    fn a_marked_id_wins_over_a_field_called_id() {
        expands(
            quote!(
                struct User {
                    id: i64,
                    #[auth(id)]
                    key: Uuid,
                }
            ),
            &[
                quote!(
                    type Id = Uuid;
                ),
                quote!(&self.key),
            ],
        );
        expands(
            quote!(
                struct User {
                    r#id: i64,
                }
            ),
            &[quote!(&self.r#id)],
        );
    }

    #[test]
    fn a_tuple_struct_marks_its_id_or_has_one_field() {
        expands(
            quote!(
                struct User(u32);
            ),
            &[quote!(&self.0)],
        );
        expands(
            quote!(
                struct User(String, #[auth(id)] u32);
            ),
            &[
                quote!(
                    type Id = u32;
                ),
                quote!(&self.1),
            ],
        );
        check(
            quote!(
                struct User(String, u32);
            ),
            &[NO_ID],
        );
    }

    #[test]
    fn without_an_id_there_is_one_error_and_an_impl() {
        for input in [
            quote!(
                struct User {
                    name: String,
                }
            ),
            quote!(
                struct User;
            ),
            quote!(
                struct User();
            ),
            quote!(
                struct User {}
            ),
        ] {
            check(input.clone(), &[NO_ID]);
            falls_back(
                input,
                &[
                    quote!(impl ::login_runtime::AuthUser for User),
                    quote!(
                        type Id = ::login_runtime::__private::UnknownId;
                    ),
                ],
            );
        }
    }

    #[test]
    fn who_is_active_is_read_from_a_bool() {
        for (input, body) in [
            (
                quote!(
                    struct User {
                        id: u8,
                        is_active: bool,
                    }
                ),
                quote!({ self.is_active }),
            ),
            (
                quote!(
                    struct User {
                        id: u8,
                        #[auth(active)]
                        enabled: std::primitive::bool,
                    }
                ),
                quote!({ self.enabled }),
            ),
            (
                quote!(
                    struct User {
                        id: u8,
                        #[auth(inactive)]
                        locked: bool,
                    }
                ),
                quote!({ !self.locked }),
            ),
            (
                quote!(
                    struct User {
                        id: u8,
                        #[auth(inactive)]
                        is_active: bool,
                    }
                ),
                quote!({ !self.is_active }),
            ),
        ] {
            expands(
                input,
                &[quote!(fn is_active(&self) -> ::core::primitive::bool #body)],
            );
        }
        let output = expand(&parse(quote!(
            struct User {
                id: u8,
            }
        )))
        .to_string();
        assert!(!output.contains("is_active"));
    }

    #[test]
    fn a_function_decides_over_a_field_called_is_active() {
        expands(
            quote! {
                #[auth(active = Self::may_log_in)]
                struct User { id: u8, is_active: u8 }
            },
            &[quote!({ Self::may_log_in(self) })],
        );
    }

    #[test]
    fn who_is_active_is_said_once() {
        check(
            quote!(
                struct User {
                    id: u8,
                    #[auth(active)]
                    a: bool,
                    #[auth(inactive)]
                    b: bool,
                }
            ),
            &[
                "who is active is marked twice; keep one, or write `#[auth(active = path)]` on the struct",
            ],
        );
        check(
            quote!(
                struct User {
                    id: u8,
                    is_active: bool,
                    #[auth(inactive)]
                    locked: bool,
                }
            ),
            &[
                "`is_active` would be ignored; keep one of the two fields, or write `#[auth(active = path)]`",
            ],
        );
        check(
            quote! {
                #[auth(active = may_log_in)]
                struct User { id: u8, #[auth(inactive)] locked: bool }
            },
            &["`inactive` marks a field while `active = path` asks a function; keep one"],
        );
    }

    #[test]
    fn only_a_bool_says_who_is_active() {
        let message = "only a `bool` says by itself who is active; \
                       write `#[auth(active = path)]` on the struct";
        check(
            quote!(
                struct User {
                    id: u8,
                    is_active: u8,
                }
            ),
            &[message],
        );
        check(
            quote!(
                struct User {
                    id: u8,
                    #[auth(inactive)]
                    until: Option<bool>,
                }
            ),
            &[message],
        );
    }

    #[test]
    fn a_password_hash_is_the_session_hash_too() {
        expands(
            quote!(
                struct User {
                    id: u8,
                    #[auth(password_hash)]
                    hash: String,
                }
            ),
            &[
                quote!(::login_runtime::__private::SessionHashPart::part(
                    &self.hash
                )),
                quote!(impl ::login_runtime::PasswordUser for User),
                quote!(::login_runtime::__private::PasswordField::get(&self.hash)),
                quote!(::login_runtime::__private::PasswordField::set(
                    &mut self.hash,
                    __login_hash
                )),
            ],
        );
        expands(
            quote! {
                struct User {
                    id: u8,
                    #[auth(password_hash)] hash: String,
                    #[auth(session_hash)] generation: u32,
                }
            },
            &[
                quote!(SessionHashPart::part(&self.generation)),
                quote!(PasswordField::get(&self.hash)),
            ],
        );
    }

    #[test]
    fn options_share_an_attribute_or_have_their_own() {
        for marks in [
            quote!(#[auth(id, session_hash, password_hash)]),
            quote!(#[auth(id)] #[auth(session_hash)] #[auth(password_hash)]),
        ] {
            expands(
                quote!(struct User { #marks name: String }),
                &[quote!(Clone::clone(&self.name)), quote!(part(&self.name))],
            );
        }
        check(
            quote!(
                struct User {
                    #[auth(id)]
                    #[auth(id)]
                    name: String,
                }
            ),
            &["`id` is given twice; keep one"],
        );
    }

    #[test]
    fn one_field_each() {
        check(
            quote! {
                struct User {
                    #[auth(id, session_hash)] a: u8,
                    #[auth(id, session_hash)] b: u8,
                    #[auth(password_hash)] c: String,
                    #[auth(password_hash)] d: String,
                }
            },
            &[
                "two fields are marked `#[auth(id)]`; keep one",
                "two fields are marked `#[auth(session_hash)]`; keep one",
                "two fields are marked `#[auth(password_hash)]`; keep one",
            ],
        );
    }

    #[test]
    fn every_wrong_option_is_reported_at_once() {
        check(
            quote! {
                #[auth(active, crate = 1, id, logn = "x")]
                struct User {
                    #[auth(id = "x", ident(1, 2), crate = here)] id: u8,
                    #[auth(active = path)] on: bool,
                }
            },
            &[
                "unknown option `ident`, expected `id`, `active`, `inactive`, `session_hash`, `password_hash` or `roles`",
                "`crate` goes on the struct, above its fields",
                "`id` takes no value",
                "`active = path` goes on the struct; on a field, `active` takes no value",
                "`id` goes on a field",
                "unknown option `logn`, expected `active` or `crate`",
                "`active` needs a value, such as `active = Self::may_log_in`",
                "`crate` needs a value, such as `crate = ::my_app::login_runtime`",
            ],
        );
    }

    #[test]
    fn an_attribute_without_options_is_a_mistake() {
        for attr in [
            quote!(#[auth]),
            quote!(#[auth = "id"]),
            quote!(#[auth()]),
            quote!(#[auth[id]]),
        ] {
            check(
                quote!(#attr struct User { id: u8 }),
                &["`#[auth(..)]` needs options in its parentheses: `active` or `crate`"],
            );
        }
    }

    #[test]
    fn the_crate_can_live_elsewhere() {
        expands(
            quote! {
                #[auth(crate = crate::facade)]
                struct User { id: u8, #[auth(password_hash)] hash: String }
            },
            &[
                quote!(impl crate::facade::AuthUser for User),
                quote!(impl crate::facade::PasswordUser for User),
                quote!(crate::facade::__private::PasswordField::get),
            ],
        );
    }

    #[test]
    fn generics_keep_their_bounds_and_get_what_the_id_needs() {
        expands(
            quote! {
                struct User<T: Key = u8, const N: usize = 1> where T: Send {
                    #[auth(id)] key: Option<T>,
                    rest: [u8; N],
                }
            },
            &[quote! {
                impl<T: Key, const N: usize> ::login_runtime::AuthUser for User<T, N>
                where
                    T: Send,
                    T: 'static,
                    Option<T>: ::core::clone::Clone + ::login_runtime::UserId
            }],
        );
        expands(
            quote!(
                struct User<T> {
                    id: u8,
                    extra: T,
                }
            ),
            &[quote!(for User<T> where T: 'static)],
        );
    }

    #[test]
    fn a_user_owns_its_data() {
        let message =
            "a user outlives the request that loaded it; own the data instead of borrowing it";
        let input = quote!(
            struct User<'a> {
                id: &'a str,
            }
        );
        check(input.clone(), &[message]);
        falls_back(
            input,
            &[
                quote!(impl ::login_runtime::AuthUser for User<'static>),
                quote!(UnknownId),
            ],
        );
        check(
            quote!(
                struct User<'a, 'b, T> {
                    id: u8,
                    t: &'a &'b T,
                }
            ),
            &[message],
        );
    }

    #[test]
    fn an_enum_asks_the_user_it_wraps() {
        expands(
            quote!(
                enum Anyone {
                    Staff(Staff),
                    Guest(Guest),
                }
            ),
            &[
                quote!(
                    type Id = <Staff as ::login_runtime::AuthUser>::Id;
                ),
                quote!(Self::Staff(__login_user) => ::login_runtime::AuthUser::get_id(__login_user),),
                quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::is_active(__login_user),),
                quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::is_authenticated(__login_user),),
                quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::session_hash(__login_user),),
            ],
        );
        expands(
            quote!(
                enum Either<A, B> {
                    A(A),
                    B(B),
                }
            ),
            &[quote! {
                where
                    A: 'static,
                    B: 'static,
                    A: ::login_runtime::AuthUser,
                    B: ::login_runtime::AuthUser<Id = <A as ::login_runtime::AuthUser>::Id>
            }],
        );
    }

    #[test]
    fn a_function_on_an_enum_cannot_let_in_whom_the_user_refuses() {
        expands(
            quote!(
                #[auth(active = open)]
                enum Anyone {
                    Staff(Staff),
                }
            ),
            &[
                quote!({ open(self) }),
                quote! {
                    ::login_runtime::AuthUser::is_active(self) && (match self {
                        Self::Staff(__login_user) => ::login_runtime::AuthUser::is_authenticated(__login_user),
                    })
                },
            ],
        );
    }

    #[test]
    fn each_variant_of_an_enum_wraps_one_user() {
        check(
            quote!(
                enum Anyone {}
            ),
            &[
                "an enum without variants has no user; add one that wraps a user, as in `Member(Member)`",
            ],
        );
        let input = quote! {
            enum Anyone { Nobody, Named { user: A }, Two(A, B), #[auth(id)] One(#[auth(password_hash)] A) }
        };
        check(
            input.clone(),
            &[
                "variant `Nobody` does not wrap one user; write `Nobody(User)`",
                "variant `Named` does not wrap one user; write `Named(User)`",
                "variant `Two` does not wrap one user; write `Two(User)`",
                "`id` goes on a field of the struct that the variant wraps",
                "`password_hash` goes on a field of the struct that the variant wraps",
            ],
        );
        falls_back(
            input,
            &[
                quote!(::login_runtime::__private::UnknownId),
                quote!(impl ::login_runtime::PasswordUser for Anyone),
            ],
        );
    }

    #[test]
    fn a_union_is_no_user() {
        check(
            quote!(union User { id: u8 }),
            &["`AuthUser` cannot be derived for a union; use a struct or an enum"],
        );
    }

    #[test]
    fn a_mistake_elsewhere_keeps_the_id() {
        falls_back(
            quote!(
                struct User {
                    id: i64,
                    is_active: u8,
                    #[auth(password_hash)]
                    hash: String,
                }
            ),
            &[
                quote!(
                    type Id = i64;
                ),
                quote!(Clone::clone(&self.id)),
                quote!(impl ::login_runtime::PasswordUser for User),
            ],
        );
    }

    #[test]
    fn a_deprecated_field_does_not_warn_about_the_derive() {
        expands(
            quote!(
                struct User {
                    #[deprecated]
                    id: u8,
                }
            ),
            &[quote!(#[allow(deprecated)])],
        );
        let output = expand(&parse(quote!(
            struct User {
                id: u8,
            }
        )))
        .to_string();
        assert!(!output.contains("deprecated"));
    }
}
