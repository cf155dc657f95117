//! Measures calls of stores and checks of passwords, for the features `metrics` and `tracing-actix-web`.
//!
//! Without these features the types are empty and the functions do nothing, so a request is not slower.

use std::future::Future;

#[cfg(all(feature = "metrics", feature = "password"))]
use ::metrics::{Gauge, Histogram};
#[cfg(feature = "metrics")]
use ::metrics::{Key, Label, with_recorder};
#[cfg(feature = "metrics")]
use std::time::Instant;
#[cfg(feature = "tracing-actix-web")]
use tracing::{Instrument as _, Span, field::Empty, instrument::Instrumented};

#[cfg(feature = "metrics")]
use crate::metrics::{METADATA, STORE_SECONDS};
#[cfg(all(feature = "metrics", feature = "password"))]
use crate::metrics::{
    PASSWORD_CHECK_SECONDS, PASSWORD_CHECKS_RUNNING, PASSWORD_CHECKS_WAITING,
    PASSWORD_WAIT_SECONDS, PASSWORDS_BUSY, count, static_key,
};

/// Keeps a task within the span of the request that starts it.
#[cfg(feature = "tracing-actix-web")]
pub(crate) fn in_current_span<F: Future>(task: F) -> Instrumented<F> {
    task.in_current_span()
}

/// Keeps a task within the span of the request that starts it.
#[cfg(not(feature = "tracing-actix-web"))]
pub(crate) fn in_current_span<F: Future>(task: F) -> F {
    task
}

/// How a call of a store ended.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Answered,
    /// The store has no room.
    Full,
    Failed,
    /// There was no answer before the deadline.
    TimedOut,
    /// The request had waited too long for other answers, so the store was not asked.
    NotAsked,
    /// The request ended before the answer came.
    #[cfg(feature = "metrics")]
    Cancelled,
}

#[cfg(any(feature = "metrics", feature = "tracing-actix-web"))]
impl Outcome {
    #[cfg(feature = "metrics")]
    const ALL: [Self; 6] = [
        Self::Answered,
        Self::Full,
        Self::Failed,
        Self::TimedOut,
        Self::NotAsked,
        Self::Cancelled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Full => "full",
            Self::Failed => "error",
            Self::TimedOut => "timeout",
            Self::NotAsked => "not_asked",
            #[cfg(feature = "metrics")]
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a store is asked to do.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// For each outcome. They are known at compile time, so that recording allocates nothing.
    #[cfg(feature = "metrics")]
    labels: [[Label; 2]; Outcome::ALL.len()],
}

impl Operation {
    #[cfg(feature = "metrics")]
    pub(crate) const fn new(name: &'static str) -> Self {
        const fn labels(operation: &'static str, outcome: Outcome) -> [Label; 2] {
            [
                Label::from_static_parts("operation", operation),
                Label::from_static_parts("outcome", outcome.name()),
            ]
        }
        let [answered, full, failed, timed_out, not_asked, cancelled] = Outcome::ALL;
        Self {
            name,
            labels: [
                labels(name, answered),
                labels(name, full),
                labels(name, failed),
                labels(name, timed_out),
                labels(name, not_asked),
                labels(name, cancelled),
            ],
        }
    }

    #[cfg(not(feature = "metrics"))]
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

/// A call of a store.
pub(crate) struct StoreCall {
    #[cfg(feature = "metrics")]
    timing: Timing,
    #[cfg(feature = "tracing-actix-web")]
    span: Span,
}

impl StoreCall {
    #[allow(
        unused_variables,
        reason = "without the features, a call is not measured"
    )]
    pub(crate) fn start(operation: &'static Operation) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            timing: Timing {
                running: Some((operation, Instant::now())),
            },
            #[cfg(feature = "tracing-actix-web")]
            span: tracing::debug_span!(
                target: "login", "login_store", operation = operation.name, outcome = Empty
            ),
        }
    }

    /// Puts what is awaited into the span of the call.
    #[cfg(feature = "tracing-actix-web")]
    pub(crate) fn watch<F: Future>(&self, awaited: F) -> Instrumented<F> {
        awaited.instrument(self.span.clone())
    }

    /// Puts what is awaited into the span of the call.
    #[cfg(not(feature = "tracing-actix-web"))]
    pub(crate) fn watch<F: Future>(&self, awaited: F) -> F {
        awaited
    }

    /// Runs a part of the call, such as a poll, in its span.
    pub(crate) fn within<T>(&self, part: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing-actix-web")]
        let _entered = self.span.enter();
        part()
    }

    /// Records how the call ended. A call that is dropped without it was cancelled.
    #[allow(
        unused_variables,
        reason = "without the features, a call is not measured"
    )]
    pub(crate) fn end(&mut self, outcome: impl FnOnce() -> Outcome) {
        #[cfg(any(feature = "metrics", feature = "tracing-actix-web"))]
        {
            let outcome = outcome();
            #[cfg(feature = "metrics")]
            self.timing.end(outcome);
            #[cfg(feature = "tracing-actix-web")]
            self.span.record("outcome", outcome.name());
        }
    }
}

