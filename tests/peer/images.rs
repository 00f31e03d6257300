//! Commands that need no chip, on the same files: `image-info` line by line, `merge-bin` byte by
//! byte. The reference runs once for all of them: a Python takes long to start.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use guru_chip::{CHIPS, Chip};
use guru_image::{AppDescriptor, ExtendedHeader, Header};
use guru_testkit::noise;
use libtest_mimic::Failed;
use sha2::{Digest, Sha256};

use crate::Folder;
use crate::case::same_bytes;
use crate::clients::{Reference, run_ours};
use crate::process::Environment;

/// What became of a command line.
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Lines of standard output but the first, which is the program's name.
    lines: Vec<String>,
    warnings: Vec<String>,
}

/// `image-info` of images of all chips, whole and damaged, and of real firmware where it is there.
pub fn image_info(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("image-info")?;
    let mut commands = Vec::new();
    for (name, bytes) in images() {
        fs::write(folder.join(&name), bytes)?;
        commands.push(format!("image-info {name}"));
    }
    commands.push("--chip esp32c3 image-info esp32.bin".into());
    commands.push("--chip esp32 image-info esp32-damaged.bin".into());
    if let Some(testdata) = env::var_os("GURU_TESTDATA") {
        for entry in fs::read_dir(PathBuf::from(testdata).join("firmware"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                commands.push(format!("image-info {}", path.display()));
            }
        }
    }
    compare(reference, &folder, &commands, |_, _| Ok(()))
}

/// `merge-bin` in all forms and with all options.
pub fn merge_bin(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("merge-bin")?;
    for side in ["theirs", "ours"] {
        fs::create_dir(folder.join(side))?;
    }
    let names = merge_inputs(&folder)?;
    let mut commands = Vec::new();
    for chip in CHIPS {
        let boot = chip.image.bootloader_offset;
        let image = format!("{boot:#x} {}.bin", chip.id);
        let (frequency, _) = chip.flash.frequencies[0];
        let size = chip.flash.sizes[chip.flash.sizes.len() / 2].label;
        let header = format!("-ff {frequency} -fm dout -fs {size}");
        let rest = "0x8000 table.bin 0x10003 odd.bin";
        for form in [
            format!("-f raw -t {boot:#x} {header} {image} {rest}"),
            format!("-f hex {header} {rest} {image}"),
            format!("-f uf2 {header} {image} {rest}"),
            format!("{image} {rest}"),
        ] {
            // The reference has the ESP32's family for it (docs/differences.md).
            if chip.uf2_family.is_some() || !form.contains("uf2") {
                commands.push(format!("--chip {} merge-bin -o theirs/OUT {form}", chip.id));
            }
        }
    }
    for options in [
        "0 one.bin",
        "0x1000 empty.bin",
        "0 odd.bin 0x2000 empty.bin",
        "-t 0x1000 0x1000 odd.bin",
        "-t 0x1000 0xfff odd.bin",
        "--pad-to-size 256KB 0 odd.bin",
        "--pad-to-size 256KB -t 0x3000 0x3000 odd.bin",
        "--fill-flash-size 512KB 0 odd.bin 0x50000 table.bin",
        "--pad-to-size 256KB 0x41000 odd.bin",
        "-f hex 0 one.bin",
        "-f hex 0xfff1 odd.bin",
        "-f hex 0xf000 sector.bin 0x10000 sector.bin",
        "-f hex 0xe000 sector.bin 0xf000 odd.bin",
        "-f hex 0x1234567 odd.bin 0xfffff000 sector.bin",
        "-f hex 0 runs.hex",
        "-f hex 0x1000 empty.bin",
        "-f raw 0 runs.hex 0x40000 odd.bin",
        "-f raw 0x1000 sector.bin 0x2000 sector.bin 0x0 odd.bin",
        "-f uf2 --chunk-size 256 0x1000 odd.bin",
        "-f uf2 --chunk-size 4 0x1000 one.bin 0x2000 table.bin",
        "-f uf2 --chunk-size 0x1c4 0x1000 sector.bin",
        "-f uf2 --chunk-size 476 --md5-disable 0x1000 sector.bin",
        "-f uf2 --md5-disable 0x1000 odd.bin 0x10000 empty.bin 0x20000 one.bin",
        "-f uf2 --chunk-size 255 0x1000 odd.bin",
        "-f raw 0 sector.bin 0xfff odd.bin",
        "-f raw 0",
        "-f raw x one.bin",
        "-f bin 0 one.bin",
        "-fs 3MB 0 one.bin",
        "-fs 4MB 0x1000 odd.bin 0 odd.bin",
        "0 missing.bin",
        "@arguments",
    ] {
        for chip in ["esp32", "esp32s3"] {
            commands.push(format!("--chip {chip} merge-bin -o theirs/OUT {options}"));
        }
    }
    commands.push("merge-bin -o theirs/OUT 0 one.bin".into());
    // A clock that the chip has not, for an image that is not changed.
    commands.push("--chip esp32c2 merge-bin -o theirs/OUT -ff 80m 0x10000 odd.bin".into());
    let commands: Vec<_> = commands
        .iter()
        .enumerate()
        .map(|(number, command)| command.replace("OUT", &number.to_string()))
        .collect();
    if commands.len() < 60 + names {
        return Err(format!("only {} command lines", commands.len()).into());
    }
    compare(reference, &folder, &commands, |number, command| {
        let read = |side: &str| fs::read(folder.join(side).join(number.to_string())).ok();
        match (read("ours"), read("theirs")) {
            (Some(ours), Some(theirs)) => same_bytes(command, &ours, &theirs),
            (None, None) => Ok(()),
            // It leaves what it has begun.
            (None, Some(_)) if command.contains("0xfff odd.bin") => Ok(()),
            (ours, _) => Err(format!("{command}: made by ours: {}", ours.is_some()).into()),
        }
    })
}

