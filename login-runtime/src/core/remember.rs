//! Remember tokens: what they contain, when they rotate, and when they are refused.
//!
//! # Without a login store
//!
//! The token is self-contained: it names the user, the time at which it was issued and the time at which
//! it expires, contains a fingerprint of the user's credentials and sixteen random bytes, and is signed
//! as a whole (see `keys.rs`). The server checks the time itself and does not rely on the browser to
//! delete the cookie. A single token cannot be revoked: a copy works until the token expires, or the
//! user's session hash or the key changes.
//!
//! # With a login store
//!
//! Each remembered browser has a *family* of tokens: a row with a random seed and a generation. The
//! server computes the token of generation *n* from user type, family, seed and *n*, with a
//! pseudo-random function and its key. The token also contains the family and *n* unencrypted, and a tag
//! that is computed with another key. Therefore:
//!
//! - A leaked store contains no token, and a leaked key is not enough to create one: an attacker needs
//!   both.
//! - The tag shows without a read of the store whether this server created the token. So an invalid
//!   token costs two hashes, revokes nothing and raises no alarm.
//! - The server can compute the token of a generation again, so it can *send the same successor twice*.
//!
//! A token rotates when it restores a login. A copy therefore works only until the owner uses the
//! successor; after that, using the copy reveals the theft. Rotation is difficult because honest browsers
//! present old tokens too: several requests start with the same token, and a response with the successor
//! may be lost. [`present`] follows these rules:
//!
//! 1. The *current* token is valid. The server records when it first sees the token
//!    ([`TokenFamily::seen_at`]). That is when the token is presented to restore a login, or when a
//!    request uses a login whose response also contained the token
//!    ([`LoginRecord::unseen_token`](super::login::LoginRecord::unseen_token)): the client has that
//!    response, and so it has the token, whether it ever shows the token or not. The token is replaced
//!    if it is older than [`COOL_DOWN`] and was first seen longer than [`GRACE`] ago. A conditional
//!    write on the row's version lets only one of several requests replace it; the others find that the
//!    row has changed, read it again, and fall under rule 2 or 4.
//! 2. The *previous* token is valid as long as the server has not seen its successor: the response was
//!    lost, or has not arrived yet. The server sends the same successor again, no matter whether a
//!    second or ten days later.
//! 3. The previous token is valid for [`GRACE`] after the successor was first seen, for requests that
//!    had started before. These requests get no cookie. A later use of the previous token is theft:
//!    somebody already had the successor, so two clients have had the previous token.
//! 4. Requests that arrive within [`SHARE`] after a login was restored share this login: its id is
//!    computed from seed and time, also with a pseudo-random function. So a hundred tabs that open at
//!    once create one login and not a hundred. Each response that contains a login also contains the
//!    current token if its request presented the previous one; rule 1 relies on this.
//! 5. A token two or more generations back is theft. An honest browser does not present such a token.
//!    The current token exists because its predecessor was replaced, and the server replaces a token
//!    only if it first saw that token more than [`GRACE`] ago. So the browser has had a newer token than
//!    the presented one for at least that long.
//!
//! Different nodes may record and compare these times, so each tolerance of this module includes
//! [`CLOCK_SKEW`].
//!
//! Theft ends the family and all logins that it restored. The server cannot tell the thief from the
//! owner, so both are logged out, and only the owner can log in again with the password.
//!
//! Ending a family deletes its row. A conditional write on a deleted row fails, so a request that read
//! the row before cannot restore the family.
//!
//! A copy is detected when thief and owner have both used their tokens. The first of the two who
//! restores a login gets the successor, and the first request of that login shows that the successor
//! arrived. When the other one then presents the predecessor, that is theft. Two cases are not detected:
//! the owner never comes back, or the thief uses none of the logins that it restores, and presents the
//! token for each page. A browser whose responses are all lost looks the same. In both cases, the copy
//! works at most until the family ends.

use std::time::Duration;

use crate::core::{limits::CLOCK_SKEW, login::TokenFamily};

/// How long a remember cookie lasts by default: 30 days.
///
/// Raising it asks people to log in less often; lowering it shortens the life of a stolen token.
pub(crate) const REMEMBER_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long after credentials were given use can keep a remember cookie valid by default: 90 days.
///
/// Raising it asks people who come every day to log in less often; lowering it ends a stolen token sooner
/// that is kept in use.
const PROLONGED_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The longest lifetime that browsers give a cookie: 400 days (RFC 6265bis §5.5).
pub(crate) const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The age from which a token is replaced, in seconds.
///
/// Raising it rotates less often; lowering it shortens the time in which a copy goes unnoticed, and
/// makes lost responses more frequent.
pub(crate) const COOL_DOWN: i64 = 5 * 60;

