#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| login_fuzz::session_entry::check(data));
