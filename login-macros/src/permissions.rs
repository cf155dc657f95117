//! `#[derive(Permissions)]`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens as _, format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, MacroDelimiter, Meta, Type, ext::IdentExt as _,
};

use crate::{
    errors::Errors,
    options::{Reader, Table, names},
    paths::Root,
};

pub(crate) fn expand(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let model = Model::parse(input, &mut errors);
    model.check(&mut errors);
    match errors.finish() {
        Ok(()) => model.expand(),
        Err(error) => model.expand_fallback(&error),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    User,
    Crate,
}

const TABLE: Table<Key> = &[("user", Key::User), ("crate", Key::Crate)];

struct Model<'a> {
    input: &'a DeriveInput,
    root: Root,
    user: Option<Type>,
    variants: Vec<&'a Ident>,
}

impl<'a> Model<'a> {
    fn parse(input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let mut model = Self {
            input,
            root: Root::default(),
            user: None,
            variants: Vec::new(),
        };
        let mut reader = Reader::new(TABLE, |_| None);
        let mut has_options = false;
        for attr in input.attrs.iter().filter(|attr| is_permissions(attr)) {
            has_options = true;
            let tokens = match &attr.meta {
                Meta::List(list) if matches!(list.delimiter, MacroDelimiter::Paren(_)) => {
                    list.tokens.clone()
                }
                _ => TokenStream::new(),
            };
            if tokens.is_empty() {
                errors.permissions_without_options(attr.path(), &names(TABLE));
            }
            for (key, opt) in reader.read(tokens, errors) {
                match key {
                    Key::User => model.user = opt.value("user = User", errors),
                    Key::Crate => {
                        model.root = opt.root(errors);
                    }
                }
            }
        }
        if !has_options {
            errors.permissions_without_user(&input.ident);
        }
        if let Data::Enum(data) = &input.data {
            for variant in &data.variants {
                match &variant.fields {
                    Fields::Unit => model.variants.push(&variant.ident),
                    fields => errors.permission_with_fields(&variant.ident, fields),
                }
            }
        }
        model
    }
}

fn is_permissions(attr: &Attribute) -> bool {
    attr.path().is_ident("permissions")
}

