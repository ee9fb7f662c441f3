#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cornu::fuzzing::quantized(bytes));
