//! Guru with Espressif's flasher stubs, of both versions, from where the reference has them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::{env, fs};

use guru_image::Contents;
use guru_link::{Cancel, block_on};
use guru_loader::{
    ConnectOptions, EraseRegion, Event, FilePart, FlashOptions, Notice, ReadLength, ReadRequest,
    Session, VerifyRequest, WriteJob, WriteRequest,
};
use guru_sim::{Event as ChipEvent, SimLink};
use guru_stub::{Kind, Source, StubFile};
use guru_testkit::{code, noise};
use libtest_mimic::Failed;

use crate::case::same_bytes;
use crate::clients::Reference;
use crate::process::{Environment, run_with};
use crate::{Folder, Test};

/// Of the flash.
const SIZE: usize = 1 << 20;
/// Where the file goes.
const AT: usize = 0x1_0000;
/// Enough for a stub to be worth its upload.
const APP: usize = 36_000;
/// What is read: neither its address nor its length is a multiple of 4.
const READ: std::ops::Range<usize> = AT + 0x1003..AT + 0x5000;
/// What is erased, while the stub is there.
const ERASED: std::ops::Range<usize> = 0x8_0000..0x8_3000;

/// Chips, and versions: an ESP8266, both kinds of Xtensa core, an early RISC-V, and one whose stub
/// depends on the revision. What else differs from chip to chip the reference tries.
const BOARDS: [(&str, &str, &[u8]); 7] = [
    ("esp8266", "", &[1, 2]),
    ("esp32", "", &[1, 2]),
    ("esp32s3", "", &[1, 2]),
    ("esp32c3", "", &[1, 2]),
    ("esp32c3", "&usb=jtag", &[1, 2]),
    ("esp32p4", "&rev=1.0", &[1, 2]),
    ("esp32p4", "", &[2]),
];

/// Chips whose ROM's own code is called, by the second stubs, in place of what stands in for it: a RISC-V
/// and both kinds of windowed Xtensa core.
const ROMS: [(&str, &str); 3] = [
    ("esp32c3", "esp32c3_rev101_rom.elf"),
    ("esp32", "esp32_rev300_rom.elf"),
    ("esp32s3", "esp32s3_rev0_rom.elf"),
];

/// The reference, and a folder of Espressif's ELF files of the ROMs.
#[derive(Debug)]
pub struct WithRoms {
    reference: Arc<Result<Reference, String>>,
    folder: PathBuf,
}

impl WithRoms {
    /// Looks in `rom/` of what `GURU_TESTDATA` names.
    ///
    /// # Errors
    /// Why there are none.
    pub fn find(reference: &Arc<Result<Reference, String>>) -> Result<Self, String> {
        let folder = env::var_os("GURU_TESTDATA").map(|folder| PathBuf::from(folder).join("rom"));
        let folder = folder.filter(|folder| folder.is_dir());
        Ok(Self {
            reference: Arc::clone(reference),
            folder: folder.ok_or("GURU_TESTDATA has no folder of ROMs")?,
        })
    }
}

/// The same with the ROMs' own code.
pub fn rom_trials() -> impl Iterator<Item = (String, Test<WithRoms>)> {
    ROMS.into_iter().map(|(chip, rom)| {
        let name = format!("ours works with the reference's stub and the ROM of {chip}");
        let test = move |peers: &WithRoms| {
            let board = format!("&rom={}", peers.folder.join(rom).display());
            let reference = (*peers.reference).as_ref().map_err(Failed::from)?;
            works(chip, &board, 2, reference)
        };
        (name, Box::new(test) as Test<WithRoms>)
    })
}

/// Each of them, and the options by which they are found.
pub fn trials() -> impl Iterator<Item = (String, Test<Reference>)> {
    let sessions = BOARDS.iter().flat_map(|(chip, board, versions)| {
        let versions = versions.iter();
        versions.map(move |version| ((*chip, *board), *version))
    });
    let sessions = sessions.map(|((chip, board), version)| {
        let name = format!("ours works with stub {version} of the reference on {chip}{board}");
        let test = move |reference: &Reference| works(chip, board, version, reference);
        (name, Box::new(test) as Test<Reference>)
    });
    let found: Test<Reference> = Box::new(finds_them);
    sessions.chain([("ours finds the stubs of the reference".to_owned(), found)])
}