/// How long a token stays valid after its successor was first seen, in seconds.
///
/// It is a minute for requests that are slow, and as much as the clocks of two nodes may differ: one node
/// may have seen the successor, and another may compare. Raising it accepts slower requests; lowering it
/// gives a thief less time. A request that was sent before the successor arrived takes seconds.
pub(crate) const GRACE: i64 = 60 + CLOCK_SKEW;

/// The generation of the first token of a family.
pub(crate) const FIRST_GENERATION: i64 = 1;

/// How long other requests with a token of the same family share a restored login, in seconds.
pub(crate) const SHARE: i64 = 10;

/// How long logins are remembered.
///
/// Every remember cookie has an end that use does not move: it is counted from when credentials were
/// given, and neither prolonging nor a new key changes that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembering {
    /// The lifetime of a cookie, if a log in does not set its own.
    duration: Duration,
    /// How long after credentials were given a cookie ends, whatever lifetime it was given.
    at_most: Option<Duration>,
}

impl Remembering {
    /// `duration` and `at_most` are what the application asks for, and `limit` is what the limits of
    /// logins allow.
    ///
    /// # Errors
    ///
    /// The setting that is wrong, and why.
    pub(crate) fn new(
        duration: Option<Duration>,
        at_most: Option<Duration>,
        limit: Option<Duration>,
    ) -> Result<Self, (&'static str, &'static str)> {
        let settings = [
            ("RememberCookie::duration", duration),
            ("RememberCookie::at_most", at_most),
            ("Limits::remember_at_most", limit),
        ];
        for (name, setting) in settings {
            if setting.is_some_and(|time| time.as_secs() == 0 || time > MAX_COOKIE_AGE) {
                let why =
                    "is not between 1 second and 400 days, the longest that browsers keep a cookie";
                return Err((name, why));
            }
        }
        let is_over = |time: Option<Duration>, limit: Option<Duration>| {
            time.zip(limit).is_some_and(|(time, limit)| time > limit)
        };
        for (name, setting) in &settings[..2] {
            if is_over(*setting, limit) {
                let why = "is longer than `limits` let a login be remembered; lower it, or raise `Limits::remember_at_most`";
                return Err((name, why));
            }
        }
        if is_over(duration, at_most) {
            let why = "is longer than `RememberCookie::at_most`; lower it";
            return Err(("RememberCookie::duration", why));
        }
        let at_most = at_most.or(limit);
        let default = at_most.map_or(REMEMBER_FOR, |at_most| at_most.min(REMEMBER_FOR));
        Ok(Self {
            duration: duration.unwrap_or(default),
            at_most,
        })
    }

    /// The longest time after credentials were given for which a login is remembered, unless its log in
    /// asks for more: the limit for cookies that use prolongs, or without one the lifetime of a cookie.
    pub(crate) fn longest_by_default(&self) -> Duration {
        self.at_most.unwrap_or(self.duration)
    }

    /// How long after credentials were given a login may be remembered at most, if that is limited.
    pub(crate) fn at_most(&self) -> Option<Duration> {
        self.at_most
    }

    /// The lifetime of a new cookie.
    pub(crate) fn lifetime(&self, asked: Option<Duration>) -> Duration {
        let longest = self.at_most.unwrap_or(MAX_COOKIE_AGE);
        asked.unwrap_or(self.duration).min(longest)
    }

    /// When a token ends that says when it expires: earlier, if it was made under longer limits.
    pub(crate) fn end(&self, expires_at: i64, authenticated_at: i64) -> i64 {
        match self.at_most {
            None => expires_at,
            Some(at_most) => expires_at.min(after(authenticated_at, at_most)),
        }
    }

    /// When a token of this lifetime, in seconds, ends if it is prolonged now.
    pub(crate) fn prolonged(&self, now: i64, authenticated_at: i64, lifetime: i64) -> i64 {
        // Without an end of its own, a token is not made shorter than the log in asked for.
        let end = match self.at_most {
            Some(at_most) => after(authenticated_at, at_most),
            None => after(authenticated_at, PROLONGED_FOR)
                .max(authenticated_at.saturating_add(lifetime)),
        };
        now.saturating_add(lifetime).min(end)
    }
}

fn after(time: i64, duration: Duration) -> i64 {
    time.saturating_add_unsigned(duration.as_secs())
}

