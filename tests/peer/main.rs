//! Guru beside a client that nobody here wrote: the Python tools, of a fixed version, on the same
//! simulator. They are found through `GURU_ESPTOOL`, a Python that has them; without it these
//! tests are ignored, or, with `GURU_REQUIRE_PEERS=1`, fail.

mod case;
mod clients;
mod identity;
mod inputs;
mod lines;
mod process;
mod same_work;
mod simulator;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use guru_chip::CHIPS;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::Cases;
use crate::clients::Reference;
use crate::simulator::Way;

/// Two chips that differ in most things, for what need not be tried with all.
const TWO: [&str; 2] = ["esp32", "esp32c3"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let reference = Arc::new(Reference::find());
    let required = env::var("GURU_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    let trial = |name: String, test: Test| {
        let reference = Arc::clone(&reference);
        Trial::ignorable_test(name, move || match &*reference {
            Ok(reference) => test(reference).map(|()| Completion::Completed),
            Err(reason) if required => Err(reason.into()),
            Err(reason) => Ok(Completion::ignored_with(reason)),
        })
    };

    let mut trials = Vec::new();
    let ways: &[Way] = if cfg!(unix) {
        &[Way::Tcp, Way::Rfc2217, Way::Pty]
    } else {
        &[Way::Tcp, Way::Rfc2217]
    };
    for &way in ways {
        let chips = CHIPS
            .iter()
            .filter(|chip| way == Way::Tcp || TWO.contains(&chip.id));
        for chip in chips {
            trials.push(trial(
                format!("reference flashes {} over {way:?}", chip.id),
                Box::new(move |reference| identity::flashes(chip, way, reference)),
            ));
        }
    }
    trials.push(trial(
        "reference sees what the simulator was told to be".into(),
        Box::new(identity::told),
    ));
    trials.push(Trial::test(
        "every chip has been told to be something",
        identity::all_chips_are_told,
    ));
    for (cases, test) in [
        (
            cases(include_str!("cases.toml")),
            same_work::same as fn(&_, &_) -> _,
        ),
        (
            cases(include_str!("reference-cannot.toml")),
            same_work::ours_alone,
        ),
    ] {
        match cases {
            Ok(cases) => trials.extend(cases.case.into_iter().map(|case| {
                trial(
                    format!("ours and the reference: {}", case.name),
                    Box::new(move |reference| test(&case, reference)),
                )
            })),
            Err(error) => trials.push(Trial::test("the list of cases", || Err(error))),
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Test = Box<dyn FnOnce(&Reference) -> Result<(), Failed> + Send>;

fn cases(text: &str) -> Result<Cases, Failed> {
    toml::from_str(text).map_err(|error| error.to_string().into())
}

/// An empty folder for a test.
fn folder(name: &str) -> Result<PathBuf, Failed> {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("peer")
        .join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
