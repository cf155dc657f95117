//! What a request meets on its way to a handler, and what is kept for the layers around it.

use std::{
    any::Any,
    cell::{Cell, OnceCell},
    rc::Rc,
};

use actix_web::{HttpMessage as _, dev::ServiceRequest};

/// What a route says about who may reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declaration {
    /// Everybody.
    Public,
    /// Who meets a guard.
    Guard(String),
    /// Whoever a further gate lets through, which is asked later.
    Gate,
}

/// Is told of the declarations that a request passes.
pub(crate) trait Listener {
    fn declared(&self, request: &ServiceRequest, declaration: Declaration);
}

/// What a request meets on its way to a handler.
#[derive(Default)]
pub(crate) struct RouteTrace {
    declared: Cell<bool>,
    /// Whether a further gate decides in place of who watches.
    gated: Cell<bool>,
    /// Who else is told of the declarations.
    listener: Option<Rc<dyn Listener>>,
    /// What was found out about the client by a layer that no longer has the request.
    state: OnceCell<Rc<dyn Any>>,
}

impl RouteTrace {
    /// A trace that tells `listener` of each declaration.
    pub(crate) fn heard_by(listener: Rc<dyn Listener>) -> Self {
        Self {
            listener: Some(listener),
            ..Self::default()
        }
    }

    /// The watch that is nearest to the request here.
    pub(crate) fn of(request: &ServiceRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Keeps what was found out about the client.
    pub(crate) fn keep_state(&self, state: Rc<dyn Any>) {
        let _ = self.state.set(state);
    }

    /// What was found out about the client, if it is of this type.
    pub(crate) fn state<T: 'static>(&self) -> Option<Rc<T>> {
        Rc::clone(self.state.get()?).downcast().ok()
    }

    pub(crate) fn note_declared(&self) {
        self.declared.set(true);
    }

    pub(crate) fn tell(&self, request: &ServiceRequest, what: impl FnOnce() -> Declaration) {
        if let Some(listener) = &self.listener {
            listener.declared(request, what());
        }
    }

    pub(crate) fn is_declared(&self) -> bool {
        self.declared.get()
    }

    pub(crate) fn leave_to_gate(&self) {
        self.gated.set(true);
    }

    /// Whether there is nothing to decide for who watches.
    pub(crate) fn is_open(&self) -> bool {
        self.declared.get() || self.gated.get()
    }
}