/// One session: write, read, erase, verify. The stub is used all the time, and the chip has all that
/// it asks for.
fn works(chip: &str, board: &str, version: u8, reference: &Reference) -> Result<(), Failed> {
    let address = format!("sim://{chip}?flash-size=1MB{board}");
    let link = SimLink::open(&address, Cancel::default())?;
    let before = noise(SIZE, 9);
    link.flash().load(0, &before);
    let options = ConnectOptions {
        stub: Some(source(&reference.stubs().join(version.to_string()))?),
        baud: Some(460_800),
        ..ConnectOptions::default()
    };
    let mut events = Vec::new();
    let mut observer = |event| events.push(event);
    let mut session = block_on(Session::connect(link, options, &mut observer))?;

    let app = code(APP, 1);
    let file = FilePart {
        name: "app.bin".to_owned(),
        address: AT as u32,
        contents: Contents::from_bytes("app.bin", app.clone())?,
        encrypt: false,
        previous: None,
    };
    let request = WriteRequest {
        files: vec![file.clone()],
        by_stub: true,
        ..WriteRequest::default()
    };
    let report = block_on(session.write_flash(WriteJob::new(request, None)?, &mut observer))?;
    if !report.files[0].verified {
        return Err("not verified".into());
    }
    let mut expected = before;
    let end = (AT + APP).next_multiple_of(0x1000);
    expected[AT..end].fill(0xFF);
    expected[AT..AT + APP].copy_from_slice(&app);

    let mut read = Vec::new();
    let request = ReadRequest {
        address: READ.start as u32,
        length: ReadLength::Bytes(READ.len() as u32),
    };
    let flash = FlashOptions::default();
    block_on(session.read_flash(&flash, request, &mut read, &mut observer))?;
    same_bytes("what was read", &read, &expected[READ])?;

    let region = EraseRegion {
        address: ERASED.start as u32,
        length: ReadLength::Bytes(ERASED.len() as u32),
    };
    block_on(session.erase_region(&flash, region, false, &mut observer))?;
    expected[ERASED].fill(0xFF);
    let request = VerifyRequest {
        files: vec![file],
        ..VerifyRequest::default()
    };
    block_on(session.verify_flash(request, &mut observer))?;

    let starts = events
        .iter()
        .filter(|event| matches!(event, Event::StubRuns));
    if starts.count() != 1 {
        let notices = events.iter().filter_map(|event| match event {
            Event::Notice(notice) => Some(notice),
            _ => None,
        });
        let notices: Vec<&Notice> = notices.collect();
        let told = session.into_link().take_events();
        return Err(format!("the stub did not do it all: {notices:?} {told:x?}").into());
    }
    let mut link = session.into_link();
    let told = link.take_events();
    let complaint = told.iter().find(|event| {
        matches!(
            event,
            ChipEvent::Crashed { .. }
                | ChipEvent::UnknownRegister { .. }
                | ChipEvent::UnknownRomFunction { .. }
                | ChipEvent::Overflow { .. }
        )
    });
    if let Some(complaint) = complaint {
        return Err(format!("{complaint:x?}").into());
    }
    same_bytes("flash", &link.flash().read(0..SIZE as u32), &expected)
}

/// The stubs in a folder.
fn source(folder: &Path) -> Result<Source, Failed> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            let bytes = fs::read(entry.path())?;
            files.push(StubFile { name, bytes });
        }
    }
    Ok(Source::Files(Kind::Official, Arc::new(files)))
}

/// `--stub official` finds them beside the Python of PATH, and `--stub-dir` where it is told.
fn finds_them(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("ours finds the stubs of the reference")?;
    fs::write(folder.join("app.bin"), code(APP, 1))?;
    let stubs = reference.stubs();
    let bin = PathBuf::from(reference.python());
    let bin = bin.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let path: Environment = vec![("PATH".to_owned(), bin.into_owned())];
    let named = stubs.join("1").to_string_lossy().into_owned();
    for (options, environment) in [
        (vec![], path),
        (vec!["--stub-dir", &named], Environment::new()),
    ] {
        let job = ["--port", "sim://esp32c3", "--stub", "official", "-v"];
        let command = ["write-flash", "0x10000", "app.bin"];
        let args = job.iter().chain(&options).chain(&command);
        let guru = env!("CARGO_BIN_EXE_guru");
        let outcome = run_with(guru, args, &folder, &environment, Stdio::null())?.success()?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        for text in [
            "uploading Espressif's flasher stub",
            "the flasher stub runs",
        ] {
            if !said.contains(text) {
                return Err(format!("'{text}' is not said\n{outcome}").into());
            }
        }
    }
    Ok(())
}
