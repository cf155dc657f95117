//! What a remember token says, how it reads back, when it rotates, and when it is worthless.
//!
//! # Without a login store
//!
//! The token is self-contained: it names the user, when it was issued and until when it is good,
//! carries a fingerprint of the user's credentials and sixteen random bytes, and is signed as a
//! whole (see `cookies.rs`). The server checks the time itself and does not rely on the browser to
//! forget. What it cannot do is revoke a single token: a copied one works until it expires, or the
//! user's session hash changes, or the key does.
//!
//! # With a login store
//!
//! Each browser that is remembered has a *family*: a row with a random seed and a generation. The
//! token of generation *n* is a pseudo-random function of the server's key over user type, family,
//! seed and *n*; it carries family and *n* in the open, and a tag under another key. So
//!
//! - a store that leaks contains no token, and a key that leaks makes none: it takes both;
//! - the tag tells a token that we made from garbage without a look into the store, so garbage costs
//!   two hashes, revokes nothing and is no alarm;
//! - the server can compute the token of a generation again, and so *send the same successor twice*.
//!
//! A token rotates when it restores a login, so a copy is good only until its owner uses the
//! successor; from then on using the copy gives the theft away. What makes rotation hard is that
//! honest browsers present old tokens too: several requests start with the same one, and a response
//! with the successor may be lost. The rules, in [`present`]:
//!
//! 1. The *current* token is good. That it arrived is noted ([`Family::seen_at`]) as soon as a request
//!    of the restored login carries it, and at the latest when it is presented itself. It is replaced
//!    if it is older than [`COOL_DOWN`] and was first seen longer than [`GRACE`] ago. One conditional
//!    write on the row's version makes one of several requests the one that replaces it; the others
//!    find the row changed, look again, and fall under rule 2 or 4.
//! 2. The *previous* token is good as long as its successor was never seen: the response was lost, or
//!    is still under way. The browser is sent the same successor again, after a second or after ten
//!    days.
//! 3. The previous token is good for [`GRACE`] after the successor was first seen: for requests that
//!    had started before. They get no cookie. Later it is theft: the browser had the successor, and
//!    somebody else has the predecessor.
//! 4. Whoever comes within [`SHARE`] of a restored login shares it: its id is a pseudo-random
//!    function too, of seed and time. A hundred tabs that open at once make one login and not a
//!    hundred.
//! 5. A token two generations back is theft. No honest browser has one: that a generation becomes the
//!    last but one takes that its successor was seen, more than [`GRACE`] ago.
//!
//! Theft ends the family and all logins that were born of it. Nobody can tell thief from owner, so
//! both are out, and the owner's password decides.
//!
//! Ending a family deletes its row. A conditional write on a row that is not there fails, so ending
//! wins over whatever had read the row before.
//!
//! A copy is noticed when both have gone on: whoever restores a login gets the successor and, with the
//! next requests, shows that it arrived; when the other presents the predecessor, that is theft. Not
//! noticed is a thief whose victim never comes back, nor one who restores a login and sends no further
//! request in it. No scheme notices the first; the end of the family bounds both.

use crate::core::login::TokenFamily;
use std::time::Duration;

/// How long a remember cookie lasts unless told otherwise: 30 days.
///
/// Raising it spares people log ins; lowering it shortens the life of a stolen token.
pub(crate) const REMEMBER_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest life that browsers give a cookie: 400 days (RFC 6265bis §5.5).
pub(crate) const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How old a token gets before it is replaced, in seconds.
///
/// Raising it rotates less often; lowering it shortens the time in which a copy goes unnoticed, and
/// makes lost responses more frequent.
pub(crate) const COOL_DOWN: i64 = 5 * 60;

/// How long a token is still good once its successor was seen, in seconds.
///
/// Raising it forgives slower requests; lowering it gives a thief less time. Requests that were sent
/// before the successor arrived take seconds.
pub(crate) const GRACE: i64 = 60;

/// How long a restored login is shared by those who present a token of the same family, in seconds.
pub(crate) const SHARE: i64 = 10;

/// What a presented token is good for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// Restore a login, if the row can be replaced by this one.
    Restore {
        /// The row to claim.
        next: TokenFamily,
        /// Whether the browser needs the row's current token.
        send: bool,
    },
    /// Share the login that was restored at this time.
    Share(i64),
    /// Somebody uses a token that its browser had given up.
    Theft,
    /// No generation of this family.
    Unknown,
}

