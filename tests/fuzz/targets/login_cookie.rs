#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| login_fuzz::login_cookie::check(data));
