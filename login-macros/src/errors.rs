//! Every message the macros can show, one function each.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::{Error, LitStr, Path, ext::IdentExt as _};

/// The mistakes found so far. One compile reports all of them.
#[derive(Default)]
pub(crate) struct Errors(Vec<Error>);

impl Errors {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn finish(self) -> syn::Result<()> {
        let combined = self.0.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        combined.map_or(Ok(()), Err)
    }

    /// All mistakes found before `last`, which ended the search.
    pub(crate) fn finish_with(self, mut last: Error) -> Error {
        last.extend(self.0);
        last
    }

    fn at(&mut self, span: Span, message: impl Into<String>) {
        self.0.push(Error::new(span, message.into()));
    }

    fn on(&mut self, tokens: impl ToTokens, message: impl Into<String>) {
        self.0.push(Error::new_spanned(tokens, message.into()));
    }
}

/// Where an option goes that stands in a wrong place.
pub(crate) mod place {
    pub(crate) const FIELD: &str = "a field";
    pub(crate) const STRUCT: &str = "the struct, above its fields";
    pub(crate) const ENUM: &str = "the enum, above its variants";
    pub(crate) const GUARD: &str = "the guard itself, outside of these parentheses";
}

/// Options of all macros.
impl Errors {
    pub(crate) fn unknown_option(&mut self, name: &Ident, expected: &[&str]) {
        let expected = one_of(expected);
        self.on(
            name,
            format!("unknown option `{name}`, expected {expected}"),
        );
    }

    pub(crate) fn not_an_option(&mut self, span: Span, expected: &[&str]) {
        self.at(span, format!("expected an option: {}", one_of(expected)));
    }

    pub(crate) fn option_given_twice(&mut self, name: &Ident) {
        self.on(name, format!("`{name}` is given twice; keep one"));
    }

    pub(crate) fn misplaced_option(&mut self, name: &Ident, place: &str) {
        self.on(name, format!("`{name}` goes on {place}"));
    }

    pub(crate) fn takes_no_value(&mut self, name: &Ident) {
        self.on(name, format!("`{name}` takes no value"));
    }

    pub(crate) fn needs_a_value(&mut self, span: Span, name: &Ident, example: &str) {
        self.at(span, format!("`{name}` needs a value, such as `{example}`"));
    }

    pub(crate) fn not_a_duration(&mut self, text: &LitStr) {
        let value = text.value();
        self.on(
            text,
            format!(
                "`{value}` is not a duration; write a number and `s`, `m`, `h` or `d`: \"10m\""
            ),
        );
    }
}

/// Conditions of guards.
impl Errors {
    pub(crate) fn needs_conditions(&mut self, name: &Ident) {
        let example = if name == "not" {
            "not(role = \"guest\")".to_owned()
        } else {
            format!("{name}(role = \"admin\", role = \"editor\")")
        };
        self.on(
            name,
            format!("`{name}` needs conditions in its parentheses, such as `{example}`"),
        );
    }

    pub(crate) fn not_of_several(&mut self, name: &Ident) {
        self.on(
            name,
            "`not(..)` takes one condition; write `not(any(..))` or `not(all(..))`",
        );
    }

    pub(crate) fn condition_given_twice(&mut self, name: &Ident) {
        self.on(
            name,
            format!(
                "`{name}` is given twice; write `any({name} = .., {name} = ..)`, or `all(..)` if both are needed"
            ),
        );
    }

    pub(crate) fn not_a_role(&mut self, role: &LitStr, limit: usize) {
        self.on(
            role,
            format!("a role has 1 to {limit} bytes, and no spaces around it"),
        );
    }

    pub(crate) fn permission_without_set(&mut self, path: impl ToTokens) {
        let name = path.to_token_stream();
        self.on(
            path,
            format!("a permission needs the name of its enum, such as `Permission::{name}`"),
        );
    }

    pub(crate) fn no_permission(&mut self, span: Span) {
        self.at(
            span,
            "the permission is missing; write `#[permission_required(Permission::EditPost)]`",
        );
    }

    pub(crate) fn not_a_check(&mut self, expr: impl ToTokens) {
        self.on(
            expr,
            "`check` is a closure or the path of a function; write `check = |user: &User| user.is_staff`",
        );
    }

    pub(crate) fn async_check(&mut self, token: impl ToTokens) {
        self.on(
            token,
            "a `check` cannot be async; use a permission for what has to be looked up",
        );
    }

    pub(crate) fn check_without_user_type(&mut self, expr: impl ToTokens) {
        self.on(
            expr,
            "the user type of `check` is unknown; write `|user: &User| ..`, or add `user = User`",
        );
    }

    pub(crate) fn type_macro(&mut self, tokens: impl ToTokens, example: &str) {
        self.on(tokens, format!("write `{example}`"));
    }
}

