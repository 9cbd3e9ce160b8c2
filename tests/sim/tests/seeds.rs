//! The simulation is what it claims to be. Many seeds, and all breakages, are run by `make sim` and `make test` with
//! optimisations (`scripts/sim`).

use circles_sim::{breakage::Breakage, runner::Runner};

fn runner() -> Runner {
    Runner { program: env!("CARGO_BIN_EXE_sim-seed").into() }
}

#[test]
fn the_same_seed_lives_the_same_life_and_another_seed_another() {
    let (first, second) = (runner().one(2, None, None).unwrap(), runner().one(2, None, None).unwrap());
    assert_eq!(first, second);
    assert_eq!(first.violations, [""; 0]);
    assert_ne!(runner().one(1, None, None).unwrap().trace, first.trace);
}

#[test]
fn something_broken_on_purpose_is_noticed() {
    let (seeds, report) = runner().until_noticed(Breakage::SentTwice, 1..9).unwrap().expect("it is noticed");
    assert!(report.violations.iter().any(|it| it.contains("3.2")), "by number {seeds}: {:?}", report.violations);
}
