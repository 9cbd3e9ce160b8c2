//! Cursors, positions, scopes, links, codes and fingerprints.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| circles_fuzz::texts::check(bytes));