/// Gives both the same command lines, and compares what they say; then `files` looks at what they
/// have made.
fn compare(
    reference: &Reference,
    folder: &Path,
    commands: &[String],
    files: impl Fn(usize, &str) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let theirs = ask(reference, folder, commands)?;
    let mut wrong = Vec::new();
    for (number, (command, theirs)) in commands.iter().zip(theirs).enumerate() {
        let words = command.replace("theirs/", "ours/");
        let words: Vec<_> = words.split_whitespace().collect();
        let ours = run_ours(&words, folder, &Environment::new())?;
        let code = ours.code.unwrap_or(-1);
        // A traceback of theirs is a refusal of ours.
        if code != theirs.code && (code, theirs.code) != (2, 1) {
            wrong.push(format!(
                "{command}: exit code {} became {code}\n{ours}",
                theirs.code
            ));
            continue;
        }
        if code == 0 {
            let expected = Answer {
                code,
                lines: said(&ours.stdout),
                warnings: warnings(command, &ours.stderr),
            };
            for (theirs, ours) in [
                (&theirs.lines, &expected.lines),
                (&theirs.warnings, &expected.warnings),
            ] {
                let theirs: Vec<_> = theirs
                    .iter()
                    .map(|line| line.replace("theirs/", "ours/"))
                    .collect();
                let differs = theirs.iter().zip(ours).position(|(a, b)| a != b);
                let differs =
                    differs.or((theirs.len() != ours.len()).then(|| theirs.len().min(ours.len())));
                if let Some(at) = differs {
                    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
                    wrong.push(format!(
                        "{command}:\n  - {}\n  + {}",
                        line(&theirs),
                        line(ours)
                    ));
                }
            }
        }
        if let Err(error) = files(number, command) {
            wrong.push(error.message().unwrap_or_default().to_owned());
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n").into()),
    }
}

/// The reference's answers, one for each command line.
pub fn ask(
    reference: &Reference,
    folder: &Path,
    commands: &[String],
) -> Result<Vec<Answer>, Failed> {
    let mut child = Command::new(reference.python())
        .args(["-c", include_str!("images.py")])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Its answers are read when all was asked, and may fill the pipe before.
        let text = commands.join("\n") + "\n";
        std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    }
    let output = child.wait_with_output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut answers = Vec::new();
    let mut errors = stderr.split('\u{1}');
    let mut pieces = stdout.split('\u{1}');
    let mut text = pieces.next().unwrap_or_default();
    for piece in pieces {
        let (end, next) = piece.split_once('\n').unwrap_or((piece, ""));
        let code = end.split(' ').next().and_then(|code| code.parse().ok());
        answers.push(Answer {
            code: code.ok_or_else(|| format!("no exit code: {end}"))?,
            lines: said(text),
            warnings: warnings(
                commands.get(answers.len()).map_or("", String::as_str),
                errors.next().unwrap_or_default(),
            ),
        });
        text = next;
    }
    match answers.len() == commands.len() {
        true => Ok(answers),
        false => Err(format!("{} answers\n{stderr}", answers.len()).into()),
    }
}

/// Lines behind the program's name. A run of HEX is a file of its own to the reference.
fn said(stdout: &str) -> Vec<String> {
    let lines = stdout
        .lines()
        .skip_while(|line| !line.starts_with("esptool v"));
    let lines = lines.skip(1).map(str::trim_end);
    lines
        .filter(|line| !line.starts_with("Adding '"))
        .map(str::to_owned)
        .collect()
}

fn warnings(command: &str, stderr: &str) -> Vec<String> {
    let told_of_segments = command.contains("image-info");
    let lines = stderr.lines().map(str::trim_end);
    lines
        .filter(|line| line.starts_with("WARNING: "))
        // It reads an image of the ESP8266 to patch it, and tells of that again.
        .filter(|line| !line.contains("Suspicious") || told_of_segments)
        .map(str::to_owned)
        .collect()
}

