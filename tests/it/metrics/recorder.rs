//! A recorder of one thread, whose contents a test compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// What was recorded; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    histograms: BTreeMap<String, Vec<f64>>,
    /// Every metric with each of its labels and their values.
    labels: BTreeSet<(String, String, String)>,
    names: BTreeSet<String>,
    /// The description of each metric, and its unit.
    descriptions: Vec<(String, Option<Unit>, String)>,
}

impl Recorded {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The counters that have changed since the last call, with their labels, as lines.
    pub(super) fn counted(&self) -> Vec<String> {
        let counters = std::mem::take(&mut self.state().counters);
        let line = |(name, count): (String, u64)| format!("{name} {count}");
        counters.into_iter().map(line).collect()
    }

    /// The histograms that have got values since the last call, with the number of values, as lines.
    pub(super) fn timed(&self) -> Vec<String> {
        let histograms = std::mem::take(&mut self.state().histograms);
        let line = |(name, values): (String, Vec<f64>)| {
            let all_are_seconds = values.iter().all(|value| (0.0..60.0).contains(value));
            assert!(all_are_seconds, "{name} {values:?}");
            format!("{name} {}", values.len())
        };
        histograms.into_iter().map(line).collect()
    }

    pub(super) fn gauge(&self, name: &str) -> Option<f64> {
        self.state().gauges.get(name).copied()
    }

    pub(super) fn labels(&self) -> BTreeSet<(String, String, String)> {
        self.state().labels.clone()
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.state().names.clone()
    }

    pub(super) fn descriptions(&self) -> Vec<(String, Option<Unit>, String)> {
        self.state().descriptions.clone()
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        let mut state = self.state();
        state.names.insert(key.name().to_owned());
        let mut labels = Vec::new();
        for label in key.labels() {
            let (name, value) = (label.key().to_owned(), label.value().to_owned());
            labels.push(format!("{name}={value}"));
            state.labels.insert((key.name().to_owned(), name, value));
        }
        let mut name = key.name().to_owned();
        if !labels.is_empty() {
            name.push_str(&format!("{{{}}}", labels.join(",")));
        }
        Arc::new(Handle(name, self.clone()))
    }
}

/// One metric with its labels, as a text.
struct Handle(String, Recorded);

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        *self.1.state().counters.entry(self.0.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {
        panic!("no counter is set");
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        *self.1.state().gauges.entry(self.0.clone()).or_default() += value;
    }

    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }

    fn set(&self, _: f64) {
        panic!("no gauge is set");
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        let mut state = self.1.state();
        state
            .histograms
            .entry(self.0.clone())
            .or_default()
            .push(value);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        let described = (name.as_str().to_owned(), unit, text.into_owned());
        self.state().descriptions.push(described);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(name, unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(name, unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}
