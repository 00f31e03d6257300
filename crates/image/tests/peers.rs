//! Real images, and the reference doing the same to the same bytes.
//!
//! `GURU_TESTDATA` names the folder with real firmware, `GURU_ESPTOOL` a Python with esptool in
//! it. What is not there is reported as ignored. With `GURU_REQUIRE_PEERS` of 1 a missing esptool
//! is a failure; the firmware is too large for the repository and may always be missing.

use std::env;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guru_chip::{CHIPS, Chip, Revision};
use guru_image::{
    Compatibility, Contents, ExtendedHeader, Firmware, FlashMode, FlashParameters, Form, Header,
    Image, Mismatch, Outcome, compatibility, patch,
};
use guru_testkit::Scratch;
use libtest_mimic::{Arguments, Failed, Trial};

type Check = Result<(), Box<dyn Error>>;

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let mut trials = Vec::new();
    let mut add = |name: String, needs: &str, check: Box<dyn FnOnce(PathBuf) -> Check + Send>| {
        let found = env::var_os(needs).map(PathBuf::from);
        let ignored = found.is_none() && !(required && needs == "GURU_ESPTOOL");
        let missing = format!("{needs} is not set");
        let run = move || match found {
            Some(path) => check(path).map_err(|e| Failed::from(e.to_string())),
            None => Err(missing.into()),
        };
        let trial = Trial::test(name, run).with_kind(format!("needs {needs}"));
        trials.push(trial.with_ignored_flag(ignored));
    };
    for (name, check) in [
        (
            "every_real_image_is_whole",
            every_real_image_is_whole as fn(PathBuf) -> Check,
        ),
        (
            "real_images_fit_their_chip_and_no_other",
            real_images_fit_their_chip_and_no_other,
        ),
        (
            "a_bootloader_asks_for_the_revisions_it_was_built_for",
            a_bootloader_asks_for_the_revisions_it_was_built_for,
        ),
    ] {
        add(name.into(), "GURU_TESTDATA", Box::new(check));
    }
    for chip in CHIPS {
        add(
            format!("{}_headers_are_patched_as_the_reference_does", chip.id),
            "GURU_ESPTOOL",
            Box::new(move |python| headers_are_patched_as_the_reference_does(chip, &python)),
        );
    }
    add(
        "hex_files_of_the_reference_are_read_back".into(),
        "GURU_ESPTOOL",
        Box::new(hex_files_of_the_reference_are_read_back),
    );
    libtest_mimic::run(&arguments, trials).exit();
}

