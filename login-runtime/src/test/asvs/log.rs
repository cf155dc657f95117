//! What the application logs while the suite plays.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default},
};

/// The log lines of this thread since the start. Nobody else gets them meanwhile.
pub(super) struct Log {
    lines: Lines,
    _until_dropped: DefaultGuard,
}

type Lines = Arc<Mutex<Vec<String>>>;

/// With a single subscriber in the process, `tracing` asks the thread that is the first to log at a place
/// whether anybody listens there, and keeps that answer for all threads. A test that runs beside the suite
/// would answer no. With these there is more than one, and `tracing` asks them all.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Recorder(Lines::default()))));

impl Log {
    pub(super) fn start() -> Self {
        LazyLock::force(&OTHERS);
        let lines = Lines::default();
        let recorder = Recorder(Arc::clone(&lines));
        Self {
            lines,
            _until_dropped: set_default(recorder),
        }
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The lines from this number on.
    pub(super) fn since(&self, start: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(start).cloned().collect()
    }

    /// The first line from this number on that reports one of these events of the crate.
    pub(super) fn event(&self, start: usize, names: &[&str]) -> Option<String> {
        let mut lines = self.since(start).into_iter();
        lines.find(|line| {
            let is_event = |name: &&str| line.contains(&format!(" event={name:?}"));
            line.starts_with("login ") && names.iter().any(is_event)
        })
    }
}

/// Takes every event but those of the finest level, at which some crates write all that they read.
struct Recorder(Lines);

impl Recorder {
    fn push(&self, line: Line) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.0);
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() < Level::TRACE
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line::new(span.metadata());
        span.record(&mut line);
        self.push(line);
        // All spans may be one, as none is ever looked up.
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line("span".to_owned());
        values.record(&mut line);
        self.push(line);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new(event.metadata());
        event.record(&mut line);
        self.push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The target, and each field as ` name=value`.
struct Line(String);

impl Line {
    fn new(metadata: &Metadata<'_>) -> Self {
        Self(metadata.target().to_owned())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a `String` does not fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}
