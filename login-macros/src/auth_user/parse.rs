//! Fills the model and reports wrong options.

use syn::{Attribute, Data, DeriveInput, Fields, MacroDelimiter, Meta};

use super::model::{
    Enum, FIELD_OPTIONS, Field, FieldKey, ITEM_OPTIONS, ItemKey, Mark, Model, Shape, Struct,
    Variant,
};
use crate::{
    errors::{Errors, place},
    options::{Opt, Reader, lookup, names},
    paths::Root,
};

impl<'a> Model<'a> {
    pub(super) fn parse(input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let mut model = Self {
            input,
            root: Root::default(),
            active_fn: None,
            id_fn: None,
            session_hash_fn: None,
            password_hash_fn: None,
            set_password_hash_fn: None,
            name: None,
            shape: match &input.data {
                Data::Struct(data) => Shape::Struct(Struct::parse(&data.fields, errors)),
                Data::Enum(data) => Shape::Enum(Enum::parse(&data.variants, errors)),
                Data::Union(data) => Shape::Union(data.union_token),
            },
        };
        let reader = Reader::new(ITEM_OPTIONS, |name| {
            lookup(FIELD_OPTIONS, name).map(|_| place::FIELD)
        });
        for (key, opt) in read_auth(&input.attrs, reader, &names(ITEM_OPTIONS), errors) {
            let is_field_option = lookup(FIELD_OPTIONS, &opt.name.to_string()).is_some();
            if is_field_option && key != ItemKey::Active && !opt.has_value() {
                errors.misplaced_option(&opt.name, place::FIELD);
                continue;
            }
            match key {
                ItemKey::Id => {
                    model.id_fn = opt.value("id = Self::key -> i64", errors);
                }
                ItemKey::SessionHash => {
                    model.session_hash_fn = opt.value("session_hash = Self::epoch", errors);
                }
                ItemKey::PasswordHash => {
                    model.password_hash_fn = opt.value("password_hash = Self::hash", errors);
                }
                ItemKey::SetPasswordHash => {
                    let example = "set_password_hash = Self::set_hash";
                    model.set_password_hash_fn = opt.value(example, errors);
                }
                ItemKey::Active => {
                    model.active_fn = opt.value("active = Self::may_log_in", errors);
                }
                ItemKey::Name => {
                    model.name = opt.value("name = \"customer\"", errors);
                }
                ItemKey::Crate => {
                    model.root = opt.root(errors);
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
            let reader = Reader::new(FIELD_OPTIONS, |name| {
                lookup(ITEM_OPTIONS, name).map(|_| place::STRUCT)
            });
            for (key, opt) in read_auth(&field.attrs, reader, &names(FIELD_OPTIONS), errors) {
                match key {
                    FieldKey::Active
                    | FieldKey::Id
                    | FieldKey::SessionHash
                    | FieldKey::PasswordHash
                        if opt.has_value() =>
                    {
                        errors.function_on_field(&opt.name);
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
}

impl<'a> Enum<'a> {
    fn parse(variants: impl IntoIterator<Item = &'a syn::Variant>, errors: &mut Errors) -> Self {
        let mut parsed = Self {
            variants: Vec::new(),
            has_password_mark: false,
        };
        for variant in variants {
            let of_fields = variant.fields.iter().map(|field| &field.attrs);
            for attrs in [&variant.attrs].into_iter().chain(of_fields) {
                let reader = Reader::new(FIELD_OPTIONS, |name| {
                    lookup(ITEM_OPTIONS, name).map(|_| place::ENUM)
                });
                for (key, opt) in read_auth(attrs, reader, &names(FIELD_OPTIONS), errors) {
                    errors.field_option_in_enum(&opt.name);
                    parsed.has_password_mark |= key == FieldKey::PasswordHash;
                }
            }
            let user = match &variant.fields {
                Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                    fields.unnamed.first().map(|field| &field.ty)
                }
                _ => None,
            };
            if user.is_none() {
                errors.variant_without_user(&variant.ident);
            }
            parsed.variants.push(Variant {
                name: &variant.ident,
                user,
            });
        }
        parsed
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