impl Model<'_> {
    fn check(&self, errors: &mut Errors) {
        self.check_shape(errors);
        self.check_generics(errors);
        self.check_user(errors);
    }

    // Permissions are the variants of an enum.
    fn check_shape(&self, errors: &mut Errors) {
        match &self.input.data {
            Data::Enum(data) if data.variants.is_empty() => {
                errors.no_permissions(&self.input.ident);
            }
            Data::Enum(_) => {}
            Data::Struct(data) => errors.permissions_on(data.struct_token, "struct"),
            Data::Union(data) => errors.permissions_on(data.union_token, "union"),
        }
    }

    // Guards name the enum without generic arguments.
    fn check_generics(&self, errors: &mut Errors) {
        if let Some(param) = self.input.generics.params.first() {
            errors.generic_permissions(param);
        }
    }

    // The user type is given, unless another error explains why it is not.
    fn check_user(&self, errors: &mut Errors) {
        let has_options = self.input.attrs.iter().any(is_permissions);
        if self.user.is_none() && has_options && errors.is_empty() {
            errors.permissions_without_user(&self.input.ident);
        }
    }

    fn expand(&self) -> TokenStream {
        let (root, set) = (&self.root, &self.input.ident);
        let user = &self.user;
        let names = self.variants.iter().map(|name| name.unraw().to_string());
        let variants = &self.variants;
        let number = format_ident!("__login_number", span = proc_macro2::Span::mixed_site());
        quote! {
            #[automatically_derived]
            impl #root::Permissions for #set {
                type User = #user;
                const SET: &'static ::core::primitive::str = ::core::concat!(
                    ::core::module_path!(), "::", ::core::stringify!(#set), ":",
                    ::core::line!(), ":", ::core::column!(),
                );
                fn name(self) -> &'static ::core::primitive::str {
                    match self {
                        #(Self::#variants => #names,)*
                    }
                }
                fn number(self) -> ::core::primitive::usize {
                    self as ::core::primitive::usize
                }
                fn of_number(
                    #number: ::core::primitive::usize,
                ) -> ::core::option::Option<Self> {
                    #(if #number == Self::#variants as ::core::primitive::usize {
                        return ::core::option::Option::Some(Self::#variants);
                    })*
                    ::core::option::Option::None
                }
            }
        }
    }

    /// The error, and an impl where one is possible: without it, every guard would be an error too.
    fn expand_fallback(&self, error: &Error) -> TokenStream {
        let errors = error.to_compile_error();
        let (root, private, set) = (&self.root, self.root.private(), &self.input.ident);
        if !self.input.generics.params.is_empty() {
            return errors;
        }
        let user = match &self.user {
            Some(user) => user.to_token_stream(),
            None => quote!(#private::UnknownUser),
        };
        quote! {
            #errors
            #[automatically_derived]
            impl #root::Permissions for #set {
                type User = #user;
                const SET: &'static ::core::primitive::str = "";
                fn name(self) -> &'static ::core::primitive::str {
                    ""
                }
                fn number(self) -> ::core::primitive::usize {
                    0
                }
                fn of_number(_: ::core::primitive::usize) -> ::core::option::Option<Self> {
                    ::core::option::Option::None
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: TokenStream, messages: &[&str]) {
        let input: DeriveInput = syn::parse2(input).unwrap();
        let mut errors = Errors::default();
        Model::parse(&input, &mut errors).check(&mut errors);
        assert_eq!(errors.messages(), messages);
        let output = expand(&input).to_string();
        assert_eq!(
            output.contains("compile_error"),
            !messages.is_empty(),
            "{output}"
        );
        // After a mistake the impl is there too, so guards cause no further errors.
        let is_generic = !input.generics.params.is_empty();
        assert_eq!(
            output.contains("impl :: login_runtime :: Permissions for P"),
            !is_generic,
            "{output}"
        );
    }

    #[test]
    fn permissions_are_the_plain_variants_of_an_enum() {
        check(
            quote!(
                #[permissions(user = a::User<u8, u8>)]
                enum P {
                    A,
                    B = 7,
                }
            ),
            &[],
        );
        check(
            quote!(
                #[permissions(user = U)]
                enum P {}
            ),
            &["an enum without variants has no permissions; add a variant, such as `EditPost`"],
        );
        check(
            quote!(
                #[permissions(user = U)]
                enum P {
                    A(u8),
                    B { id: u8 },
                    C,
                }
            ),
            &[
                "a permission has no fields; write `A`, and read the details from the request",
                "a permission has no fields; write `B`, and read the details from the request",
            ],
        );
        check(
            quote!(
                #[permissions(user = U)]
                struct P;
            ),
            &["permissions are the variants of an enum, and this is a struct"],
        );
        check(
            quote!(#[permissions(user = U)] union P { a: u8 }),
            &["permissions are the variants of an enum, and this is a union"],
        );
        check(
            quote!(
                #[permissions(user = U)]
                enum P<T> {
                    A,
                }
            ),
            &["permissions cannot be generic; remove the parameters of the enum"],
        );
    }

    #[test]
    fn permissions_have_a_user_type() {
        let no_user = "permissions need a user type; add `#[permissions(user = User)]`";
        check(
            quote!(
                enum P {
                    A,
                }
            ),
            &[no_user],
        );
        check(
            quote!(
                #[permissions(crate = ::login_runtime)]
                enum P {
                    A,
                }
            ),
            &[no_user],
        );
        let empty = "`#[permissions(..)]` needs options in its parentheses: `user` or `crate`";
        check(
            quote!(
                #[permissions]
                enum P {
                    A,
                }
            ),
            &[empty],
        );
        check(
            quote!(
                #[permissions()]
                enum P {
                    A,
                }
            ),
            &[empty],
        );
        check(
            quote!(
                #[permissions(users = U)]
                enum P {
                    A,
                }
            ),
            &["unknown option `users`, expected `user` or `crate`"],
        );
        check(
            quote!(
                #[permissions(user = "User")]
                enum P {
                    A,
                }
            ),
            &["`user` needs a value, such as `user = User`"],
        );
        check(
            quote!(
                #[permissions(user = A)]
                #[permissions(user = B)]
                enum P {
                    A,
                }
            ),
            &["`user` is given twice; keep one"],
        );
    }
}