/// What happens with a presented token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It restores a login, if the row can be replaced with this one.
    Restore {
        /// The new row.
        next: TokenFamily,
        /// Whether the browser needs the row's current token.
        send: bool,
    },
    /// It shares a login that was just restored.
    Share {
        /// When that login was restored.
        at: i64,
        /// Whether the browser needs the row's current token.
        send: bool,
    },
    /// Its browser had already replaced it, so somebody has a copy.
    Theft,
    /// The family has no such generation.
    Unknown,
}

/// Decides about the token of a generation, by the rules of this module.
pub(crate) fn present(family: &TokenFamily, generation: i64, now: i64) -> Presented {
    let seen_for = family.seen_at.map(|seen| now.saturating_sub(seen));
    let send = match family.generation.saturating_sub(generation) {
        0 => false,
        1 => match seen_for {
            None => true,
            Some(age) if age <= GRACE => false,
            Some(_) => return Presented::Theft,
        },
        // The row may have been restored from a backup: no alarm, and no login.
        ..0 => return Presented::Unknown,
        _ => return Presented::Theft,
    };
    if let Some(restored_at) = family.restored_at
        // A node whose clock is ahead may have restored it.
        && (-CLOCK_SKEW..SHARE).contains(&now.saturating_sub(restored_at))
    {
        return Presented::Share {
            at: restored_at,
            send,
        };
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

/// The version at the start of every token; a token of another version is refused.
const VERSION: &str = "1";

/// The longest token that is checked, in bytes of the cookie's value.
///
/// Browsers keep no cookie over 4096 bytes; raising it only makes it more expensive to refuse forged
/// cookies.
pub(crate) const MAX_LEN: usize = 4096;

/// The contents of a self-contained token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: i64,
    /// When this token was made, in seconds since the epoch.
    pub(crate) issued_at: i64,
    /// The first second at which the token is expired, since the epoch.
    pub(crate) expires_at: i64,
    /// The fingerprint of the user's session hash, if the user has one.
    pub(crate) hash: Option<&'a str>,
    /// Makes every token unique.
    pub(crate) nonce: &'a str,
    /// The user's id as JSON.
    pub(crate) id: &'a str,
}

impl<'a> Token<'a> {
    /// The text that is signed. The id is last, because it may contain commas.
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

    /// Reads a text whose signature is valid. `None` if it is not a token, or has expired.
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
    fn the_current_token_is_recorded_when_it_is_first_seen_and_replaced_when_it_is_old() {
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
            restores(present(&family(Some(10_300)), 5, 10_480)),
            (5, Some(10_300), false)
        );
        assert_eq!(
            restores(present(&family(Some(10_300)), 5, 10_481)),
            (6, None, true)
        );
    }

    #[test]
    fn the_previous_token_is_valid_until_its_successor_was_seen_and_three_minutes_longer() {
        for now in [10_001, 10_300, 10_000 + 864_000] {
            assert_eq!(restores(present(&family(None), 4, now)), (5, None, true));
        }
        assert_eq!(
            restores(present(&family(Some(20_000)), 4, 20_180)),
            (5, Some(20_000), false)
        );
        assert_eq!(present(&family(Some(20_000)), 4, 20_181), Presented::Theft);
    }

    #[test]
    fn an_older_token_is_theft_and_one_from_the_future_is_unknown() {
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
    fn requests_that_come_together_share_a_login() {
        let family = TokenFamily {
            restored_at: Some(10_500),
            ..family(None)
        };
        // The response to the request that replaced the token may be lost, so each has the new token.
        for (generation, send) in [(4, true), (5, false)] {
            // The first of them may have come to a node whose clock is ahead.
            for now in [10_380, 10_500, 10_509] {
                assert_eq!(
                    present(&family, generation, now),
                    Presented::Share { at: 10_500, send }
                );
            }
            for now in [10_379, 10_510] {
                assert!(matches!(
                    present(&family, generation, now),
                    Presented::Restore { .. }
                ));
            }
        }
        assert_eq!(present(&family, 3, 10_500), Presented::Theft);
        let seen = TokenFamily {
            seen_at: Some(10_500),
            ..family
        };
        assert_eq!(
            present(&seen, 4, 10_501),
            Presented::Share {
                at: 10_500,
                send: false
            }
        );
    }

    const DAY: u64 = 24 * 60 * 60;

    fn days(days: u64) -> Option<Duration> {
        Some(Duration::from_secs(days * DAY))
    }

    #[test]
    fn remembering_ends_after_a_time_that_use_does_not_move() {
        let day = DAY.cast_signed();
        for (duration, at_most, limit, lifetime, end) in [
            (None, None, None, 30, 90),
            (days(7), None, None, 7, 90),
            (days(200), None, None, 200, 200),
            (days(7), days(10), None, 7, 10),
            (None, days(10), None, 10, 10),
            (None, None, days(1), 1, 1),
            (days(1), days(2), days(3), 1, 2),
        ] {
            let remembering = Remembering::new(duration, at_most, limit).unwrap();
            let found = remembering.lifetime(None);
            assert_eq!(Some(found), days(lifetime));
            let seconds = lifetime.cast_signed() * day;
            let mut now = 0;
            let mut expires_at = seconds;
            // Used in each second before it expires.
            while now < expires_at {
                now = expires_at - 1;
                let prolonged = remembering.prolonged(now, 0, seconds);
                assert!(prolonged >= expires_at, "use does not shorten it");
                if prolonged == expires_at {
                    break;
                }
                expires_at = prolonged;
            }
            assert_eq!(expires_at, end * day);
        }
    }

    #[test]
    fn a_token_that_was_made_under_longer_limits_ends_with_the_shorter_ones() {
        let remembering = Remembering::new(None, None, days(1)).unwrap();
        let day = DAY.cast_signed();
        assert_eq!(remembering.end(30 * day, 1_000), day + 1_000);
        assert_eq!(remembering.end(2_000, 1_000), 2_000);
        assert_eq!(Some(remembering.lifetime(days(9))), days(1));
        let unlimited = Remembering::new(None, None, None).unwrap();
        assert_eq!(unlimited.end(30 * day, 1_000), 30 * day);
        assert_eq!(unlimited.lifetime(days(9_999)), MAX_COOKIE_AGE);
    }

    #[test]
    fn the_longest_time_by_default_is_the_limit_or_the_lifetime_of_a_cookie() {
        for (duration, at_most, longest) in [
            (None, None, Some(REMEMBER_FOR)),
            (days(2), None, days(2)),
            (days(2), days(90), days(90)),
            (None, days(1), days(1)),
        ] {
            let remembering = Remembering::new(duration, at_most, None).unwrap();
            assert_eq!(Some(remembering.longest_by_default()), longest);
            assert_eq!(remembering.at_most(), at_most);
        }
    }

    #[test]
    fn remembering_longer_than_the_limits_allow_is_refused() {
        let zero = Some(Duration::ZERO);
        for (duration, at_most, limit, expected) in [
            (zero, None, None, "RememberCookie::duration"),
            (days(401), None, None, "RememberCookie::duration"),
            (None, zero, None, "RememberCookie::at_most"),
            (None, days(401), None, "RememberCookie::at_most"),
            (None, None, zero, "Limits::remember_at_most"),
            (days(2), None, days(1), "RememberCookie::duration"),
            (None, days(2), days(1), "RememberCookie::at_most"),
            (days(2), days(1), None, "RememberCookie::duration"),
        ] {
            let refused = Remembering::new(duration, at_most, limit);
            assert_eq!(refused.unwrap_err().0, expected);
        }
    }

    #[test]
    fn a_browser_is_remembered_for_thirty_days_and_at_most_as_long_as_it_keeps_a_cookie() {
        assert_eq!(REMEMBER_FOR, Duration::from_secs(2_592_000));
        assert_eq!(MAX_COOKIE_AGE, Duration::from_secs(34_560_000));
    }

    #[test]
    fn a_family_notes_when_it_restored_a_login_and_keeps_the_rest() {
        for (seen_at, generation, now) in [
            (None, 5, 10_001),
            (Some(10_000), 5, 10_300),
            (None, 4, 10_400),
            (Some(20_000), 4, 20_060),
        ] {
            let family = TokenFamily {
                hash: Some("hash".to_owned()),
                restored_at: Some(9_000),
                ..family(seen_at)
            };
            let Presented::Restore { next, .. } = present(&family, generation, now) else {
                panic!("{generation} at {now}");
            };
            assert_eq!(next.restored_at, Some(now));
            let rotates = next.generation > family.generation;
            let expected = TokenFamily {
                version: 4,
                generation: next.generation,
                rotated_at: if rotates { now } else { family.rotated_at },
                seen_at: next.seen_at,
                restored_at: Some(now),
                ..family
            };
            assert_eq!(next, expected);
        }
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
    fn a_token_is_refused_from_the_second_it_expires() {
        assert!(Token::read(&TOKEN.write(), 1_999).is_some());
        assert_eq!(Token::read(&TOKEN.write(), 2_000), None);
        assert_eq!(Token::read(&TOKEN.write(), i64::MAX), None);
    }

    #[test]
    fn a_token_of_another_version_or_shape_is_refused() {
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
