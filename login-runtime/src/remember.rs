//! What a remember token says, how it reads back, and when it is worthless.
//!
//! The token of an application without a login store is self-contained: it names the user, when it
//! was issued and until when it is good, carries a fingerprint of the user's credentials and sixteen
//! random bytes, and is signed as a whole (see `cookies.rs`). The server checks the time itself and
//! does not rely on the browser to forget. What it cannot do is revoke a single token: a copied one
//! works until it expires, or the user's session hash changes, or the key does.

/// The version that starts every token; a token of another version is worthless.
const VERSION: &str = "1";

/// The longest token that is looked at, in bytes of the cookie's value.
///
/// Browsers keep no cookie over 4096 bytes; raising it only makes forged cookies dearer to refuse.
pub(crate) const MAX_LEN: usize = 4096;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: i64,
    /// When this token was made, in seconds since the epoch.
    pub(crate) issued_at: i64,
    /// Seconds since the epoch; the token is worthless from then on.
    pub(crate) expires_at: i64,
    /// The fingerprint of the user's session hash, if the user has one.
    pub(crate) hash: Option<&'a str>,
    /// Makes every token differ from every other.
    pub(crate) nonce: &'a str,
    /// The user's id as JSON.
    pub(crate) id: &'a str,
}

impl<'a> Token<'a> {
    /// The text that is signed. The id stands last, since it alone can contain anything.
    pub(crate) fn write(&self) -> String {
        let Self {
            authenticated_at,
            issued_at,
            expires_at,
            hash,
            nonce,
            id,
        } = self;
        let hash = hash.unwrap_or_default();
        format!("{VERSION},{authenticated_at},{issued_at},{expires_at},{hash},{nonce},{id}")
    }

    /// Reads a text whose signature was good. `None` if it is not a token, or its time is over.
    pub(crate) fn read(text: &'a str, now: i64) -> Option<Self> {
        let mut parts = text.splitn(7, ',');
        if parts.next()? != VERSION {
            return None;
        }
        let authenticated_at = parts.next()?.parse().ok()?;
        let issued_at = parts.next()?.parse().ok()?;
        let expires_at = parts.next()?.parse().ok()?;
        let hash = Some(parts.next()?).filter(|hash| !hash.is_empty());
        let (nonce, id) = (parts.next()?, parts.next()?);
        let token = Self {
            authenticated_at,
            issued_at,
            expires_at,
            hash,
            nonce,
            id,
        };
        (now < expires_at).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token<'static> = Token {
        authenticated_at: 900,
        issued_at: 1_000,
        expires_at: 2_000,
        hash: Some("h"),
        nonce: "n",
        id: r#""a,b""#,
    };

    #[test]
    fn a_token_reads_back_as_written() {
        for token in [
            TOKEN,
            Token {
                hash: None,
                ..TOKEN
            },
            Token { id: "7", ..TOKEN },
        ] {
            assert_eq!(Token::read(&token.write(), 1_500), Some(token));
        }
    }

    #[test]
    fn a_token_is_worthless_from_the_second_it_expires() {
        assert!(Token::read(&TOKEN.write(), 1_999).is_some());
        assert_eq!(Token::read(&TOKEN.write(), 2_000), None);
        assert_eq!(Token::read(&TOKEN.write(), i64::MAX), None);
    }

    #[test]
    fn another_version_or_shape_is_no_token() {
        for text in [
            "",
            "1",
            "1,2,3,4,5,6",
            "2,900,1000,2000,h,n,7",
            "1,900,x,2000,h,n,7",
            "1,900,1000,x,h,n,7",
        ] {
            assert_eq!(Token::read(text, 0), None, "{text}");
        }
    }
}
