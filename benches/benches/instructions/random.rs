//! Randomness that is the same in every run, so that the counts are too.
//!
//! Seeds of hash maps decide how many probes a look-up takes, and nonces how many characters of a
//! cookie are escaped.

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(1);

/// Takes the place of the C library's function of that name in this program only.
///
/// # Safety
///
/// `buffer` has room for `length` bytes, as whoever asks the system promises too.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: see above.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for byte in buffer {
        // SplitMix64, by Sebastiano Vigna: any sequence would do that spreads.
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = (mixed ^ (mixed >> 31)) as u8;
    }
    length as isize
}
