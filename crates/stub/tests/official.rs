//! Espressif's stubs, as an installed esptool has them, in every version that it ships.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{env, fs};

use guru_chip::{CHIPS, Revision};
use guru_stub::{Kind, Source, StubFile};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let python = env::var("GURU_ESPTOOL").ok();
    let missing = python.is_none() && env::var_os("GURU_REQUIRE_PEERS").is_none();
    let test = move || match &python {
        Some(python) => all_are_taken(python),
        None => Err("GURU_ESPTOOL names no Python with esptool".into()),
    };
    let trial = Trial::test("every_stub_that_esptool_ships_is_taken", test);
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(missing)]).exit_code()
}

fn all_are_taken(python: &str) -> Result<(), Failed> {
    let script = "import esptool, os; print(os.path.dirname(esptool.__file__))";
    let output = Command::new(python).args(["-c", script]).output()?;
    let package = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let mut taken = 0;
    for version in fs::read_dir(package.join("targets/stub_flasher"))? {
        let mut files = Vec::new();
        for entry in fs::read_dir(version?.path())? {
            let entry = entry?;
            files.push(StubFile {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: fs::read(entry.path())?,
            });
        }
        let json = files.iter().filter(|file| file.name.ends_with(".json"));
        let expected = json.count();
        let source = Source::Files(Kind::Official, Arc::new(files));
        let mut found = 0;
        for chip in CHIPS {
            for revision in [Revision(100), Revision(300)] {
                found += usize::from(source.stub(chip, Some(revision))?.is_some());
            }
        }
        // Each file serves both revisions, but the two of a chip that has one for each.
        let twice = found.div_ceil(2);
        if twice != expected && twice + 1 != expected {
            return Err(format!("{expected} files, {found} stubs").into());
        }
        taken += found;
    }
    if taken == 0 {
        return Err("esptool has no stubs".into());
    }
    Ok(())
}
