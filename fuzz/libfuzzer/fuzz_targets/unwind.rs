#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| guru_fuzz::unwind(bytes));
