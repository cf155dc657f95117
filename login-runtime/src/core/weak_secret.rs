//! Whether a secret is obviously none.
//!
//! The rules find placeholders, and not weak secrets in general: nobody can tell a bad random number from a
//! good one. They must never refuse random bytes. The odds that they refuse 64 random bytes are under one in
//! 2^100; for random text in base64 or hexadecimal digits, which has fewer values for each byte, they are
//! under one in 2^30.

/// The longest pattern that counts as short.
///
/// Raising it refuses longer patterns, which may have been random; lowering it lets longer ones pass.
const MAX_PATTERN: usize = 16;

/// How many bytes, at most, may share one value on average. Text of random digits has six or seven.
const MAX_SHARE: usize = 12;

/// How many letters of [`WORDS`] a text has to contain: at least two words.
const MIN_LETTERS: usize = 11;

/// Words of placeholders. None is contained in another.
const WORDS: [&str; 34] = [
    "actix",
    "asdfg",
    "azerty",
    "bytes",
    "change",
    "cookie",
    "default",
    "development",
    "dummy",
    "encryption",
    "example",
    "foobar",
    "insecure",
    "least",
    "letmein",
    "login",
    "passphrase",
    "password",
    "pepper",
    "placeholder",
    "please",
    "private",
    "production",
    "qwert",
    "random",
    "replace",
    "sample",
    "secret",
    "session",
    "signing",
    "string",
    "super",
    "testing",
    "value",
];

/// Whether nobody can have meant these bytes as a secret: a short pattern that is repeated, bytes that
/// count up or down, very few different bytes, or a text that consists of the words of placeholders.
pub(crate) fn is_obviously_no_secret(bytes: &[u8]) -> bool {
    repeats_a_short_pattern(bytes)
        || has_few_values(bytes)
        || counts(bytes)
        || is_text_of_placeholder_words(bytes)
}

fn repeats_a_short_pattern(bytes: &[u8]) -> bool {
    let repeats = |length| {
        let again = bytes.iter().skip(length);
        again.zip(bytes).all(|(byte, before)| byte == before)
    };
    (1..=MAX_PATTERN.min(bytes.len() / 2)).any(repeats)
}

fn has_few_values(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    let values = seen.iter().filter(|seen| **seen).count();
    values * MAX_SHARE < bytes.len()
}

/// Whether most bytes differ from the byte before by the same number.
fn counts(bytes: &[u8]) -> bool {
    let mut steps = [0_usize; 256];
    for pair in bytes.windows(2) {
        if let [before, byte] = pair {
            steps[usize::from(byte.wrapping_sub(*before))] += 1;
        }
    }
    steps.iter().any(|count| count * 2 >= bytes.len())
}

fn is_text_of_placeholder_words(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let text = text.to_ascii_lowercase();
    let is_text = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let found = WORDS.iter().filter(|word| text.contains(**word));
    is_text && found.map(|word| word.len()).sum::<usize>() >= MIN_LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: bool) {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(is_obviously_no_secret(bytes), expected, "{text} {bytes:?}");
    }

    /// Bytes that look random, and are the same at each run.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn a_pattern_that_is_repeated_is_no_secret() {
        for byte in [0, 1, 7, b'0', b'x', 0xff] {
            check(&[byte; 64], true);
            check(&[byte; 16], true);
        }
        check(&b"\xde\xad\xbe\xef".repeat(16), true);
        check(&b"abc".repeat(22)[..64], true);
        check(&noise(1, 16).repeat(4), true);
        check(&noise(1, 16).repeat(4)[..63], true);
        // Thirty-two random bytes are a secret, even twice.
        check(&noise(1, 32).repeat(2), false);
    }

    #[test]
    fn bytes_have_few_values_if_each_has_more_than_its_share() {
        let mut bytes: Vec<u8> = (0..4).cycle().take(4 * MAX_SHARE).collect();
        assert!(!has_few_values(&bytes));
        bytes.push(0);
        assert!(has_few_values(&bytes));
    }

    #[test]
    fn bytes_that_count_are_no_secret() {
        check(&(0..64).collect::<Vec<u8>>(), true);
        check(&(0..64).rev().collect::<Vec<u8>>(), true);
        check(
            &(0..64).map(|n: u8| n.wrapping_mul(7)).collect::<Vec<_>>(),
            true,
        );
        check(&[[1; 32], [2; 32]].concat(), true);
        check(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            true,
        );
        check(&[&b"my key"[..], &[b'0'; 58]].concat(), true);
        check(&[&noise(1, 8)[..], &[0; 56]].concat(), true);
        // Half of it is a secret.
        check(&[&noise(1, 32)[..], &[0; 32]].concat(), false);
    }

    #[test]
    fn bytes_of_few_values_are_no_secret() {
        let few = |values: u8, len| noise(2, len).iter().map(|n| n % values).collect::<Vec<_>>();
        check(&few(2, 64), true);
        check(&few(5, 64), true);
        check(&few(10, 64), false);
        check(&few(16, 64), false);
    }

    #[test]
    fn a_text_of_placeholder_words_is_no_secret() {
        for text in [
            "a-very-long-secret-key-that-is-at-least-64-bytes-long-for-actix-web",
            "PLEASE_CHANGE_THIS_KEY_BEFORE_YOU_GO_ONLINE_OR_YOU_WILL_BE_SORRY",
            "this is a super secret key that nobody will ever guess, I promise",
            "changeme-in-production-changeme-in-production!-0123456789-0123456",
            "Replace this by the output of a random number generator, will you",
            "insecure-development-key-4f7a9be1d0c2836e5b1a7d9c0e3f2846b5d8a1c7",
        ] {
            assert!(text.len() >= 64);
            check(text.as_bytes(), true);
        }
        // One word may be chance.
        check(
            b"cookieUq7zLr0XwE3kPb9TfYhJ2mNdVsAgC5iOu8R1tQlWxZ6pKyBvMnHj4DcSe_",
            false,
        );
        // A passphrase of random words is a secret.
        check(
            b"maroon fjord tablet quench obelisk dwarf yonder spruce kiln vortex",
            false,
        );
    }

    #[test]
    fn random_bytes_are_never_refused_in_any_form() {
        let hex = |bytes: &[u8]| -> Vec<u8> {
            let digits = b"0123456789abcdef";
            bytes.iter().map(|n| digits[usize::from(n % 16)]).collect()
        };
        let base64 = |bytes: &[u8]| -> Vec<u8> {
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            bytes.iter().map(|n| digits[usize::from(n % 64)]).collect()
        };
        let decimal = |bytes: &[u8]| -> Vec<u8> { bytes.iter().map(|n| b'0' + n % 10).collect() };
        for seed in 1..20_000 {
            let bytes = noise(seed, 64);
            check(&bytes, false);
            check(&bytes[..32], false);
            check(&bytes[..16], false);
            check(&hex(&bytes), false);
            check(&hex(&bytes[..32]), false);
            check(&base64(&bytes), false);
            check(&decimal(&bytes), false);
        }
    }
}
