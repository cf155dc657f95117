#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| login_fuzz::carried_next::check(data));
