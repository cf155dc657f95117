//! Texts back to back, in one allocation that has no room to spare.

/// How many bits of a length are in a byte of it; another says that more follow. So each is ASCII, and
/// the whole still a text, whose parts need no second look before they are used as such.
const BITS: u32 = 6;
const MORE: u8 = 1 << BITS;

/// Packs texts, each led by its length. Other texts give something else.
pub(super) fn pack(texts: &[&str]) -> Box<str> {
    let size = texts.iter().map(|text| digits(text.len()) + text.len());
    let mut packed = String::with_capacity(size.sum());
    for text in texts {
        let mut length = text.len();
        for _ in 1..digits(length) {
            packed.push(char::from((length.to_le_bytes()[0] % MORE) | MORE));
            length >>= BITS;
        }
        packed.push(char::from(length.to_le_bytes()[0]));
        packed.push_str(text);
    }
    packed.into_boxed_str()
}

/// How many bytes a length takes.
fn digits(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    bits.div_ceil(BITS).max(1) as usize
}

/// What was packed, one text after the other.
pub(super) struct Texts<'a>(&'a str);

impl<'a> Texts<'a> {
    pub(super) fn of(packed: &'a str) -> Self {
        Self(packed)
    }

    /// What has not been read yet, packed as it is.
    pub(super) fn rest(&self) -> &'a str {
        self.0
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (mut length, mut shift) = (0, 0);
        for (index, digit) in self.0.bytes().enumerate() {
            length |= usize::from(digit % MORE) << shift;
            if digit < MORE {
                let (text, rest) = self.0.get(index + 1..)?.split_at_checked(length)?;
                self.0 = rest;
                return Some(text);
            }
            shift += BITS;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str]) {
        let packed = pack(texts);
        assert!(Texts::of(&packed).eq(texts.iter().copied()), "{texts:?}");
        let size: usize = texts.iter().map(|text| text.len()).sum();
        assert!(packed.len() <= size + 3 * texts.len(), "{texts:?}");
    }

    #[test]
    fn texts_read_back_as_packed() {
        check(&[]);
        check(&[""]);
        check(&["", "", ""]);
        check(&["a", "", "bc"]);
        check(&["\0", "\u{7f}\u{80}", "ünï © 🦀", "@A\u{40}\u{3f}"]);
        for length in [62, 63, 64, 65, 127, 128, 4095, 4096, 100_000] {
            for letter in ["a", "ü", "🦀"] {
                let long = letter.repeat(length);
                check(&[&long, "after", &long]);
            }
        }
    }

    #[test]
    fn other_texts_give_something_else() {
        let all: [&[&str]; 6] = [&[], &[""], &["", "ab"], &["a", "b"], &["ab", ""], &["ab"]];
        for (index, one) in all.iter().enumerate() {
            for other in &all[..index] {
                assert_ne!(pack(one), pack(other));
            }
        }
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (length, expected) in [(0, 1), (1, 1), (63, 1), (64, 2), (4095, 2), (4096, 3)] {
            assert_eq!(digits(length), expected, "{length}");
        }
        assert_eq!(digits(usize::MAX), usize::BITS.div_ceil(BITS) as usize);
    }

    #[test]
    fn what_was_cut_off_is_no_text() {
        let packed = pack(&["whole", &"x".repeat(200)]);
        for length in 0..packed.len() {
            let whole = usize::from(length >= 6);
            assert_eq!(Texts::of(&packed[..length]).count(), whole, "{length}");
        }
    }
}
