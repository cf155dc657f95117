//! Takes an input of the fuzzer apart.

/// The bytes of an input that are not used yet. After the last byte, zeros follow.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// A time near `now` for most inputs, and any for the others.
    pub fn time(&mut self, now: i64) -> i64 {
        const STEPS: [i64; 20] = [
            0, 1, -1, 9, 10, -9, -10, -11, 119, 120, 121, -120, -121, -180, -181, 180, -299, -300,
            300, 86_400,
        ];
        match self.byte() {
            0xff => i64::from_be_bytes(self.array()),
            kind => {
                let step = STEPS[usize::from(kind) % STEPS.len()];
                let off = i64::from(i16::from_be_bytes(self.array()));
                now + step + if kind & 0x10 == 0 { 0 } else { off }
            }
        }
    }

    /// The bytes with some of them changed, as the rest of the input says. Of the same length for most.
    pub fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        while !self.0.is_empty() && !text.is_empty() {
            let [high, low, kind] = self.array();
            let at = usize::from(u16::from_be_bytes([high, low])) % text.len();
            match kind {
                0 => drop(text.remove(at)),
                1 => text.truncate(at),
                2 => text.insert(at, self.byte()),
                // Longer texts than any limit show nothing more.
                3 if text.len() < 8192 => text.extend_from_within(at..),
                change => text[at] ^= change,
            }
        }
        text
    }
}

/// A header value, unless HTTP has no such value.
pub fn header(bytes: impl AsRef<[u8]>) -> Option<actix_web::http::header::HeaderValue> {
    actix_web::http::header::HeaderValue::from_bytes(bytes.as_ref()).ok()
}