/// Records the time of a call when it is dropped, at the latest.
#[cfg(feature = "metrics")]
struct Timing {
    /// `None` after the end.
    running: Option<(&'static Operation, Instant)>,
}

#[cfg(feature = "metrics")]
impl Timing {
    fn end(&mut self, outcome: Outcome) {
        if let Some((operation, started)) = self.running.take() {
            let key = Key::from_static_parts(STORE_SECONDS, &operation.labels[outcome as usize]);
            record(&key, started);
        }
    }
}

#[cfg(feature = "metrics")]
impl Drop for Timing {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

#[cfg(feature = "metrics")]
fn record(key: &Key, started: Instant) {
    let seconds = started.elapsed();
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(seconds));
}

/// Why a password was not checked.
#[cfg(feature = "password")]
#[derive(Clone, Copy)]
pub(crate) enum Busy {
    /// Too many checks were waiting.
    Queue,
    /// The application's other blocking work occupies all threads.
    Threads,
    Memory,
}

#[cfg(feature = "password")]
impl Busy {
    pub(crate) fn count(self) {
        #[cfg(feature = "metrics")]
        count(
            match self {
                Self::Queue => static_key!(PASSWORDS_BUSY, "reason" => "queue"),
                Self::Threads => static_key!(PASSWORDS_BUSY, "reason" => "threads"),
                Self::Memory => static_key!(PASSWORDS_BUSY, "reason" => "memory"),
            },
            1,
        );
    }
}

/// Puts the check of a password into a span.
#[cfg(all(feature = "password", feature = "tracing-actix-web"))]
pub(crate) fn password_check<F: Future>(check: F) -> Instrumented<F> {
    check.instrument(tracing::debug_span!(target: "login", "password_check"))
}

/// Puts the check of a password into a span.
#[cfg(all(feature = "password", not(feature = "tracing-actix-web")))]
pub(crate) fn password_check<F: Future>(check: F) -> F {
    check
}

/// A check of a password that waits for its turn.
#[cfg(feature = "password")]
pub(crate) struct Waiting {
    #[cfg(feature = "metrics")]
    running: Option<(Counted, Instant)>,
}

#[cfg(feature = "password")]
impl Waiting {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            running: Some((Counted::new(gauge(PASSWORD_CHECKS_WAITING)), Instant::now())),
        }
    }

    /// Records whether its turn came. A wait that is dropped without it was cancelled.
    #[allow(
        unused_mut,
        unused_variables,
        reason = "without the feature, a wait is not measured"
    )]
    pub(crate) fn end(mut self, has_turn: bool) {
        #[cfg(feature = "metrics")]
        self.record(if has_turn {
            static_key!(PASSWORD_WAIT_SECONDS, "outcome" => "ok")
        } else {
            static_key!(PASSWORD_WAIT_SECONDS, "outcome" => "busy")
        });
    }

    #[cfg(feature = "metrics")]
    fn record(&mut self, key: &Key) {
        if let Some((_counted, started)) = self.running.take() {
            record(key, started);
        }
    }
}

#[cfg(all(feature = "metrics", feature = "password"))]
impl Drop for Waiting {
    fn drop(&mut self) {
        self.record(static_key!(PASSWORD_WAIT_SECONDS, "outcome" => "cancelled"));
    }
}

/// A check of a password that will run on another thread.
#[cfg(feature = "password")]
pub(crate) struct Check {
    #[cfg(feature = "metrics")]
    running: Gauge,
    #[cfg(feature = "metrics")]
    seconds: Histogram,
}

#[cfg(feature = "password")]
impl Check {
    /// Taken before the thread changes, because a recorder may belong to one thread.
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            running: gauge(PASSWORD_CHECKS_RUNNING),
            #[cfg(feature = "metrics")]
            seconds: with_recorder(|recorder| {
                recorder.register_histogram(static_key!(PASSWORD_CHECK_SECONDS), &METADATA)
            }),
        }
    }

    pub(crate) fn run<T>(self, check: impl FnOnce() -> T) -> T {
        #[cfg(feature = "metrics")]
        let (_running, started) = (Counted::new(self.running), Instant::now());
        let result = check();
        #[cfg(feature = "metrics")]
        self.seconds.record(started.elapsed());
        result
    }
}

#[cfg(all(feature = "metrics", feature = "password"))]
fn gauge(name: &'static str) -> Gauge {
    with_recorder(|recorder| recorder.register_gauge(&Key::from_static_name(name), &METADATA))
}

/// Counts in a gauge until it is dropped.
#[cfg(all(feature = "metrics", feature = "password"))]
struct Counted(Gauge);

#[cfg(all(feature = "metrics", feature = "password"))]
impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

#[cfg(all(feature = "metrics", feature = "password"))]
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
