//! Checks of the signature and of the conditions.

use syn::{ReturnType, Safety};

use super::model::Guard;
use crate::{errors::Errors, types::can_be_future};

/// `actix_web::Handler` is implemented for functions with at most this many arguments.
const MAX_ARGUMENTS: usize = 16;

impl Guard<'_> {
    pub(super) fn check(&self, errors: &mut Errors) {
        self.check_conditions(errors);
        self.check_modifiers(errors);
        self.check_future(errors);
        self.check_arguments(errors);
    }

    // A check is a function of the user, so the user type has to be known.
    fn check_conditions(&self, errors: &mut Errors) {
        if let (None, Some(condition)) = (self.user_type(), &self.options.condition) {
            for check in condition.checks() {
                errors.check_without_user_type(&check.expr);
            }
        }
    }

    // actix-web calls handlers as plain functions.
    fn check_modifiers(&self, errors: &mut Errors) {
        let sig = &self.handler.sig;
        if let Some(token) = &sig.constness {
            errors.function_modifier(token);
        }
        if let Safety::Unsafe(token) = &sig.safety {
            errors.function_modifier(token);
        }
        if let Some(abi) = &sig.abi {
            errors.foreign_abi(abi);
        }
        if let Some(variadic) = &sig.variadic {
            errors.variadic(variadic.dots);
        }
    }

    // A handler returns a future of a response. Types with a name are checked by the compiler.
    fn check_future(&self, errors: &mut Errors) {
        let sig = &self.handler.sig;
        let (is_future, is_missing) = match &sig.output {
            ReturnType::Type(_, ty) => (can_be_future(ty), false),
            ReturnType::Default => (false, true),
        };
        if sig.asyncness.is_none() && !is_future {
            errors.not_async(sig.fn_token, &sig.ident);
        }
        if is_missing {
            errors.returns_nothing(&sig.ident);
        }
    }

    // All arguments are extracted from the request.
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
        }
    }
}
