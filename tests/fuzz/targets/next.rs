#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| login_fuzz::next::check(data));
