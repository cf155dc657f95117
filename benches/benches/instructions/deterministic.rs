//! Random bytes and the time of day that are the same in every run.
//!
//! The seed of a hash map determines how many probes a look-up takes. Nonces and time stamps determine
//! the text of a cookie, and so how many of its characters are escaped.
//!
//! These functions replace those of the C library, in this program only. Crates get random bytes in
//! one of two ways: std and getrandom 0.3 and 0.4 look up `getrandom` by its name, getrandom 0.2 calls
//! `syscall`. Most use the bytes as a seed for a generator of their own.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use libc::{RTLD_DEFAULT, RTLD_NEXT, c_char, c_int, c_long, c_uint, c_void, timespec};

/// The time of day during the whole run: a moment in 2027.
const NOW: i64 = 1_800_000_000;

static STATE: AtomicU64 = AtomicU64::new(1);

/// Checks that a look-up by name finds the functions of this file. A linker might not export them.
///
/// # Panics
///
/// If the look-up finds others, since counts would differ from run to run.
pub(crate) fn check() {
    // SAFETY: the name ends with a zero.
    let found = unsafe { libc::dlsym(RTLD_DEFAULT, c"getrandom".as_ptr()) };
    let own: unsafe extern "C" fn(_, _, _) -> _ = getrandom;
    assert_eq!(found, own as *mut c_void, "`getrandom` is not exported");
}

/// # Safety
///
/// `buffer` has room for `length` bytes, as for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: c_uint) -> isize {
    if length == 0 {
        // Such a call checks that the function exists, and its buffer may be invalid.
        return 0;
    }
    // SAFETY: see above.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for byte in buffer {
        // SplitMix64, by Sebastiano Vigna. Any well distributed sequence works.
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = (mixed ^ (mixed >> 31)) as u8;
    }
    length as isize
}

/// Always takes six arguments and passes on six, as the function of the C library does.
///
/// # Safety
///
/// As for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    one: c_long,
    two: c_long,
    three: c_long,
    four: c_long,
    five: c_long,
    six: c_long,
) -> c_long {
    type Syscall =
        unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    if number == libc::SYS_getrandom {
        // SAFETY: the caller promises it.
        return unsafe { getrandom(one as *mut u8, two as usize, three as c_uint) as c_long };
    }
    // SAFETY: the name ends with a zero, and the C library's function of that name has this type; the
    // caller promises the rest.
    unsafe {
        let next: Syscall = std::mem::transmute(next(&NEXT, c"syscall".as_ptr()));
        next(number, one, two, three, four, five, six)
    }
}

/// Replaces the time of day only. The other clocks run on, since timers would never end otherwise.
///
/// # Safety
///
/// `time` can be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut timespec) -> c_int {
    type ClockGettime = unsafe extern "C" fn(libc::clockid_t, *mut timespec) -> c_int;
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    if clock == libc::CLOCK_REALTIME {
        let now = timespec {
            tv_sec: NOW,
            tv_nsec: 0,
        };
        // SAFETY: see above.
        unsafe { time.write(now) };
        return 0;
    }
    // SAFETY: as for `syscall`.
    unsafe {
        let next: ClockGettime = std::mem::transmute(next(&NEXT, c"clock_gettime".as_ptr()));
        next(clock, time)
    }
}

/// The replaced function of the C library. It is looked up once, and without a lock, since locks call
/// `syscall`.
///
/// # Safety
///
/// `name` ends with a zero.
unsafe fn next(known: &AtomicPtr<c_void>, name: *const c_char) -> *mut c_void {
    let mut next = known.load(Ordering::Relaxed);
    if next.is_null() {
        // SAFETY: see above.
        next = unsafe { libc::dlsym(RTLD_NEXT, name) };
        assert!(!next.is_null(), "the C library has such a function");
        known.store(next, Ordering::Relaxed);
    }
    next
}