/// Decides what the token of a generation is good for.
pub(crate) fn present(family: &TokenFamily, generation: i64, now: i64) -> Presented {
    let seen_for = family.seen_at.map(|seen| now.saturating_sub(seen));
    let send = match family.generation.saturating_sub(generation) {
        0 => false,
        1 => match seen_for {
            None => true,
            Some(age) if age <= GRACE => false,
            Some(_) => return Presented::Theft,
        },
        // From a row that was brought back by a backup, perhaps: no alarm, and no login.
        ahead if ahead < 0 => return Presented::Unknown,
        _ => return Presented::Theft,
    };
    if let Some(restored_at) = family.restored_at
        && (0..SHARE).contains(&now.saturating_sub(restored_at))
    {
        return Presented::Share(restored_at);
    }
    let mut next = TokenFamily {
        version: family.version + 1,
        restored_at: Some(now),
        ..family.clone()
    };
    if generation < family.generation {
        return Presented::Restore { next, send };
    }
    let is_old = now.saturating_sub(family.rotated_at) >= COOL_DOWN;
    if is_old && seen_for.is_some_and(|age| age > GRACE) {
        next.generation += 1;
        next.rotated_at = now;
        next.seen_at = None;
        return Presented::Restore { next, send: true };
    }
    next.seen_at = family.seen_at.or(Some(now));
    Presented::Restore { next, send: false }
}

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

    /// Generation 5, rotated at 10 000.
    fn family(seen_at: Option<i64>) -> TokenFamily {
        TokenFamily {
            user_type: String::new(),
            user_id: "7".to_owned(),
            seed: [1; 16],
            version: 3,
            generation: 5,
            rotated_at: 10_000,
            seen_at,
            restored_at: None,
            authenticated_at: 1_000,
            expires_at: 1_000_000,
            lifetime: 999_000,
            hash: None,
        }
    }

    #[track_caller]
    fn restores(presented: Presented) -> (i64, Option<i64>, bool) {
        match presented {
            Presented::Restore { next, send } => {
                assert_eq!(next.version, 4);
                (next.generation, next.seen_at, send)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_current_token_is_noted_when_it_is_first_seen_and_replaced_when_it_is_old() {
        assert_eq!(
            restores(present(&family(None), 5, 10_000)),
            (5, Some(10_000), false)
        );
        assert_eq!(
            restores(present(&family(None), 5, 99_999)),
            (5, Some(99_999), false)
        );
        assert_eq!(
            restores(present(&family(Some(10_000)), 5, 10_299)),
            (5, Some(10_000), false)
        );
        assert_eq!(
            restores(present(&family(Some(10_000)), 5, 10_300)),
            (6, None, true)
        );
        // Requests that started with the token before may still be on their way.
        assert_eq!(
            restores(present(&family(Some(10_300)), 5, 10_360)),
            (5, Some(10_300), false)
        );
        assert_eq!(
            restores(present(&family(Some(10_300)), 5, 10_361)),
            (6, None, true)
        );
    }

    #[test]
    fn the_previous_token_is_good_until_its_successor_was_seen_and_a_little_longer() {
        for now in [10_001, 10_300, 10_000 + 864_000] {
            assert_eq!(restores(present(&family(None), 4, now)), (5, None, true));
        }
        assert_eq!(
            restores(present(&family(Some(20_000)), 4, 20_060)),
            (5, Some(20_000), false)
        );
        assert_eq!(present(&family(Some(20_000)), 4, 20_061), Presented::Theft);
    }

    #[test]
    fn an_older_token_is_theft_and_one_from_the_future_is_nothing() {
        for seen_at in [None, Some(10_000)] {
            for generation in [3, 1, 0, i64::MIN] {
                assert_eq!(
                    present(&family(seen_at), generation, 10_001),
                    Presented::Theft
                );
            }
            for generation in [6, i64::MAX] {
                assert_eq!(
                    present(&family(seen_at), generation, 10_001),
                    Presented::Unknown
                );
            }
        }
    }

    #[test]
    fn those_who_come_together_share_a_login() {
        let family = TokenFamily {
            restored_at: Some(10_500),
            ..family(None)
        };
        for generation in [4, 5] {
            assert_eq!(
                present(&family, generation, 10_500),
                Presented::Share(10_500)
            );
            assert_eq!(
                present(&family, generation, 10_509),
                Presented::Share(10_500)
            );
            assert!(matches!(
                present(&family, generation, 10_510),
                Presented::Restore { .. }
            ));
        }
        assert_eq!(present(&family, 3, 10_500), Presented::Theft);
    }

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
