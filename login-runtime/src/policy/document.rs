//! The policy as a document: sections of statements, as text and as JSON.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a built login manager does, in words: limits, cookies, stores, and what is off.
///
/// Compare it with a committed text in a test, so that nobody changes the policy without noticing, and give
/// the text to whoever reviews the application (ASVS 7.1.1 to 7.1.3). It contains no key, and nothing that
/// is derived from one; equal settings give an equal text.
///
/// `Display` writes the document, and `Serialize` the same with a value for each statement.
///
/// # Examples
///
/// ```
/// use actix_web::cookie::Key;
/// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///     .login_store(MemoryLoginStore::new())
///     .build(Key::generate())?;
/// let policy = login_manager.policy();
/// assert_eq!(
///     policy.get("limits.login").map(|statement| statement.text.as_str()),
///     Some("A login ends after 30 min without use, and after 12 h at the latest."),
/// );
/// // What is off is said, too.
/// assert!(policy.to_string().contains("Deny by default is off: "));
/// println!("{}", serde_json::to_string_pretty(&policy)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Policy {
    /// The sections, in a fixed order. The last one lists what is off.
    pub sections: Vec<Section>,
}

/// One subject of a [`Policy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Section {
    /// The title.
    pub title: &'static str,
    /// What is said about it.
    pub statements: Vec<Statement>,
}

/// One sentence of a [`Policy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statement {
    /// A stable name, such as `limits.login`. Statements about cookies and users may share one.
    pub code: &'static str,
    /// The setting as a value, for programs: seconds, numbers, names.
    #[serde(serialize_with = "value")]
    pub value: Value,
    /// The sentence, or several.
    pub text: String,
}

fn value<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    value.serialize(serializer)
}

impl Policy {
    /// The first statement with this code.
    pub fn get(&self, code: &str) -> Option<&Statement> {
        let mut all = self.sections.iter().flat_map(|section| &section.statements);
        all.find(|statement| statement.code == code)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Login policy\n")?;
        for section in &self.sections {
            writeln!(f, "\n## {}\n", section.title)?;
            for statement in &section.statements {
                writeln!(f, "- {}", statement.text)?;
            }
        }
        Ok(())
    }
}
