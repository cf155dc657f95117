//! `#[public]`.
//!
//! The handler stays as it is. The route attribute below gets a middleware that declares the route
//! public: routing sees middleware, and it does not see attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

use crate::{
    argument_check::assert_not_optional,
    errors::Errors,
    guard_kind::GuardKind,
    handler::{Handler, cfgs, expand_fallback},
    options::{Reader, Table},
    paths::Root,
    routes,
    types::is_concrete,
};

pub(crate) const NAME: &str = "public";

#[derive(Clone, Copy, PartialEq)]
enum Key {
    CrossSite,
    Crate,
}

const TABLE: Table<Key> = &[("cross_site", Key::CrossSite), ("crate", Key::Crate)];

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let public = match Public::parse(options, &item, &mut errors) {
        Ok(public) => public,
        Err(error) => return expand_fallback(&errors.finish_with(error), &item),
    };
    public.check(&mut errors);
    match errors.finish() {
        Ok(()) => public.expand(),
        Err(error) => {
            let mut tokens = expand_fallback(&error, &item);
            // A strict configuration would report the same handler again. A guard below declares it.
            if !public.handler.attrs.iter().any(is_guard) {
                tokens.extend(public.declaration());
            }
            tokens
        }
    }
}

struct Public {
    root: Root,
    /// Whether pages of other sites may send requests to it.
    cross_site: bool,
    handler: Handler,
}

impl Public {
    fn parse(options: TokenStream, item: &TokenStream, errors: &mut Errors) -> syn::Result<Self> {
        let mut root = Root::default();
        let mut cross_site = false;
        for (key, opt) in Reader::new(TABLE, |_| None).read(options, errors) {
            match key {
                Key::CrossSite => {
                    opt.flag(errors);
                    cross_site = true;
                }
                Key::Crate => {
                    root = opt.root(errors);
                }
            }
        }
        Ok(Self {
            root,
            cross_site,
            handler: Handler::parse(NAME, item.clone())?,
        })
    }

    fn check(&self, errors: &mut Errors) {
        let attrs = &self.handler.attrs;
        // A route attribute above has expanded already, so this macro cannot change the route.
        if !attrs.iter().any(routes::is_route) {
            errors.public_without_route();
        }
        for guard in attrs.iter().filter(|attr| is_guard(attr)) {
            errors.public_and_guarded(guard.path());
        }
    }

