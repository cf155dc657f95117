//! What the suite found, as a table.

use std::fmt;

/// What the suite says about one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The application does what the item asks.
    Pass,
    /// It does not.
    Fail,
    /// The suite was not told a fact that the check needs.
    NotApplicable,
}

/// A row of the report.
#[derive(Clone, Debug)]
pub struct Row {
    /// The id of the item in ASVS 5.0.
    pub id: &'static str,
    /// What the item asks, in short.
    pub asks: &'static str,
    /// What the suite says.
    pub outcome: Outcome,
    /// What the check did and saw, or which fact is missing.
    pub why: String,
}

/// What the suite found. `Display` writes it as a table.
#[derive(Clone, Debug)]
#[must_use = "nothing fails before the report is asked"]
pub struct Report(pub(super) Vec<Row>);

impl Report {
    /// All rows, in the order of the ids.
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The ids of the rows with this outcome.
    pub fn ids(&self, outcome: Outcome) -> Vec<&'static str> {
        let rows = self.0.iter().filter(|row| row.outcome == outcome);
        rows.map(|row| row.id).collect()
    }

    /// The row of an id.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.id == id)
    }

    /// Asserts that no row failed.
    ///
    /// # Panics
    ///
    /// If one did. The message has all that did.
    #[track_caller]
    pub fn assert_passed(&self) -> &Self {
        let failed = self.ids(Outcome::Fail);
        assert!(failed.is_empty(), "failed: {}\n{self}", failed.join(", "));
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.0 {
            let outcome = match row.outcome {
                Outcome::Pass => "pass",
                Outcome::Fail => "FAIL",
                Outcome::NotApplicable => "n/a",
            };
            writeln!(f, "{:<7} {outcome:<5} {}: {}", row.id, row.asks, row.why)?;
        }
        Ok(())
    }
}
