//! The names of the rules about answers.

/// A rule about answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A `Set-Cookie` follows the grammar for servers (RFC 6265bis §4.1.1).
    Grammar,
    /// A cookie is `Secure` (ASVS 3.3.1).
    Secure,
    /// The name of a cookie has the strictest prefix that its attributes allow (ASVS 3.3.1 and 3.3.3).
    Prefix,
    /// A cookie says `SameSite=Lax` or `Strict` (ASVS 3.3.2).
    SameSite,
    /// A cookie is `HttpOnly` (ASVS 3.3.4).
    HttpOnly,
    /// A cookie is for the whole host.
    Path,
    /// A cookie is for one host only (ASVS 3.3.3).
    Domain,
    /// A cookie is not longer than browsers keep: 4096 bytes (ASVS 3.3.5).
    Size,
    /// A cookie lives for 400 days at most, and is deleted in a way that every browser knows.
    Lifetime,
    /// The value of a cookie cannot be read.
    ClearText,
    /// A 401 has a challenge (RFC 9110 §15.5.2).
    Challenge,
    /// A 429 or 503 says when to try again (RFC 9110 §10.2.3).
    RetryAfter,
    /// A redirect stays on the own origin (ASVS 3.7.2).
    OwnOrigin,
    /// An answer for which the login was read is in no shared cache, and varies with the cookies
    /// (ASVS 14.3.2).
    Private,
}
