#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kernelsight_fuzz::run("streams", bytes));
