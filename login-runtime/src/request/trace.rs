//! What the routes on a request's way to its handler declare, and the state that a gate keeps for the
//! layers around it.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use actix_web::{HttpMessage as _, dev::ServiceRequest};

use crate::refusal::{ResolvedViews, ScopeViews};

/// What a route declares about the clients that may reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declaration {
    /// All clients.
    Public,
    /// Those that a guard lets through; what it asks for, in words.
    Guard(String),
    /// Those that an inner gate lets through.
    Gate,
}

/// Receives the declarations that a request passes.
pub(crate) trait Listener {
    fn declared(&self, request: &ServiceRequest, declaration: Declaration);

    /// The request has passed a scope with these views.
    fn has_views(&self, request: &ServiceRequest, views: &ScopeViews);
}

/// What a request has passed on its way to a handler.
#[derive(Default)]
pub(crate) struct RouteTrace {
    declared: Cell<bool>,
    /// Whether an inner gate decides instead.
    gated: Cell<bool>,
    /// Whether the owner has decided already, because the request had passed no declaration.
    decided: Cell<bool>,
    /// The type of the service behind the owner.
    service: &'static str,
    /// Also receives the declarations.
    listener: Option<Rc<dyn Listener>>,
    /// The views of the innermost scope that has its own.
    views: RefCell<Option<(Rc<ScopeViews>, ResolvedViews)>>,
    /// The state of a layer that no longer has the request.
    state: OnceCell<Rc<dyn Any>>,
}

impl RouteTrace {
    /// A trace for the requests to a service of this type.
    pub(crate) fn before(service: &'static str) -> Self {
        Self {
            service,
            ..Self::default()
        }
    }

    /// A trace that passes each declaration to `listener`.
    #[cfg(feature = "audit")]
    pub(crate) fn heard_by(listener: Rc<dyn Listener>) -> Self {
        Self {
            listener: Some(listener),
            ..Self::default()
        }
    }

    /// The innermost trace of a request.
    pub(crate) fn of(request: &ServiceRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Keeps a state for the layers around.
    pub(crate) fn keep_state(&self, state: Rc<dyn Any>) {
        let _ = self.state.set(state);
    }

    /// The kept state, if it is of this type.
    pub(crate) fn state<T: 'static>(&self) -> Option<Rc<T>> {
        Rc::clone(self.state.get()?).downcast().ok()
    }

    /// Notes a declaration, and says whether it came too late to count.
    pub(crate) fn note_declared(&self) -> bool {
        self.declared.set(true);
        self.decided.get()
    }

    pub(crate) fn note_decided(&self) {
        self.decided.set(true);
    }

    /// The type of the service behind the owner.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    pub(crate) fn tell(&self, request: &ServiceRequest, what: impl FnOnce() -> Declaration) {
        if let Some(listener) = &self.listener {
            listener.declared(request, what());
        }
    }

    /// Notes the views of a scope that the request passes.
    pub(crate) fn note_views(&self, request: &ServiceRequest, views: &Rc<ScopeViews>) {
        let resolved = ResolvedViews::of(views.iter(), request.request());
        self.views.replace(Some((Rc::clone(views), resolved)));
        if let Some(listener) = &self.listener {
            listener.has_views(request, views);
        }
    }

    /// The views of the innermost scope, and the addresses of those that are names of routes.
    pub(crate) fn views(&self) -> Option<(Rc<ScopeViews>, ResolvedViews)> {
        self.views.borrow().clone()
    }

    pub(crate) fn is_declared(&self) -> bool {
        self.declared.get()
    }

    pub(crate) fn leave_to_gate(&self) {
        self.gated.set(true);
    }

    /// Whether the owner of the trace has nothing to decide.
    pub(crate) fn is_open(&self) -> bool {
        self.declared.get() || self.gated.get()
    }
}