/// The images among the real firmware, with the name of their chip.
fn real_images(testdata: &Path) -> Result<Vec<(&'static str, Contents)>, Box<dyn Error>> {
    let mut images = Vec::new();
    for entry in fs::read_dir(testdata.join("firmware"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let chip = if name.starts_with("ESP32_GENERIC") {
            Some("ESP32")
        } else if name.starts_with("emlearn-s3") {
            Some("ESP32-S3")
        } else {
            let word = name.split(['-', '.']).nth(1).unwrap_or_default();
            guru_chip::known_name(word).map(|known| known.name)
        };
        if let Some(chip) = chip
            && name.ends_with(".bin")
        {
            images.push((chip, Contents::open(&path)?));
        }
    }
    if images.len() < 30 {
        return Err(format!("only {} images found", images.len()).into());
    }
    Ok(images)
}

fn every_real_image_is_whole(testdata: PathBuf) -> Check {
    for (_, contents) in real_images(&testdata)? {
        Image::parse(&contents, Form::Extended)
            .and_then(|image| image.verify(&contents))
            .map_err(|e| format!("{}: {e}", contents.name()))?;
    }
    Ok(())
}

fn real_images_fit_their_chip_and_no_other(testdata: PathBuf) -> Check {
    for (name, contents) in real_images(&testdata)? {
        for chip in CHIPS {
            let found = compatibility(&contents, &chip.image, None)?;
            let right = match found {
                Compatibility::Fits => chip.name == name,
                Compatibility::Mismatch(Mismatch::OtherChip(family)) => {
                    chip.name != name && family.name() == Some(name)
                }
                _ => false,
            };
            if !right {
                return Err(format!("{} on {}: {found:?}", contents.name(), chip.name).into());
            }
        }
    }
    Ok(())
}

fn a_bootloader_asks_for_the_revisions_it_was_built_for(testdata: PathBuf) -> Check {
    let contents = Contents::open(&testdata.join("firmware/bootloader-esp32c3.bin"))?;
    let c3 = guru_chip::by_id("esp32c3").ok_or("no entry for the ESP32-C3")?;
    for (revision, fits) in [
        (2, false),
        (3, true),
        (101, true),
        (199, true),
        (200, false),
    ] {
        let found = compatibility(&contents, &c3.image, Some(Revision(revision)))?;
        if (found == Compatibility::Fits) != fits {
            return Err(format!("revision {revision}: {found:?}").into());
        }
    }
    Ok(())
}

/// An image for the chip, with two segments and something merged behind it.
fn image(chip: &Chip, hash_appended: bool) -> Vec<u8> {
    let mut bytes = Header {
        segments: 2,
        flash_mode: 1,
        flash_size_freq: 0x12,
        entry: 0x4038_0000,
    }
    .to_bytes()
    .to_vec();
    if let Some(chip_id) = chip.image.chip_id {
        bytes.extend(
            ExtendedHeader {
                wp_pin: ExtendedHeader::WP_PIN_DISABLED,
                drive: [0; 3],
                chip_id,
                min_rev: 0,
                min_rev_full: 0,
                max_rev_full: u16::MAX,
                reserved: [0; 4],
                hash_appended,
            }
            .to_bytes(),
        );
    }
    let mut checksum = 0xEF;
    for (address, len) in [(0x3FFE_8000_u32, 100_u32), (0x4010_0000, 1000)] {
        bytes.extend(address.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        for index in 0..len {
            let byte = (index * 7) as u8;
            bytes.push(byte);
            checksum ^= byte;
        }
    }
    bytes.resize(bytes.len() | 0xF, 0);
    bytes.push(checksum);
    if chip.image.chip_id.is_some() && hash_appended {
        let digest = Contents::from_bytes("image", bytes.clone())
            .and_then(|contents| contents.sha256(0..contents.len()));
        bytes.extend(digest.unwrap_or_default());
    }
    bytes.extend(b"what follows the image");
    bytes.resize(bytes.len().next_multiple_of(4), 0x55);
    bytes
}

/// Every size, frequency and mode of a chip, on an image with and without a digest.
fn headers_are_patched_as_the_reference_does(chip: &Chip, python: &Path) -> Check {
    let scratch = Scratch::new();
    let modes = ["dio", "qio", "dout", "qout"];
    let frequencies: Vec<_> = chip
        .flash
        .frequencies
        .iter()
        .map(|(label, _)| *label)
        .collect();
    let sizes: Vec<_> = chip.flash.sizes.iter().map(|size| size.label).collect();
    let count = modes.len().max(frequencies.len()).max(sizes.len());
    let offset = chip.image.bootloader_offset;

    let mut jobs = Vec::new();
    let mut commands = String::new();
    for hash in [true, false] {
        let input = scratch.path(format!("image-{hash}.bin"));
        fs::write(&input, image(chip, hash))?;
        for index in 0..count {
            let pick = |list: &[&'static str]| list[index % list.len()];
            let (mode, frequency, size) = (pick(&modes), pick(&frequencies), pick(&sizes));
            let output = scratch.path(format!("{hash}-{index}.bin"));
            commands += &format!(
                "--chip {} merge-bin -o '{}' -t {offset:#x} -fm {mode} -ff {frequency} -fs {size} \
                 {offset:#x} '{}'\n",
                chip.id,
                output.display(),
                input.display()
            );
            jobs.push((input.clone(), output, mode, frequency, size));
        }
    }
    esptool(python, &commands)?;

    for (input, output, mode, frequency, size) in jobs {
        let parameters = FlashParameters::new(
            &chip.flash,
            Some(mode.parse::<FlashMode>()?),
            Some(frequency),
            Some(size),
        )?;
        let patched = patch(Contents::open(&input)?, offset, &chip.image, parameters)?;
        let (Outcome::Set { .. }, ours) = (&patched.outcome, all(&patched.contents)?) else {
            return Err(format!("{:?}", patched.outcome).into());
        };
        if ours != fs::read(&output)? {
            return Err(format!("differs with {mode} {frequency} {size}").into());
        }
    }
    Ok(())
}

fn hex_files_of_the_reference_are_read_back(python: PathBuf) -> Check {
    let scratch = Scratch::new();
    let parts = [(0x0_u32, 5000_usize), (0x8000, 33), (0x1_FFF0, 100_000)];
    let output = scratch.path("merged.hex");
    let mut command = format!("--chip esp32c3 merge-bin -f hex -o '{}'", output.display());
    for (address, len) in parts {
        let path = scratch.path(format!("{address:x}.bin"));
        fs::write(&path, bytes(len))?;
        command += &format!(" {address:#x} '{}'", path.display());
    }
    esptool(&python, &command)?;

    let firmware = Firmware::open(&output)?;
    if firmware.parts.len() != parts.len() {
        return Err(format!("{} parts", firmware.parts.len()).into());
    }
    for (part, (address, len)) in firmware.parts.iter().zip(parts) {
        // The reference pads its inputs to a multiple of four.
        let mut expected = bytes(len);
        expected.resize(part.contents.len() as usize, 0xFF);
        if part.address != Some(address) || all(&part.contents)? != expected {
            return Err(format!("part at {address:#x} differs").into());
        }
    }
    Ok(())
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 / 8) as u8).collect()
}

fn all(contents: &Contents) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = vec![0; contents.len() as usize];
    contents.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Runs command lines of esptool, one a line, in one Python: it takes long to start.
fn esptool(python: &Path, commands: &str) -> Check {
    const PROGRAM: &str = "import esptool, shlex, sys\n\
                           for line in sys.stdin: esptool.main(shlex.split(line))\n";
    let mut child = Command::new(python)
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        return Err(String::from_utf8_lossy(&text).into_owned().into());
    }
    Ok(())
}