    fn expand(mut self) -> TokenStream {
        let declaration = self.declaration();
        let root = &self.root;
        let cross_site = self.cross_site.then(|| quote!(.cross_site()));
        let wrap = quote!(#root::public() #cross_site);
        routes::wrap(&mut self.handler.attrs, &wrap);
        let assertions = self.assertions();
        let handler = &self.handler;
        quote!(#handler #declaration #assertions)
    }

    /// Items that fail to compile at an optional user.
    fn assertions(&self) -> TokenStream {
        let private = self.root.private();
        let of_handler: Vec<_> = cfgs(&self.handler.attrs).collect();
        let has_cfg_attr =
            |attrs: &[Attribute]| attrs.iter().any(|attr| attr.path().is_ident("cfg_attr"));
        let arguments = self.handler.arguments();
        let assertions = arguments
            // What `cfg_attr` stands for is not known yet; it may remove the argument.
            .filter(|argument| is_concrete(&argument.ty) && !has_cfg_attr(&argument.attrs))
            .map(|argument| {
                let check = assert_not_optional(&private, &argument.ty);
                let of_argument = cfgs(&argument.attrs);
                quote!(#(#of_handler)* #(#of_argument)* const _: () = #check;)
            });
        assertions.collect()
    }

    fn declaration(&self) -> TokenStream {
        let Handler { attrs, sig, .. } = &self.handler;
        routes::declaration(&self.root, attrs, &sig.ident)
    }
}

fn is_guard(attr: &Attribute) -> bool {
    GuardKind::of(attr).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(options: TokenStream, item: TokenStream, messages: &[&str]) {
        let mut errors = Errors::default();
        let found = match Public::parse(options.clone(), &item, &mut errors) {
            Ok(public) => {
                public.check(&mut errors);
                errors.messages()
            }
            Err(error) => vec![errors.finish_with(error).to_string()],
        };
        assert_eq!(found, messages);
        let output = expand(options, item.clone()).to_string();
        assert!(output.contains("compile_error"), "{output}");
        assert!(output.contains(&item.to_string()), "{output}");
    }

    #[track_caller]
    fn expands(options: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(expand(options, item).to_string(), expected.to_string());
    }

    #[test]
    fn the_route_is_wrapped_and_the_handler_stays() {
        expands(
            quote!(),
            quote! {
                /// Docs.
                #[cfg(x)]
                #[instrument]
                #[actix_web::get("/", name = "home",)]
                pub async fn home(#[cfg(y)] a: Home, b: T, c: impl D) -> B { let = half }
            },
            quote! {
                /// Docs.
                #[cfg(x)]
                #[instrument]
                #[actix_web::get("/", name = "home", wrap = ":: login_runtime :: public ()")]
                pub async fn home(#[cfg(y)] a: Home, b: T, c: impl D) -> B { let = half }
                #[cfg(x)]
                #[automatically_derived]
                impl ::login_runtime::__private::DeclaredService for home {}
                #[cfg(x)]
                #[cfg(y)]
                const _: () = {
                    use ::login_runtime::__private::AnyArgument as _;
                    ::login_runtime::__private::ArgumentCheck::<(), (), Home>::KIND.check_optional::<Home>()
                };
            },
        );
    }

    #[test]
    fn each_of_several_routes_is_wrapped() {
        expands(
            quote!(crate = crate::facade),
            quote! {
                #[routes]
                #[get("/a")]
                #[post("/b")]
                async fn both() -> B {}
            },
            quote! {
                #[routes]
                #[get("/a", wrap = "crate :: facade :: public ()")]
                #[post("/b", wrap = "crate :: facade :: public ()")]
                async fn both() -> B {}
                #[automatically_derived]
                impl crate::facade::__private::DeclaredService for both {}
            },
        );
    }

    #[test]
    fn without_a_route_below_it_is_refused() {
        let message = "no route attribute follows `#[public]`; put it above `#[get(..)]`, \
                       or wrap the route in `public()`";
        for item in [
            quote!(
                async fn h() -> A {}
            ),
            quote!(
                #[instrument]
                async fn h() -> A {}
            ),
            // This is an attribute of another crate: a route starts with its path.
            quote!(
                #[trace(name = "h")]
                async fn h() -> A {}
            ),
        ] {
            refuses(quote!(), item, &[message]);
        }
        refuses(
            quote!(user = Admin),
            quote!(
                async fn h() -> A {}
            ),
            &[
                "unknown option `user`, expected `cross_site` or `crate`",
                message,
            ],
        );
    }

    #[test]
    fn a_public_route_may_take_requests_of_other_sites() {
        expands(
            quote!(cross_site),
            quote! {
                #[post("/hook")]
                async fn hook() -> B {}
            },
            quote! {
                #[post("/hook", wrap = ":: login_runtime :: public () . cross_site ()")]
                async fn hook() -> B {}
                #[automatically_derived]
                impl ::login_runtime::__private::DeclaredService for hook {}
            },
        );
        let item = quote!(
            #[post("/hook")]
            async fn hook() -> B {}
        );
        for (options, message) in [
            (quote!(cross_site = true), "`cross_site` takes no value"),
            (quote!(cross_site("a")), "`cross_site` takes no value"),
            (
                quote!(cross_site, cross_site),
                "`cross_site` is given twice; keep one",
            ),
            (
                quote!(crosssite),
                "unknown option `crosssite`, expected `cross_site` or `crate`",
            ),
        ] {
            refuses(options, item.clone(), &[message]);
        }
        refuses(
            quote!(cross_site),
            quote! {
                #[login_required]
                #[post("/hook")]
                async fn hook() -> B {}
            },
            &["`#[public]` and `#[login_required]` contradict each other; keep one"],
        );
    }

    #[test]
    fn a_public_handler_has_no_guard() {
        refuses(
            quote!(),
            quote! {
                #[login_runtime::login_required]
                #[get("/")]
                async fn h() -> A {}
            },
            &["`#[public]` and `#[login_required]` contradict each other; keep one"],
        );
        refuses(
            quote!(),
            quote!(
                struct S;
            ),
            &["`#[public]` goes on a handler function, not on a struct"],
        );
    }
}
