//! Guru beside clients that nobody here wrote, of fixed versions, on the same simulator: the Python
//! tools, found through `GURU_ESPTOOL`, a Python that has them, and esptool-js, found through
//! `GURU_ESPTOOL_JS`, its folder. Without them these tests are ignored, or, with
//! `GURU_REQUIRE_PEERS=1`, fail.

mod case;
mod clients;
mod commands;
mod elf2image;
mod flash;
mod fork;
mod identity;
mod images;
mod inputs;
mod javascript;
mod lines;
mod linked;
mod process;
mod rfc2217;
mod same_work;
mod simulator;
mod split;
mod stubs;
mod with_stubs;

use std::collections::HashSet;
use std::num::NonZero;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use guru_chip::CHIPS;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::cases;
use crate::clients::Reference;
use crate::javascript::EsptoolJs;
use crate::simulator::Way;
use crate::with_stubs::WithRoms;

/// Two chips that differ in most things, for what need not be tried with all.
const TWO: [&str; 2] = ["esp32", "esp32c3"];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of the time is spent waiting, for ports and for what chips are waited for.
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores);
    let reference = Arc::new(Reference::find());
    let trial = |name: String, test: Test<Reference>| needs(&reference, name, test);

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
    if cfg!(unix) {
        trials.push(trial(
            "a forked Python is like a new one".into(),
            Box::new(fork::is_like_a_new_one),
        ));
    }
    trials.push(trial(
        "reference sees what the simulator was told to be".into(),
        Box::new(identity::told),
    ));
    trials.push(trial(
        "ours takes every option of the reference".into(),
        Box::new(commands::same_options),
    ));
    trials.push(trial(
        "images of made-up programs are those of the reference".into(),
        Box::new(elf2image::made_up),
    ));
    trials.push(trial(
        "images of awkward layouts are those of the reference".into(),
        Box::new(linked::awkward),
    ));
    trials.push(trial(
        "images of real programs are those of the reference".into(),
        Box::new(elf2image::real),
    ));
    trials.push(trial(
        "image-info says what the reference says".into(),
        Box::new(images::image_info),
    ));
    trials.push(trial(
        "merge-bin makes what the reference makes".into(),
        Box::new(images::merge_bin),
    ));
    trials.push(trial(
        "split-bin gives back what the reference has merged".into(),
        Box::new(split::of_the_reference),
    ));
    trials.push(trial(
        "split-bin gives back what real images were merged of".into(),
        Box::new(split::real),
    ));
    trials.push(Trial::test(
        "every chip has been told to be something",
        identity::all_chips_are_told,
    ));
    trials.push(Trial::ignorable_test(
        "real programs are flashed and started",
        flash::real,
    ));
    let mut names = Vec::new();
    for (group, cases, test) in [
        (
            "ours and the reference",
            cases(include_str!("cases.toml")),
            same_work::same as fn(&_, &_) -> _,
        ),
        (
            "settings",
            cases(include_str!("settings.toml")),
            same_work::same,
        ),
        (
            "with eFuses burnt",
            cases(include_str!("security.toml")),
            same_work::same,
        ),
        (
            "ours alone",
            cases(include_str!("reference-cannot.toml")),
            same_work::ours_alone,
        ),
    ] {
        match cases {
            Ok(cases) => trials.extend(cases.into_iter().map(|case| {
                names.push(case.name.clone());
                trial(
                    format!("{group}: {}", case.name),
                    Box::new(move |reference| test(&case, reference)),
                )
            })),
            Err(error) => trials.push(Trial::test("the list of cases", || Err(error))),
        }
    }
    trials.push(Trial::test(
        "every case has a folder of its own",
        move || have_own_folders(&names),
    ));
    let stubs = stubs::trials().chain(with_stubs::trials());
    trials.extend(stubs.map(|(name, test)| needs(&reference, name, test)));
    trials.extend(rfc2217::trials().map(|(name, test)| needs(&reference, name, test)));
    let roms = Arc::new(WithRoms::find(&reference));
    trials.extend(with_stubs::rom_trials().map(|(name, test)| needs(&roms, name, test)));
    let browser = Arc::new(EsptoolJs::find());
    trials.extend(javascript::trials().map(|(name, test)| needs(&browser, name, test)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Test<Peer> = Box<dyn FnOnce(&Peer) -> Result<(), Failed> + Send>;

/// A trial that is ignored, or fails if peers are required, where its peer was not found.
fn needs<Peer: Send + Sync + 'static>(
    peer: &Arc<Result<Peer, String>>,
    name: String,
    test: Test<Peer>,
) -> Trial {
    let peer = Arc::clone(peer);
    Trial::ignorable_test(name, move || match &*peer {
        Ok(peer) => test(peer).map(|()| Completion::Completed),
        Err(reason) if env::var("GURU_REQUIRE_PEERS").is_ok_and(|value| value == "1") => {
            Err(reason.into())
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// A folder for a test, which goes away with it: a flash for each would fill the disk.
/// `GURU_KEEP_FOLDERS=1` keeps it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    fn new(name: &str) -> Result<Self, Failed> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("peer")
            .join(folder_name(name));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if env::var_os("GURU_KEEP_FOLDERS").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn folder_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}

/// Fails if two cases would share a folder.
fn have_own_folders(names: &[String]) -> Result<(), Failed> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(folder_name(name))) {
        None => Ok(()),
        Some(name) => Err(format!("two cases are named like '{name}'").into()),
    }
}
