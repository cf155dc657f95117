//! What the derive knows about its input.

use proc_macro2::Ident;
use syn::{
    DeriveInput, ExprPath, LitStr, Member, Token, Type,
    ext::IdentExt as _,
    parse::{Parse, ParseStream},
};

use crate::{options::Table, paths::Root};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum ItemKey {
    Active,
    Id,
    SessionHash,
    PasswordHash,
    SetPasswordHash,
    Name,
    Crate,
}

/// The options of `#[auth(..)]` on the struct or enum.
pub(super) const ITEM_OPTIONS: Table<ItemKey> = &[
    ("active", ItemKey::Active),
    ("id", ItemKey::Id),
    ("session_hash", ItemKey::SessionHash),
    ("password_hash", ItemKey::PasswordHash),
    ("set_password_hash", ItemKey::SetPasswordHash),
    ("name", ItemKey::Name),
    ("crate", ItemKey::Crate),
];

#[derive(Clone, Copy, PartialEq)]
pub(super) enum FieldKey {
    Id,
    Active,
    Inactive,
    SessionHash,
    PasswordHash,
    Roles,
    Flatten,
}

/// The options of `#[auth(..)]` on a field.
pub(super) const FIELD_OPTIONS: Table<FieldKey> = &[
    ("id", FieldKey::Id),
    ("active", FieldKey::Active),
    ("inactive", FieldKey::Inactive),
    ("session_hash", FieldKey::SessionHash),
    ("password_hash", FieldKey::PasswordHash),
    ("roles", FieldKey::Roles),
    ("flatten", FieldKey::Flatten),
];

pub(super) struct Model<'a> {
    pub(super) input: &'a DeriveInput,
    pub(super) root: Root,
    /// The function given as `active = path`.
    pub(super) active_fn: Option<ExprPath>,
    /// The functions given as `id = path -> Type`, `session_hash = path` and so on.
    pub(super) id_fn: Option<IdFunction>,
    pub(super) session_hash_fn: Option<ExprPath>,
    pub(super) password_hash_fn: Option<ExprPath>,
    pub(super) set_password_hash_fn: Option<ExprPath>,
    /// What was given as `name = ..`.
    pub(super) name: Option<UserName>,
    pub(super) shape: Shape<'a>,
}

/// The name of a user type.
pub(super) enum UserName {
    Text(LitStr),
    /// A constant, such as `T::KIND` for a generic type.
    Constant(ExprPath),
}

impl Parse for UserName {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            input.parse().map(Self::Text)
        } else {
            input.parse().map(Self::Constant)
        }
    }
}

/// A function that returns the id, with the type that it returns: a macro cannot find that out.
pub(super) struct IdFunction {
    pub(super) path: ExprPath,
    pub(super) ty: Type,
}

impl Parse for IdFunction {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.parse()?;
        input.parse::<Token![->]>()?;
        let ty = input.parse()?;
        Ok(Self { path, ty })
    }
}

pub(super) enum Shape<'a> {
    Struct(Struct<'a>),
    Enum(Enum<'a>),
    Union(Token![union]),
}

pub(super) struct Struct<'a> {
    pub(super) fields: Vec<Field<'a>>,
    pub(super) marks: Vec<Mark<'a>>,
}

#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) member: Member,
    pub(super) ty: &'a Type,
}

/// A field option, and the field that carries it.
pub(super) struct Mark<'a> {
    pub(super) key: FieldKey,
    pub(super) name: Ident,
    pub(super) field: Field<'a>,
}

pub(super) struct Enum<'a> {
    pub(super) variants: Vec<Variant<'a>>,
    /// Whether a variant is marked `password_hash`, which is a mistake.
    pub(super) has_password_mark: bool,
}

pub(super) struct Variant<'a> {
    pub(super) name: &'a Ident,
    /// The type in `Name(Type)`; `None` if the variant has another form.
    pub(super) user: Option<&'a Type>,
}

impl Model<'_> {
    /// The name of the struct or enum, without the `r#` of a keyword.
    pub(super) fn own_name(&self) -> String {
        self.input.ident.unraw().to_string()
    }

    pub(super) fn has_lifetime_parameter(&self) -> bool {
        self.input.generics.lifetimes().next().is_some()
    }
}

impl<'a> Struct<'a> {
    pub(super) fn marked(&self, key: FieldKey) -> Option<&Field<'a>> {
        let mark = self.marks.iter().find(|mark| mark.key == key)?;
        Some(&mark.field)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is_named(name))
    }

    /// The marked field, else the field called `id`, else the only field of a tuple struct.
    pub(super) fn id(&self) -> Option<&Field<'a>> {
        let only = match self.fields.as_slice() {
            [field] if matches!(field.member, Member::Unnamed(_)) => Some(field),
            _ => None,
        };
        self.marked(FieldKey::Id)
            .or_else(|| self.named("id"))
            .or(only)
    }

    /// The field that tells whether the user is active, and whether `true` means inactive.
    pub(super) fn active(&self) -> Option<(&Field<'a>, bool)> {
        match self.active_marks().next() {
            Some(mark) => Some((&mark.field, mark.key == FieldKey::Inactive)),
            None => self.named("is_active").map(|field| (field, false)),
        }
    }

    pub(super) fn active_marks(&self) -> impl Iterator<Item = &Mark<'a>> {
        self.marks
            .iter()
            .filter(|mark| matches!(mark.key, FieldKey::Active | FieldKey::Inactive))
    }

    /// The fields of which a change ends all logins: the marked fields, else the password hash.
    pub(super) fn session_hash(&self) -> Vec<&Field<'a>> {
        let marks = self.marks.iter();
        let marked = marks.filter(|mark| mark.key == FieldKey::SessionHash);
        let marked: Vec<_> = marked.map(|mark| &mark.field).collect();
        // The user in a flattened field brings its own hash.
        let password = self
            .marked(FieldKey::PasswordHash)
            .filter(|field| !self.is_flattened(field));
        if marked.is_empty() {
            password.into_iter().collect()
        } else {
            marked
        }
    }

    /// The field that holds the user whom this struct adds something to.
    pub(super) fn flattened(&self) -> Option<&Field<'a>> {
        self.marked(FieldKey::Flatten)
    }

    pub(super) fn is_flattened(&self, field: &Field<'a>) -> bool {
        self.flattened()
            .is_some_and(|flattened| flattened.member == field.member)
    }
}

impl Field<'_> {
    fn is_named(&self, name: &str) -> bool {
        matches!(&self.member, Member::Named(ident) if ident.unraw() == name)
    }
}

impl<'a> Enum<'a> {
    /// The variants that wrap a user, with the user's type.
    pub(super) fn wrapped_users(&self) -> impl Iterator<Item = (&'a Ident, &'a Type)> {
        self.variants
            .iter()
            .filter_map(|variant| Some((variant.name, variant.user?)))
    }
}
