//! LAN mode between several computers: network namespaces with real multicast between them. Where a machine cannot make
//! them, every test says so and is reported as ignored, never as passed.

mod people;
mod stories;
mod strangers;
mod window;

use std::time::Instant;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if let Some(done) = window::part() {
        done.unwrap_or_else(|error| panic!("{error:#}"));
        return;
    }
    let mut arguments = Arguments::from_args();
    // Times are measured, on machines with two cores.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let unable = circles_tests::network::unable();
    if let Some(reason) = &unable {
        eprintln!("SKIPPED, all of them: this machine cannot make network namespaces: {reason}");
    }
    let trial = |(name, story): &(&'static str, stories::Story)| {
        let story = *story;
        let told = move || {
            let begun = Instant::now();
            let done = story();
            println!("    the whole story: {:.1} s", begun.elapsed().as_secs_f64());
            done
        };
        Trial::test(*name, move || told().map_err(|error| format!("{error:#}").into()))
            .with_ignored_flag(unable.is_some())
    };
    libtest_mimic::run(&arguments, stories::ALL.iter().map(trial).collect()).exit();
}
