//! The bodies of requests, at each route.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| circles_fuzz::bodies::check(bytes));
