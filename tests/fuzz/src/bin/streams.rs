//! The bytes of a stream, as they come through HTTP.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| circles_fuzz::streams::check(bytes));
