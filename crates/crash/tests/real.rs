//! Real logs, of `GURU_TESTDATA`. Without it these tests are ignored, or, with `GURU_REQUIRE_PEERS=1`, fail.

use std::path::PathBuf;
use std::{env, fs};

use guru_chip::ResetCause;
use guru_crash::{Event, Parser};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() {
    let trial =
        Trial::ignorable_test(
            "a_real_boot_log_has_one_boot_and_no_crash",
            || match env::var_os("GURU_TESTDATA") {
                Some(folder) => boot_log(PathBuf::from(folder).join("monitor/in1.txt")),
                None if env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
                    Err("GURU_TESTDATA is not set".into())
                }
                None => Ok(Completion::ignored_with("GURU_TESTDATA is not set")),
            },
        );
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

/// With colours, addresses that a monitor decoded, and times in four forms.
fn boot_log(path: PathBuf) -> Result<Completion, Failed> {
    let log = fs::read(path)?;
    let mut parser = Parser::new(&(), None);
    let mut events = parser.push(&log);
    events.extend(parser.finish());
    let [Event::Boot(boot)] = &events[..] else {
        return Err(format!("{events:#?}").into());
    };
    let cause = boot.reset.as_ref().and_then(|reset| reset.cause);
    assert_eq!(cause, Some(ResetCause::PowerOn));
    assert_eq!(boot.chip.map(|chip| chip.id), Some("esp32"));
    let date = boot.rom.as_ref().map(|rom| rom.date.as_str());
    assert_eq!(date, Some("Jun  8 2016"));
    // From the first line to the bootloader's last.
    assert_eq!(boot.lines, 1..39);
    Ok(Completion::Completed)
}
