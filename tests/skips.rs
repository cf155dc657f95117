//! Tests that are skipped because something is missing on this machine.
//!
//! A test that cannot run calls [`skip`], returns, and so passes. The test target `what_was_skipped`,
//! which cargo runs after the other tests of this package, prints every test that was skipped in the
//! same run of cargo.
//!
//! Where `CI` or `LOGIN_TESTS_SKIP_NOTHING` is set, to anything but `0` or `false`, such a test fails.
//! `tests/all` sets the latter.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::Duration,
};

/// How long the list of a run is kept that nothing printed, such as that of `cargo test --test it`.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What a test goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: the test is not run.
    All,
    /// A part: the test is run without the stores that are missing.
    Part,
}

/// Notes that the test of this thread does not run, or not in full, and why.
///
/// # Panics
///
/// If nothing may be skipped, or if the list cannot be written.
pub fn skip(extent: Extent, why: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test without a name");
    assert!(
        !["CI", "LOGIN_TESTS_SKIP_NOTHING"].into_iter().any(is_set),
        "{test} may not be skipped: {why}; `tests/all` installs what is missing",
    );
    announce(why);
    let list = List::of_this_run().expect("test programs are in a directory");
    list.add(&Skipped {
        why: why.to_owned(),
        test: test.to_owned(),
        extent,
    })
    .expect("cargo's target directory can be written to");
}

/// Says once in every test program that something is missing, for those who run that program alone.
/// Not with `eprintln`, because the harness hides what passing tests print.
fn announce(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(why.to_owned()) {
        let note = format!("note: tests are skipped: {why}\n");
        let _ = io::stderr().write_all(note.as_bytes());
    }
}

fn is_set(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !matches!(&*value, "" | "0" | "false"))
}

/// A test that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Why, in a few words.
    pub why: String,
    /// The test's name, with its modules.
    pub test: String,
    /// How much of it was skipped.
    pub extent: Extent,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extent = match self.extent {
            Extent::All => "all",
            Extent::Part => "part",
        };
        write!(f, "{extent}\t{}\t{}", self.test, self.why)
    }
}

impl Skipped {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        let extent = match fields.next()? {
            "all" => Extent::All,
            "part" => Extent::Part,
            _ => return None,
        };
        let test = fields.next()?.to_owned();
        let why = fields.next()?.to_owned();
        Some(Self { why, test, extent })
    }
}

/// The file that lists what was skipped in one run of cargo.
///
/// Its name holds the process id of cargo, which is the parent of every test program, and the time
/// when that process started, so that a later process with the same id has another list.
#[derive(Debug)]
pub struct List {
    file: PathBuf,
}

impl List {
    /// The list of the run that this process belongs to.
    ///
    /// # Errors
    ///
    /// If the path of this program is not known.
    pub fn of_this_run() -> io::Result<Self> {
        // Programs of tests are in `target/debug/deps`, or in the like of another profile.
        let program = env::current_exe()?;
        let profile = program.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self::in_dir(&profile.join("skipped-tests"), &run()))
    }

    /// A list in this directory.
    pub fn in_dir(dir: &Path, run: &str) -> Self {
        Self {
            file: dir.join(run),
        }
    }

    /// Adds a test. Several programs may do so at once.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn add(&self, skipped: &Skipped) -> io::Result<()> {
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        // One write per line: lines that are appended at the same time stay whole.
        file.write_all(format!("{skipped}\n").as_bytes())
    }

    /// Reads the list and deletes it, together with old lists that nothing printed.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be read.
    pub fn take(&self) -> io::Result<Vec<Skipped>> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let _ = fs::remove_file(&self.file);
        let lists = self.file.parent().map(fs::read_dir);
        for list in lists.into_iter().flatten().flatten().flatten() {
            if is_old(&list.path()) {
                let _ = fs::remove_file(list.path());
            }
        }
        Ok(text.lines().filter_map(Skipped::parse).collect())
    }
}

fn is_old(file: &Path) -> bool {
    let modified = File::open(file).and_then(|file| file.metadata()?.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > KEPT_FOR))
}