/// `#[derive(Permissions)]`.
impl Errors {
    pub(crate) fn permissions_without_options(
        &mut self,
        attribute: impl ToTokens,
        expected: &[&str],
    ) {
        let expected = one_of(expected);
        self.on(
            attribute,
            format!("`#[permissions(..)]` needs options in its parentheses: {expected}"),
        );
    }

    pub(crate) fn permissions_without_user(&mut self, set: &Ident) {
        self.on(
            set,
            "permissions need a user type; add `#[permissions(user = User)]`",
        );
    }

    pub(crate) fn permissions_on(&mut self, token: impl ToTokens, kind: &str) {
        self.on(
            token,
            format!("permissions are the variants of an enum, and this is a {kind}"),
        );
    }

    pub(crate) fn no_permissions(&mut self, set: &Ident) {
        self.on(
            set,
            "an enum without variants has no permissions; add a variant, such as `EditPost`",
        );
    }

    pub(crate) fn permission_with_fields(&mut self, name: &Ident, fields: impl ToTokens) {
        self.on(
            fields,
            format!(
                "a permission has no fields; write `{name}`, and read the details from the request"
            ),
        );
    }

    pub(crate) fn generic_permissions(&mut self, param: impl ToTokens) {
        self.on(
            param,
            "permissions cannot be generic; remove the parameters of the enum",
        );
    }
}

/// `#[derive(AuthUser)]`.
impl Errors {
    pub(crate) fn auth_without_options(&mut self, attribute: impl ToTokens, expected: &[&str]) {
        let expected = one_of(expected);
        self.on(
            attribute,
            format!("`#[auth(..)]` needs options in its parentheses: {expected}"),
        );
    }

    pub(crate) fn no_id(&mut self, user: &Ident) {
        self.on(
            user,
            "no field holds the user id; name a field `id` or mark one with `#[auth(id)]`",
        );
    }

    pub(crate) fn not_a_name(&mut self, name: &LitStr) {
        self.on(
            name,
            "the name of a user type has 1 to 32 ASCII letters, digits, `-` and `_`",
        );
    }

    pub(crate) fn type_name_unfit(&mut self, user: &Ident) {
        self.on(
            user,
            format!(
                "`{}` does not fit into cookies and records, where a name has 1 to 32 ASCII letters, digits, `-` and `_`; add `#[auth(name = \"customer\")]`",
                user.unraw(),
            ),
        );
    }

    pub(crate) fn generic_without_name(&mut self, param: impl ToTokens) {
        self.on(
            param,
            "a generic user type needs a name; add `#[auth(name = T::NAME)]` with a constant of each parameter, \
             or `#[auth(name = \"customer\")]` if there is only one",
        );
    }

    pub(crate) fn marked_twice(&mut self, mark: &Ident) {
        let name = mark.unraw();
        self.on(
            mark,
            format!("two fields are marked `#[auth({name})]`; keep one"),
        );
    }

    pub(crate) fn active_marked_twice(&mut self, mark: &Ident) {
        self.on(
            mark,
            "two fields tell whether a user is active; keep one, or write `#[auth(active = path)]` on the struct",
        );
    }

    pub(crate) fn function_on_field(&mut self, name: &Ident) {
        self.on(
            name,
            format!("`{name} = path` goes on the struct; on a field, `{name}` takes no value"),
        );
    }

    pub(crate) fn field_and_function(&mut self, mark: &Ident) {
        self.on(
            mark,
            format!("`{mark}` on a field and `{mark} = path` on the struct contradict each other; keep one"),
        );
    }

    pub(crate) fn password_hash_without_setter(&mut self, path: impl ToTokens) {
        self.on(
            path,
            "a password hash is replaced when it is outdated; add `set_password_hash = path`, a `fn(&mut Self, String)`",
        );
    }

    pub(crate) fn setter_without_password_hash(&mut self, path: impl ToTokens) {
        self.on(
            path,
            "there is no hash to replace; add `password_hash = path`, a `fn(&Self) -> Option<&str>`",
        );
    }

    pub(crate) fn function_on_enum(&mut self, path: impl ToTokens, name: &str) {
        self.on(
            path,
            format!("`{name} = path` goes on the structs that the variants wrap"),
        );
    }

    pub(crate) fn active_field_and_function(&mut self, mark: &Ident) {
        self.on(
            mark,
            format!("`{mark}` on a field and `active = path` on the struct contradict each other; keep one"),
        );
    }

    pub(crate) fn is_active_ignored(&mut self, mark: &Ident) {
        self.on(
            mark,
            "`is_active` would be ignored; keep one of the two fields, or write `#[auth(active = path)]`",
        );
    }

