//! Checks that compare parts of the model.

use syn::GenericParam;

use super::model::{FieldKey, Model, Shape, Struct, UserName};
use crate::errors::Errors;

/// The longest name of a user type, as in `login-runtime`.
const MAX_NAME: usize = 32;

impl Model<'_> {
    pub(super) fn check(&self, errors: &mut Errors) {
        self.check_lifetimes(errors);
        self.check_name(errors);
        match &self.shape {
            Shape::Struct(fields) => {
                self.check_id(fields, errors);
                self.check_functions(fields, errors);
                self.check_single_marks(fields, errors);
                self.check_active(fields, errors);
            }
            // No value of such a type exists.
            Shape::Enum(users) if users.variants.is_empty() => {
                errors.enum_without_variants(&self.input.ident);
            }
            // The users in the variants have all of these.
            Shape::Enum(_) => {
                let id = self.id_fn.as_ref().map(|function| &function.path);
                for (name, path) in [
                    ("id", id),
                    ("session_hash", self.session_hash_fn.as_ref()),
                    ("password_hash", self.password_hash_fn.as_ref()),
                    ("set_password_hash", self.set_password_hash_fn.as_ref()),
                ] {
                    if let Some(path) = path {
                        errors.function_on_enum(path, name);
                    }
                }
            }
            Shape::Union(token) => errors.union(token),
        }
    }

    // A user is stored in the request, so it cannot borrow from the code that loads it.
    fn check_lifetimes(&self, errors: &mut Errors) {
        if let Some(param) = self.input.generics.lifetimes().next() {
            errors.borrowed_user(&param.lifetime);
        }
    }

    // The name is part of cookies and records. Two types with one name would share their logins.
    fn check_name(&self, errors: &mut Errors) {
        if self.has_lifetime_parameter() {
            return; // That is a mistake of its own.
        }
        let params = &self.input.generics.params;
        let param = params
            .iter()
            .find(|param| !matches!(param, GenericParam::Lifetime(_)));
        match (&self.name, param) {
            (Some(UserName::Text(name)), _) if !is_name(&name.value()) => errors.not_a_name(name),
            (Some(_), _) => {}
            (None, Some(param)) => errors.generic_without_name(param),
            (None, None) if !is_name(&self.own_name()) => {
                errors.type_name_unfit(&self.input.ident);
            }
            (None, None) => {}
        }
    }

    // A struct has an id.
    fn check_id(&self, fields: &Struct<'_>, errors: &mut Errors) {
        let is_known = self.id_fn.is_some() || fields.flattened().is_some();
        if fields.id().is_none() && !is_known {
            errors.no_id(&self.input.ident);
        }
    }

    // A field or a function, and a hash that can be replaced.
    fn check_functions(&self, fields: &Struct<'_>, errors: &mut Errors) {
        for (key, has_function) in [
            (FieldKey::Id, self.id_fn.is_some()),
            (FieldKey::SessionHash, self.session_hash_fn.is_some()),
            (FieldKey::PasswordHash, self.password_hash_fn.is_some()),
        ] {
            let mark = fields.marks.iter().find(|mark| mark.key == key);
            if let Some(mark) = mark.filter(|_| has_function) {
                errors.field_and_function(&mark.name);
            }
        }
        match (&self.password_hash_fn, &self.set_password_hash_fn) {
            (Some(get), None) => errors.password_hash_without_setter(get),
            (None, Some(set)) => errors.setter_without_password_hash(set),
            _ => {}
        }
    }

    // These options mark at most one field each.
    fn check_single_marks(&self, fields: &Struct<'_>, errors: &mut Errors) {
        for key in [
            FieldKey::Id,
            FieldKey::PasswordHash,
            FieldKey::Roles,
            FieldKey::Flatten,
        ] {
            let marks = fields.marks.iter().filter(|mark| mark.key == key);
            for mark in marks.skip(1) {
                errors.marked_twice(&mark.name);
            }
        }
    }

    // One field or one function tells whether a user is active. If a second field were ignored
    // silently, inactive users could log in.
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
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed)
}