/// Images by the names of their files.
fn images() -> Vec<(String, Vec<u8>)> {
    let mut images = vec![
        ("empty.bin".to_owned(), Vec::new()),
        ("short.bin".to_owned(), vec![0xE9, 1, 2]),
        ("erased.bin".to_owned(), vec![0xFF; 5000]),
        ("table.bin".to_owned(), b"\xAA\x50\x01\x02".repeat(8)),
        (
            "many.bin".to_owned(),
            [vec![0xE9, 17, 0, 0], vec![0; 1000]].concat(),
        ),
        ("version-2.bin".to_owned(), version_2(4, 0x4010_0004)),
        ("version-2-odd.bin".to_owned(), version_2(5, 0x4010_0008)),
    ];
    for chip in CHIPS {
        let whole = image(chip);
        let mut add = |what: &str, bytes: Vec<u8>| {
            images.push((format!("{}{what}.bin", chip.id), bytes));
        };
        let changed = |offset: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[offset] = byte;
            bytes
        };
        let behind = [&whole[..], b"what follows"].concat();
        add("", whole.clone());
        add("-behind", behind);
        let last = whole.len() - 60;
        add("-damaged", changed(last, whole[last] ^ 0x10));
        add(
            "-no-entry",
            changed(4, 0)
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if (4..8).contains(&at) { 0 } else { byte })
                .collect(),
        );
        add("-mode", changed(2, 7));
        add("-codes", changed(3, 0xED));
        add("-none", changed(1, 0));
        add("-cut", whole[..whole.len() - 10].to_vec());
    }
    images
}

/// An image with descriptors, one segment in each memory that has a name.
pub fn image(chip: &Chip) -> Vec<u8> {
    let mut app = AppDescriptor::MAGIC.to_le_bytes().to_vec();
    app.extend(3_u32.to_le_bytes());
    app.resize(16, 0);
    for (text, len) in [
        ("v1.2", 32),
        ("[bold]blink", 32),
        ("12:34:56", 16),
        ("Nov 21 2026", 16),
        ("v5.4", 32),
    ] {
        app.extend(text.bytes());
        app.resize(app.len() - text.len() + len, 0);
    }
    app.extend([0xA5; 32]);
    app.extend([3, 0, 199, 0, 16]);
    app.resize(256, 0);
    let mut segments: Vec<(u32, Vec<u8>)> = chip
        .memory
        .iter()
        .filter(|memory| memory.name != "PADDING")
        .enumerate()
        .map(|(number, memory)| {
            let data = match memory.name {
                "DROM" => app.clone(),
                _ => noise(90 + number, number as u64),
            };
            (memory.range.start, data)
        })
        .collect();
    segments.truncate(15);
    segments.push((0, vec![0; 7]));
    let header = Header {
        segments: segments.len() as u8,
        flash_mode: 2,
        flash_size_freq: 0x20,
        entry: segments[0].0 + 4,
    };
    let mut bytes = header.to_bytes().to_vec();
    if let Some(chip_id) = chip.image.chip_id {
        bytes.extend(
            ExtendedHeader {
                wp_pin: 0xEE,
                drive: [0x21, 0x43, 0x65],
                chip_id,
                min_rev: 1,
                min_rev_full: 102,
                max_rev_full: 399,
                reserved: [0; 4],
                hash_appended: true,
            }
            .to_bytes(),
        );
    }
    finish(&mut bytes, &segments);
    if chip.image.chip_id.is_some() {
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
    }
    bytes
}

/// Segments and checksum.
fn finish(bytes: &mut Vec<u8>, segments: &[(u32, Vec<u8>)]) {
    let mut checksum = 0xEF;
    for (address, data) in segments {
        bytes.extend(address.to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    bytes.resize(bytes.len() | 0xF, 0);
    bytes.push(checksum);
}

/// An image of the ESP8266's version 2.
fn version_2(count: u8, entry: u32) -> Vec<u8> {
    let mut bytes = vec![0xEA, count, 2, 0x20];
    bytes.extend(entry.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 32, 0, 0, 0]);
    bytes.extend(noise(32, 9));
    let header = Header {
        segments: 2,
        flash_mode: 2,
        flash_size_freq: 0x20,
        entry: 0x4010_0004,
    };
    bytes.extend(header.to_bytes());
    finish(
        &mut bytes,
        &[(0x4010_0000, noise(100, 1)), (0x3FFE_8000, noise(40, 2))],
    );
    bytes.extend([0; 4]);
    bytes
}

/// Files to merge. Returns how many of them are images.
fn merge_inputs(folder: &Path) -> Result<usize, Failed> {
    for chip in CHIPS {
        fs::write(folder.join(format!("{}.bin", chip.id)), image(chip))?;
    }
    for (name, bytes) in [
        ("one.bin", vec![0x5A]),
        ("empty.bin", vec![]),
        ("odd.bin", noise(1001, 3)),
        ("sector.bin", noise(4096, 4)),
        ("table.bin", noise(0xC00, 5)),
        (
            "runs.hex",
            b":020000001122CB\n:02300000334457\n:020000040001F9\n:01002000558A\n:00000001FF\n"
                .to_vec(),
        ),
        (
            "arguments",
            b"--pad-to-size 256KB\n0x1000 odd.bin\n0x8000 table.bin\n".to_vec(),
        ),
    ] {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(CHIPS.len())
}
