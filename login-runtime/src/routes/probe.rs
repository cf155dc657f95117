//! TODO routes/probe.rs

use std::{cell::RefCell, fmt, rc::Rc};

use actix_web::{
    HttpMessage as _, dev::ServiceRequest, error::ErrorServiceUnavailable,
    introspection::IntrospectionTree, web::Data,
};
use serde::Serialize;

use crate::request::{Declaration, Listener, RouteTrace};

/// Who may reach a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Decision {
    /// Everybody.
    Public,
    /// Who meets all these guards, from the outermost to the innermost: `login`, `fresh(10m)`.
    Guarded(Vec<String>),
    /// It does not say.
    Undeclared,
}

impl Decision {
    pub(crate) fn of(seen: &[Declaration]) -> Self {
        let mut guards: Vec<_> = seen
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Guard(description) => Some(description.clone()),
                Declaration::Public | Declaration::Gate => None,
            })
            .collect();
        guards.dedup();
        if !guards.is_empty() {
            Self::Guarded(guards)
        } else if seen.contains(&Declaration::Public) {
            Self::Public
        } else {
            Self::Undeclared
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Guarded(guards) => f.write_str(&guards.join(" + ")),
            Self::Undeclared => f.write_str("UNDECLARED"),
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undeclared => serializer.serialize_str("undeclared"),
            said => serializer.collect_str(said),
        }
    }
}

/// Whether a request is one of an audit.
pub(crate) fn is_audited(request: &ServiceRequest) -> bool {
    request.extensions().contains::<Rc<Probe>>()
}

/// What makes a request one of an audit, and collects what it meets. Only code of the same process
/// can put it there: it is not part of what a client sends.
pub(crate) struct Probe {
    /// Whether to run what declares nothing.
    pub(crate) runs: bool,
    /// Whether to run what is public.
    pub(crate) runs_public: bool,
    pub(crate) seen: RefCell<Vec<Declaration>>,
    pub(crate) arrival: RefCell<Arrival>,
}

#[derive(Default)]
pub(crate) struct Arrival {
    pub(crate) tree: Option<Data<IntrospectionTree>>,
    pub(crate) pattern: Option<String>,
    pub(crate) name: Option<String>,
}

impl Probe {
    /// The probe of a request, which is watched from here on.
    pub(crate) fn of(request: &ServiceRequest) -> Option<Rc<Self>> {
        let probe = request.extensions().get::<Rc<Self>>().cloned()?;
        let tree = request.app_data::<Data<IntrospectionTree>>();
        probe.arrival.replace(Arrival {
            tree: tree.cloned(),
            pattern: request.resource_map().match_pattern(request.path()),
            name: request
                .resource_map()
                .match_name(request.path())
                .map(str::to_owned),
        });
        let listener: Rc<dyn Listener> = Rc::clone(&probe) as _;
        let watch = RouteTrace::heard_by(listener);
        request.extensions_mut().insert(Rc::new(watch));
        Some(probe)
    }

    /// Answers in place of the route, unless there is more to be seen behind it.
    pub(crate) async fn answer<R>(
        &self,
        route: impl Future<Output = Result<R, actix_web::Error>>,
    ) -> Result<R, actix_web::Error> {
        let later = self
            .seen
            .borrow_mut()
            .pop_if(|last| *last == Declaration::Gate);
        let runs = match Decision::of(&self.seen.borrow()) {
            Decision::Undeclared => self.runs,
            Decision::Public => self.runs_public,
            Decision::Guarded(_) => false,
        };
        let goes_on = later.is_some() || runs;
        if goes_on {
            return route.await;
        }
        Err(ErrorServiceUnavailable("this was a request of an audit"))
    }
}

impl Listener for Probe {
    fn declared(&self, request: &ServiceRequest, declaration: Declaration) {
        self.seen.borrow_mut().push(declaration);
        // The innermost declaration knows the route best.
        self.arrival.borrow_mut().name = request.request().match_name().map(str::to_owned);
    }
}