#[cfg(unix)]
fn run() -> String {
    let cargo = std::os::unix::process::parent_id();
    // The 22nd field, of which the first two are the id and the name in parentheses (proc(5)).
    let stat = fs::read_to_string(format!("/proc/{cargo}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let started = fields.split(' ').nth(19).unwrap_or("0");
    format!("{cargo}-{started}")
}

#[cfg(not(unix))]
fn run() -> String {
    "run".to_owned()
}

/// What the user of cargo is told: the tests by name, under what is missing. Empty if there are none.
pub fn report(skipped: &[Skipped]) -> String {
    let mut reasons = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    let mut tests = BTreeSet::new();
    for skipped in skipped {
        let what = match skipped.extent {
            Extent::All => "not run",
            Extent::Part => "run with the other stores only",
        };
        let of_reason = reasons.entry((&skipped.why, what)).or_default();
        of_reason.insert(&skipped.test);
        tests.insert(&skipped.test);
    }
    if tests.is_empty() {
        return String::new();
    }
    let mut report = format!("SKIPPED, in full or in part: {} tests\n", tests.len());
    for ((why, what), tests) in reasons {
        report.push_str(&format!("\n{why}; {what}:\n"));
        for test in tests {
            report.push_str(&format!("    {test}\n"));
        }
    }
    report.push_str("\nRun `tests/all` to install what is missing and to run every test.\n");
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(test: &str, why: &str, extent: Extent) -> Skipped {
        Skipped {
            why: why.to_owned(),
            test: test.to_owned(),
            extent,
        }
    }

    #[test]
    fn a_list_is_read_once_and_only_by_its_own_run() {
        let dir = env::temp_dir().join(crate::services::unique("login_tests_skips"));
        let (first, second) = (List::in_dir(&dir, "1-10"), List::in_dir(&dir, "1-11"));
        let of_first = [
            skipped("a::b", "Redis was not found", Extent::All),
            skipped("a::c", "Redis was not found", Extent::Part),
        ];
        let of_second = skipped("d", "PostgreSQL was not found", Extent::All);
        for skipped in &of_first {
            first.add(skipped).unwrap();
        }
        second.add(&of_second).unwrap();
        assert_eq!(first.take().unwrap(), of_first);
        assert_eq!(first.take().unwrap(), []);
        assert_eq!(second.take().unwrap(), [of_second]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_list_is_printed_after_all_tests_of_this_package() {
        let manifest = include_str!("Cargo.toml");
        let tests = manifest.split("\n[[test]]\n").skip(1);
        let names = tests.filter_map(|test| test.strip_prefix("name = \"")?.split_once('"'));
        let names: Vec<_> = names.map(|(name, _)| name).collect();
        assert!(names.contains(&"it"), "{names:?}");
        assert_eq!(names.iter().max(), Some(&"what_was_skipped"));
    }

    #[test]
    fn an_old_list_is_deleted_and_a_new_one_is_not() {
        let dir = env::temp_dir().join(crate::services::unique("login_tests_skips"));
        let lists = ["old", "new"].map(|run| List::in_dir(&dir, run));
        for list in &lists {
            list.add(&skipped("a", "b", Extent::All)).unwrap();
        }
        let old = File::options().append(true).open(&lists[0].file).unwrap();
        let before = std::time::SystemTime::now() - KEPT_FOR - Duration::from_secs(1);
        old.set_modified(before).unwrap();
        assert_eq!(List::in_dir(&dir, "this").take().unwrap(), []);
        assert_eq!(lists.map(|list| list.file.exists()), [false, true]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_report_names_every_test_under_what_is_missing() {
        assert_eq!(report(&[]), "");
        let report = report(&[
            skipped("b", "Redis was not found", Extent::All),
            skipped("a", "Redis was not found", Extent::Part),
            skipped("a", "Redis was not found", Extent::Part),
            skipped("a", "PostgreSQL was not found", Extent::All),
        ]);
        assert_eq!(
            report,
            "SKIPPED, in full or in part: 2 tests\n\
             \n\
             PostgreSQL was not found; not run:\n    a\n\
             \n\
             Redis was not found; not run:\n    b\n\
             \n\
             Redis was not found; run with the other stores only:\n    a\n\
             \n\
             Run `tests/all` to install what is missing and to run every test.\n"
        );
    }
}