    pub(crate) fn borrowed_user(&mut self, lifetime: impl ToTokens) {
        self.on(lifetime, "a user type cannot borrow; own the data instead");
    }

    pub(crate) fn union(&mut self, token: impl ToTokens) {
        self.on(
            token,
            "`AuthUser` cannot be derived for a union; use a struct or an enum",
        );
    }

    pub(crate) fn enum_without_variants(&mut self, user: &Ident) {
        self.on(
            user,
            "an enum without variants has no users; add a variant that wraps a user, such as `Member(Member)`",
        );
    }

    pub(crate) fn variant_without_user(&mut self, variant: &Ident) {
        self.on(
            variant,
            format!("variant `{variant}` does not wrap one user; write `{variant}(User)`"),
        );
    }

    pub(crate) fn field_option_in_enum(&mut self, name: &Ident) {
        self.on(
            name,
            format!("`{name}` goes on a field of the struct that the variant wraps"),
        );
    }
}

/// The guards.
impl Errors {
    /// `kind` is the kind of item with its article, if it is known.
    pub(crate) fn not_a_function(span: Span, guard: &str, kind: Option<&str>) -> Error {
        let message = format!("`#[{guard}]` goes on a handler function");
        match kind {
            Some(kind) => Error::new(span, format!("{message}, not on {kind}")),
            None => Error::new(span, message),
        }
    }

    pub(crate) fn no_body(guard: &str, handler: &Ident) -> Error {
        Error::new_spanned(
            handler,
            format!("`{handler}` has no body to guard; put `#[{guard}]` where it is implemented"),
        )
    }

    pub(crate) fn not_async(&mut self, fn_token: impl ToTokens, handler: &Ident) {
        self.on(
            fn_token,
            format!("handlers must be async; write `async fn {handler}`"),
        );
    }

    pub(crate) fn returns_nothing(&mut self, handler: &Ident) {
        self.on(
            handler,
            format!(
                "handler `{handler}` returns nothing; give it a return type such as `-> impl Responder`"
            ),
        );
    }

    pub(crate) fn method(&mut self, receiver: impl ToTokens) {
        self.on(
            receiver,
            "a handler cannot take `self`; take shared state as `web::Data`",
        );
    }

    pub(crate) fn too_many_arguments(&mut self, argument: impl ToTokens, limit: usize) {
        self.on(
            argument,
            format!(
                "actix-web handlers take at most {limit} arguments; join some in one extractor"
            ),
        );
    }

    pub(crate) fn variadic(&mut self, dots: impl ToTokens) {
        self.on(dots, "a handler cannot be variadic; remove `...`");
    }

    pub(crate) fn foreign_abi(&mut self, abi: impl ToTokens) {
        self.on(abi, "handlers are called by actix-web; remove `extern`");
    }

    pub(crate) fn function_modifier(&mut self, modifier: impl ToTokens) {
        let name = modifier.to_token_stream();
        self.on(
            modifier,
            format!("handlers cannot be `{name} fn`; remove `{name}`"),
        );
    }

    pub(crate) fn cfg_attr_on_argument(&mut self, attribute: impl ToTokens) {
        self.on(
            attribute,
            "`cfg_attr` is not supported on a handler's argument; use `cfg`, or put it on the function",
        );
    }
}

/// `#[public]`.
impl Errors {
    pub(crate) fn public_without_route(&mut self) {
        self.at(
            Span::call_site(),
            "no route attribute follows `#[public]`; put it above `#[get(..)]`, \
             or wrap the route in `public()`",
        );
    }

    pub(crate) fn public_and_guarded(&mut self, guard: &Path) {
        let name = guard.segments.last().map(|segment| segment.ident.unraw());
        let name = name.map_or_else(String::new, |name| name.to_string());
        self.on(
            guard,
            format!("`#[public]` and `#[{name}]` contradict each other; keep one"),
        );
    }
}

#[cfg(test)]
impl Errors {
    pub(crate) fn messages(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// The names in back-ticks, with commas and a last `or`.
fn one_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("`{name}`"),
        [names @ .., last] => format!("`{}` or `{last}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(one_of(&["id"]), "`id`");
        assert_eq!(one_of(&["id", "active"]), "`id` or `active`");
        assert_eq!(
            one_of(&["id", "active", "crate"]),
            "`id`, `active` or `crate`"
        );
    }

    #[test]
    fn all_mistakes_end_up_in_one_error() {
        let mut errors = Errors::default();
        assert!(errors.is_empty());
        errors.no_id(&Ident::new("User", Span::call_site()));
        errors.takes_no_value(&Ident::new("id", Span::call_site()));
        let error = errors.finish().unwrap_err();
        assert_eq!(error.into_iter().count(), 2);
        assert!(Errors::default().finish().is_ok());
    }
}
