//! The impls of `AuthUser` and `PasswordUser`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Data, ExprPath, Generics, Meta, Type, WherePredicate, parse_quote,
    spanned::Spanned as _,
};

use super::model::{Enum, Field, FieldKey, Model, Shape, Struct, UserName};
use crate::spans::locate;

impl Field<'_> {
    /// Code about the field, whose errors point at the field's type.
    fn code(&self, tokens: TokenStream) -> TokenStream {
        locate(tokens, self.ty.span())
    }
}

impl Model<'_> {
    pub(super) fn expand(&self) -> TokenStream {
        let methods = match &self.shape {
            Shape::Struct(fields) => self.struct_methods(fields),
            Shape::Enum(users) => self.enum_methods(users),
            Shape::Union(_) => TokenStream::new(),
        };
        let auth_user = self.impl_auth_user(&methods);
        let password_user = match &self.shape {
            Shape::Struct(fields) => self.password_access(fields),
            _ => None,
        };
        let password_user = password_user.map(|(get, set)| self.impl_password_user(&get, &set));
        quote!(#auth_user #password_user)
    }

    pub(super) fn impl_auth_user(&self, methods: &TokenStream) -> TokenStream {
        let header = self.header(&format_ident!("AuthUser"));
        let (name, id) = (self.name(), self.id_items());
        quote! {
            #header {
                const NAME: &'static ::core::primitive::str = #name;
                #id
                #methods
            }
        }
    }

    /// The bodies of the methods of `PasswordUser`.
    fn password_access(&self, fields: &Struct<'_>) -> Option<(TokenStream, TokenStream)> {
        let (root, private, hash) = (&self.root, self.root.private(), local("hash"));
        if let (Some(get), Some(set)) = (&self.password_hash_fn, &self.set_password_hash_fn) {
            let get = locate(
                quote!(#private::PasswordHashRef::get(#get(self))),
                get.span(),
            );
            return Some((get, locate(quote!(#set(self, #hash)), set.span())));
        }
        let field = fields.marked(FieldKey::PasswordHash)?;
        let member = &field.member;
        let (get, set) = if fields.is_flattened(field) {
            (
                quote!(#root::PasswordUser::password_hash(&self.#member)),
                quote!(#root::PasswordUser::set_password_hash(&mut self.#member, #hash)),
            )
        } else {
            (
                quote!(#private::PasswordField::get(&self.#member)),
                quote!(#private::PasswordField::set(&mut self.#member, #hash)),
            )
        };
        Some((field.code(get), field.code(set)))
    }

    fn impl_password_user(&self, get: &TokenStream, set: &TokenStream) -> TokenStream {
        let private = self.root.private();
        let header = self.header(&format_ident!("PasswordUser"));
        let hash = local("hash");
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

    fn name(&self) -> TokenStream {
        match &self.name {
            Some(UserName::Text(name)) => name.to_token_stream(),
            Some(UserName::Constant(path)) => path.to_token_stream(),
            None => self.own_name().to_token_stream(),
        }
    }

    /// `type Id` and `get_id`, or placeholders where there is no id.
    fn id_items(&self) -> TokenStream {
        let root = &self.root;
        let known = match &self.shape {
            Shape::Struct(fields) => self.struct_id(fields),
            Shape::Enum(users) if users.variants.iter().all(|v| v.user.is_some()) => {
                users.wrapped_users().next().map(|(_, first)| {
                    let id = quote!(<#first as #root::AuthUser>::Id);
                    (locate(id, first.span()), self.delegate(users, "get_id"))
                })
            }
            _ => None,
        };
        // A borrowed id would be a second error: the lifetime itself has been reported.
        let known =
            known.filter(|(ty, _)| !self.has_lifetime_parameter() || !has_lifetime(ty.clone()));
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

    /// The type of a struct's id, and the body of `get_id`.
    fn struct_id(&self, fields: &Struct<'_>) -> Option<(TokenStream, TokenStream)> {
        let root = &self.root;
        if let Some(function) = &self.id_fn {
            return Some((
                function.ty.to_token_stream(),
                call_with_self(&function.path),
            ));
        }
        // A field that is only called `id` may be that of the row and not of the user.
        if fields.marked(FieldKey::Id).is_none()
            && let Some(field) = fields.flattened()
        {
            let (ty, member) = (field.ty, &field.member);
            let id = locate(quote!(<#ty as #root::AuthUser>::Id), ty.span());
            let get = field.code(quote!(#root::AuthUser::get_id(&self.#member)));
            return Some((id, get));
        }
        let field = fields.id()?;
        let (ty, member) = (field.ty, &field.member);
        let get = field.code(quote!(::core::clone::Clone::clone(&self.#member)));
        Some((ty.to_token_stream(), get))
    }

    /// Calls the method of the user in the flattened field.
    fn call_flattened(&self, field: &Field<'_>, method: &str, args: &TokenStream) -> TokenStream {
        let (root, member, method) = (&self.root, &field.member, format_ident!("{method}"));
        field.code(quote!(#root::AuthUser::#method(&self.#member #args)))
    }

    /// The body of `session_hash`; `None` if nothing is a session hash.
    fn struct_session_hash(&self, fields: &Struct<'_>) -> Option<TokenStream> {
        let private = self.root.private();
        let mut parts: Vec<_> = fields
            .session_hash()
            .into_iter()
            .filter(|_| self.session_hash_fn.is_none())
            .map(|field| {
                let member = &field.member;
                field.code(quote!(#private::SessionHashPart::part(&self.#member)))
            })
            .collect();
        if let Some(path) = &self.session_hash_fn {
            parts.push(locate(
                quote!(#private::owned_part(&#path(self))),
                path.span(),
            ));
        } else if let Some(path) = self.password_hash_fn.as_ref().filter(|_| parts.is_empty()) {
            let get = quote!(#private::PasswordHashRef::get(#path(self)));
            parts.push(locate(quote!(#private::owned_part(&#get)), path.span()));
        }
        // The user in the field knows more that ends its logins.
        let inner = fields.flattened();
        parts.extend(inner.map(|field| self.call_flattened(field, "session_hash", &quote!())));
        match parts.as_slice() {
            [] => None,
            [part] => Some(part.clone()),
            parts => Some(quote!(#private::join_parts(&[#(#parts),*]))),
        }
    }

    fn struct_methods(&self, fields: &Struct<'_>) -> TokenStream {
        let inner = fields.flattened();
        let active = match (&self.active_fn, fields.active()) {
            (Some(path), _) => Some(call_with_self(path)),
            (None, Some((field, negated))) => {
                let (private, member) = (self.root.private(), &field.member);
                let not = negated.then(|| quote!(!));
                let flag = quote!(#private::ActiveField::get(&self.#member));
                Some(field.code(quote!(#not #flag)))
            }
            (None, None) => None,
        };
        // The user in the field may be inactive, too.
        let active = match (active, inner) {
            (active, None) => active,
            (active, Some(field)) => {
                let inner = self.call_flattened(field, "is_active", &quote!());
                Some(active.map_or(inner.clone(), |active| quote!((#active) && (#inner))))
            }
        };
        let is_authenticated = inner.map(|field| {
            let root = &self.root;
            let inner = self.call_flattened(field, "is_authenticated", &quote!());
            quote! {
                fn is_authenticated(&self) -> ::core::primitive::bool {
                    #root::AuthUser::is_active(self) && (#inner)
                }
            }
        });
        let is_active = active.map(|active| {
            quote! {
                fn is_active(&self) -> ::core::primitive::bool {
                    #active
                }
            }
        });
        let session_hash = self.struct_session_hash(fields);
        let has_session_hash = self.has_session_hash(fields, session_hash.is_some());
        let session_hash = session_hash.map(|body| self.session_hash_method(&body));
        let role = local("role");
        let has_role = match (fields.marked(FieldKey::Roles), inner) {
            (Some(field), _) => {
                let (root, member) = (&self.root, &field.member);
                Some(field.code(quote!(#root::Roles::has_role(&self.#member, #role))))
            }
            (None, Some(field)) => Some(self.call_flattened(field, "has_role", &quote!(, #role))),
            (None, None) => None,
        };
        let has_role = has_role.map(|body| self.has_role_method(&body));
        quote!(#has_session_hash #is_active #is_authenticated #session_hash #has_role)
    }

    /// Whether the struct has a session hash. The user in a flattened field may be the only one who knows.
    fn has_session_hash(&self, fields: &Struct<'_>, has_any: bool) -> TokenStream {
        let has_own = !fields.session_hash().is_empty()
            || self.session_hash_fn.is_some()
            || self.password_hash_fn.is_some();
        let value = match fields.flattened() {
            Some(field) if !has_own => {
                let (root, ty) = (&self.root, field.ty);
                quote!(<#ty as #root::AuthUser>::HAS_SESSION_HASH)
            }
            _ => quote!(::core::option::Option::Some(#has_any)),
        };
        quote! {
            const HAS_SESSION_HASH: ::core::option::Option<::core::primitive::bool> = #value;
        }
    }

    fn enum_methods(&self, users: &Enum<'_>) -> TokenStream {
        let root = &self.root;
        let active = match &self.active_fn {
            Some(path) => call_with_self(path),
            None => self.delegate(users, "is_active"),
        };
        let authenticated = self.delegate(users, "is_authenticated");
        // The wrapped user does not know the function, so both decide.
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

    /// Calls the method on the wrapped user.
    fn delegate(&self, users: &Enum<'_>, method: &str) -> TokenStream {
        let root = &self.root;
        let method = format_ident!("{method}");
        let user = local("user");
        let arms = users.wrapped_users().map(|(variant, ty)| {
            let role = (method == "has_role").then(|| local("role")).into_iter();
            let call = locate(
                quote!(#root::AuthUser::#method(#user #(, #role)*)),
                ty.span(),
            );
            quote!(Self::#variant(#user) => #call,)
        });
        quote!(match self { #(#arms)* })
    }

    /// `impl .. for ..`, up to the brace.
    pub(super) fn header(&self, name: &Ident) -> TokenStream {
        let root = &self.root;
        let user = &self.input.ident;
        let allow = self.allow_deprecated();
        if self.has_lifetime_parameter() {
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

    /// The generics of the user type, with the bounds that the methods need.
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
                let active = fields.active().filter(|_| self.active_fn.is_none());
                let active = active.map(|(field, _)| field);
                let inner = fields.flattened();
                let has_own_id = self.id_fn.is_none()
                    && (inner.is_none() || fields.marked(FieldKey::Id).is_some());
                let password = fields.marked(FieldKey::PasswordHash);
                let password_bound = match password {
                    Some(field) if fields.is_flattened(field) => quote!(#root::PasswordUser),
                    _ => quote!(#private::PasswordField),
                };
                let bounds = [
                    (
                        fields.id().filter(|_| has_own_id),
                        quote!(::core::clone::Clone + #root::UserId),
                    ),
                    (active, quote!(#private::ActiveField)),
                    (fields.marked(FieldKey::Roles), quote!(#root::Roles)),
                    (password, password_bound),
                    (inner, quote!(#root::AuthUser)),
                ];
                let hashes = fields.session_hash().into_iter();
                let hashes = hashes.map(|field| (Some(field), quote!(#private::SessionHashPart)));
                for (field, bound) in bounds.into_iter().chain(hashes) {
                    if let Some(Field { ty, .. }) = field
                        && generic(ty)
                    {
                        predicates.push(parse_quote!(#ty: #bound));
                    }
                }
            }
            Shape::Enum(users) => {
                let mut wrapped = users.wrapped_users().map(|(_, ty)| ty);
                // This bound reports a wrapped type that is not a user once, and not in each method.
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

    /// Keeps the use of deprecated fields here from being reported.
    ///
    /// Only where something is deprecated, because `allow` is an error below a `forbid`.
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

/// A name for a local variable of generated code.
///
/// The prefix avoids constants and unit structs of the application: in a pattern, such a name would
/// be compared and not bound, in spite of hygiene. Every `#[get] async fn user()` makes a unit
/// struct called `user`.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__login_{name}"), Span::mixed_site())
}

/// A call of the function in `active = path`.
fn call_with_self(path: &ExprPath) -> TokenStream {
    locate(quote!(#path(self)), path.span())
}

/// Whether one of `names` occurs in `tokens`.
fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

/// Whether a lifetime occurs in `tokens`.
fn has_lifetime(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == '\'',
        TokenTree::Group(group) => has_lifetime(group.stream()),
        _ => false,
    })
}
