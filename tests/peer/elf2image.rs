//! Images that ours and the reference make of the same ELF files, byte for byte: made-up ones for
//! every chip with every option, and real ones.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guru_chip::{Architecture, CHIPS, Chip};
use guru_testkit::elf::{ElfWriter, NOBITS, RISCV, Section, XTENSA};
use guru_testkit::{Random, first_difference, noise};
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::json;

use crate::Folder;
use crate::clients::{Reference, run_ours};
use crate::process::{Environment, clean_environment};

/// Made-up combinations of a program, a chip and options.
const COMBINATIONS: u64 = 300;

/// How many of these become the same images, at the least; that the others are refused by both with the
/// same words is compared too.
const SAME: usize = 200;

/// How many of the real programs with options become the same images, at the least. The reference cannot
/// make one of most that are of Rust, whose sections share pages.
const REAL: usize = 18;

/// How many of the same images each chip, each form and each option has a part in, at the least.
const SAME_OF_EACH: usize = 5;

/// What a combination may be of.
const PARTS: [&str; 18] = [
    "--version 1",
    "--version 2",
    "--version 3",
    "--flash_freq",
    "-fs",
    "--flash-mode",
    "--min-rev-full",
    "-r",
    "--max-rev-full",
    "--secure-pad",
    "--secure-pad-v2",
    "--elf-sha256-offset",
    "--dont-append-digest",
    "--use_segments",
    "--flash-mmu-page-size",
    "--pad-to-size",
    "--ram-only-header",
    "-o",
];

/// A chip, an ELF file and options.
pub struct Combination {
    pub name: String,
    pub words: Vec<String>,
    pub elf: Vec<u8>,
}

/// What the reference did.
#[derive(Debug, Deserialize)]
struct Theirs {
    code: i32,
    raised: String,
    said: String,
}

/// Made-up programs.
pub fn made_up(reference: &Reference) -> Result<(), Failed> {
    let combinations: Vec<_> = (0..COMBINATIONS).map(combination).collect();
    let outcomes = compare("elf2image made up", &combinations, reference)?;
    let same: Vec<String> = combinations
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Same)
        .map(|(combination, _)| combination.words.join(" ") + " ")
        .collect();
    // Enough of them are good ones, or little would be proven.
    let chips = CHIPS.iter().map(|chip| format!("--chip {}", chip.id));
    let parts = chips.chain(PARTS.map(str::to_owned));
    let rare: Vec<_> = parts
        .map(|part| {
            let word = format!("{part} ");
            let count = same.iter().filter(|words| words.contains(&word)).count();
            (part, count)
        })
        .filter(|(_, count)| *count < SAME_OF_EACH)
        .collect();
    match same.len() >= SAME && rare.is_empty() {
        true => Ok(()),
        false => {
            let others: BTreeMap<_, usize> =
                outcomes
                    .iter()
                    .fold(BTreeMap::new(), |mut counts, outcome| {
                        *counts.entry(outcome).or_default() += 1;
                        counts
                    });
            let same = same.len();
            Err(
                format!("{same} of {COMBINATIONS} became images; rare: {rare:?}; {others:#?}")
                    .into(),
            )
        }
    }
}

/// What became of a combination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Images, the same to the byte.
    Same,
    /// Refused by both, with these words.
    Refused(String),
    /// What docs/differences.md tells of.
    Known,
}

/// The real programs in `GURU_TESTDATA`.
pub fn real(reference: &Reference) -> Result<(), Failed> {
    let Some(folder) = env::var_os("GURU_TESTDATA") else {
        return Ok(());
    };
    let mut combinations = Vec::new();
    let mut paths = Vec::new();
    // Of Rust, and of C.
    for inside in ["elf", "coredump", "unwind"] {
        for entry in fs::read_dir(PathBuf::from(&folder).join(inside))? {
            paths.push(entry?.path());
        }
    }
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let chip = name.split(['_', '-']).next().unwrap_or_default();
        if path.extension() != Some(OsStr::new("elf")) || guru_chip::by_id(chip).is_none() {
            continue;
        }
        for options in [
            "",
            "--use-segments",
            "--use-segments --ram-only-header",
            "--flash-mode dio --flash-freq 80m -fs 4MB --min-rev-full 3 --secure-pad-v2",
        ] {
            let words = format!("--chip {chip} elf2image {options} x.elf");
            combinations.push(Combination {
                name: format!("{name} {options}"),
                words: words.split_whitespace().map(str::to_owned).collect(),
                elf: fs::read(&path)?,
            });
        }
    }
    let outcomes = compare("elf2image real", &combinations, reference)?;
    let same = outcomes.iter().filter(|one| **one == Outcome::Same).count();
    match same >= REAL {
        true => Ok(()),
        false => Err(format!("only {same} became images: {outcomes:#?}").into()),
    }
}

/// What became of each, all of them the same with both.
pub fn compare(
    name: &str,
    combinations: &[Combination],
    reference: &Reference,
) -> Result<Vec<Outcome>, Failed> {
    let folder = Folder::new(name)?;
    let theirs = run_theirs(&folder, combinations, reference)?;
    let mut outcomes = Vec::with_capacity(combinations.len());
    let mut wrong = Vec::new();
    for (at, (combination, theirs)) in combinations.iter().zip(theirs).enumerate() {
        let place = folder.join(format!("ours-{at}"));
        fs::create_dir_all(&place)?;
        fs::write(place.join("x.elf"), &combination.elf)?;
        let words: Vec<_> = combination.words.iter().map(String::as_str).collect();
        let outcome = run_ours(&words, &place, &Environment::new())?;
        let ours = files(&place)?;
        let expected = files(&folder.join(format!("theirs-{at}")))?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        if is_known(&theirs, &said, &expected) {
            outcomes.push(Outcome::Known);
            continue;
        }
        outcomes.push(match ours.is_empty() {
            true => Outcome::Refused(refusal(&said)),
            false => Outcome::Same,
        });
        let mut differs = Vec::new();
        if outcome.code != Some(theirs.code) {
            differs.push(format!("exit code {:?}, not {}", outcome.code, theirs.code));
        }
        if lines(&said) != lines(&theirs.said) {
            differs.push("other words".to_owned());
        }
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        if names(&ours) != names(&expected) {
            differs.push(format!(
                "files {:?}, not {:?}",
                names(&ours),
                names(&expected)
            ));
        }
        for (file, bytes) in &ours {
            if let Some(expected) = expected.get(file)
                && let Some(offset) = first_difference(bytes, expected)
            {
                differs.push(format!("{file} differs at {offset:#x}"));
            }
        }
        if !differs.is_empty() {
            wrong.push(format!(
                "{at} ({}): {}: {}\n-- ours\n{said}\n-- theirs {}\n{}",
                combination.name,
                combination.words.join(" "),
                differs.join("; "),
                theirs.raised,
                theirs.said
            ));
        }
    }
    match wrong.is_empty() {
        true => Ok(outcomes),
        false => Err(format!("{} differ\n{}", wrong.len(), wrong.join("\n\n")).into()),
    }
}

/// What docs/differences.md tells of.
fn is_known(theirs: &Theirs, ours: &str, files: &BTreeMap<String, Vec<u8>>) -> bool {
    // A gap of exactly one segment's header before a mapped segment, for which it has an assertion.
    let gap_of_a_header = theirs.raised == "AssertionError";
    // The last bytes of a segment, which it takes for a boundary.
    let end_of_a_segment = theirs.said.contains("Cannot place SHA256 digest")
        || ours.contains("Cannot place SHA256 digest");
    // No loader takes more.
    let too_many = files
        .values()
        .any(|bytes| bytes.first() == Some(&0xE9) && bytes.get(1) > Some(&16));
    // Two files for one place in flash, or even of one name.
    let one_place = ours.contains("where the file with the header is");
    let digest_left_out = ours.contains("no segment reaches to");
    // Without a digest it fills up from the header's third byte on.
    let destroyed = files
        .values()
        .any(|bytes| bytes.get(2..8) == Some(&[0xFF; 6]));
    gap_of_a_header
        || destroyed
        || end_of_a_segment
        || one_place
        || too_many && ours.contains("Invalid segment count")
        || digest_left_out
}

/// The line that says why, without its numbers.
fn refusal(said: &str) -> String {
    let lines = lines(said);
    let line = lines.iter().find(|line| line.contains("rror"));
    let line = line.or(lines.last()).cloned().unwrap_or_default();
    line.replace(|c: char| c.is_ascii_digit(), "")
}

/// What was said, without what names the version and without how lines are folded.
fn lines(said: &str) -> Vec<String> {
    let mut lines: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("esptool v"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    // Two streams.
    lines.sort();
    lines
}

/// What a folder holds beside the ELF file.
pub fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failed> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name != "x.elf" {
            files.insert(name.into_owned(), fs::read(&path)?);
        }
    }
    Ok(files)
}

fn run_theirs(
    folder: &Path,
    combinations: &[Combination],
    reference: &Reference,
) -> Result<Vec<Theirs>, Failed> {
    let mut input = String::new();
    for (at, combination) in combinations.iter().enumerate() {
        let place = folder.join(format!("theirs-{at}"));
        fs::create_dir_all(&place)?;
        fs::write(place.join("x.elf"), &combination.elf)?;
        input.push_str(&json!({ "folder": place, "args": combination.words }).to_string());
        input.push('\n');
    }
    let mut command = Command::new(reference.python());
    command
        .args(["-c", include_str!("elf2image.py")])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    clean_environment(&mut command, folder);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer failed")??;
    let text = String::from_utf8(output.stdout)?;
    let theirs: Vec<Theirs> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    match theirs.len() == combinations.len() {
        true => Ok(theirs),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// A program, a chip and options, all made up from a number.
fn combination(number: u64) -> Combination {
    let mut random = Random::new(0xE1F0_0000 + number);
    // Every chip in turn; the one with three forms more often.
    let chip = match number % 19 {
        at if (at as usize) < CHIPS.len() => CHIPS[at as usize],
        _ => &guru_chip::ESP8266,
    };
    let form = *random.pick(&["1", "2", "3"]);
    let care = match random.below(4) {
        0 => Care::None,
        _ => Care::Taken,
    };
    let elf = program(chip, form, care, &mut random);
    let has_descriptor = elf.sections.iter().any(|one| one.name == APP_DESCRIPTOR);
    let mut options = Vec::new();
    let mut option = |text: String| options.extend(text.split_whitespace().map(str::to_owned));
    if chip.id == "esp8266" {
        option(format!("--version {form}"));
    }
    let one_in = |random: &mut Random, n| random.below(n) == 0;
    // The one form that goes by the tables of another chip.
    let tables = match (chip.id, form, care) {
        ("esp8266", "3", Care::Taken) => &guru_chip::ESP32,
        _ => chip,
    };
    if one_in(&mut random, 3) {
        let (frequency, _) = *random.pick(tables.flash.frequencies);
        option(format!("--flash_freq {frequency}"));
    }
    if one_in(&mut random, 3) {
        option(format!("-fs {}", random.pick(tables.flash.sizes).label));
    }
    if one_in(&mut random, 3) {
        let mode = *random.pick(&["qio", "qout", "dio", "dout"]);
        option(format!("--flash-mode {mode}"));
    }
    if one_in(&mut random, 4) {
        option(format!(
            "--min-rev-full {} -r {}",
            random.below(400),
            random.below(9)
        ));
    }
    if one_in(&mut random, 4) {
        option(format!("--max-rev-full {}", random.below(65536)));
    }
    let padded = [one_in(&mut random, 6), one_in(&mut random, 6)];
    if padded[0] {
        option("--secure-pad".to_owned());
    }
    if padded[1] {
        option("--secure-pad-v2".to_owned());
    }
    if one_in(&mut random, 8) && care == Care::None {
        option(format!("--elf-sha256-offset {:#x}", random.below(300) * 4));
    } else if one_in(&mut random, 5) && has_descriptor {
        // In the descriptor, where it would go anyway, or behind that place.
        option(format!(
            "--elf-sha256-offset {}",
            random.pick(&["0xb0", "0xf8"])
        ));
    }
    if one_in(&mut random, 6) && (padded == [false; 2] || care == Care::None) {
        option("--dont-append-digest".to_owned());
    }
    if one_in(&mut random, 4) {
        option("--use_segments".to_owned());
    }
    if one_in(&mut random, 5) {
        let page = match care {
            Care::Taken if chip.image.mmu_pages.len() > 1 => *random.pick(chip.image.mmu_pages),
            _ => 0x2000 << random.below(4),
        };
        let has_pages = chip.id != "esp8266" || form == "3";
        if has_pages {
            option(format!("--flash-mmu-page-size {}KB", page / 1024));
        }
    }
    if one_in(&mut random, 6) {
        let size = *random.pick(&["64KB", "256KB", "48KB", "1MB"]);
        option(format!("--pad-to-size {size}"));
    }
    if one_in(&mut random, 5) {
        option("--ram-only-header".to_owned());
    }
    if one_in(&mut random, 5) {
        option("-o out".to_owned());
    }
    let mut words = vec![
        "--chip".to_owned(),
        chip.id.to_owned(),
        "elf2image".to_owned(),
    ];
    words.extend(options);
    words.push("x.elf".to_owned());
    Combination {
        name: chip.name.to_owned(),
        words,
        elf: elf.bytes(),
    }
}

/// Section with an application's descriptor.
const APP_DESCRIPTOR: &str = ".flash.appdesc";

/// Whether a program and options are made so that an image should come of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Taken,
    None,
}

/// Sections in the chip's RAM and mapped flash: with and without gaps, of odd lengths, in any order.
fn program(chip: &Chip, form: &str, care: Care, random: &mut Random) -> ElfWriter {
    let mut sections = Vec::new();
    for (range, names) in [
        ("DRAM", [".dram0.bootdesc", ".dram0.data", ".noinit"]),
        ("IRAM", [".iram0.vectors", ".iram0.text", ".iram0.more"]),
    ] {
        let Some(range) = chip.memory.iter().find(|one| one.name == range) else {
            continue;
        };
        let mut address = range.range.start + 4 * random.below(64) as u32;
        if names[0].starts_with(".iram") {
            // On many chips this is the same RAM.
            address += 0x8000;
        }
        for name in names {
            if random.below(4) == 0 {
                continue;
            }
            let len = length(random, 3000);
            let section = section(name, address, len, random);
            address = next(&section, random, 64);
            sections.push(section);
        }
        if random.below(3) == 0 {
            let mut bss = Section::new(".bss", address, vec![0; 64]);
            bss.kind = NOBITS;
            sections.push(bss);
        }
    }
    for (at, range) in [&chip.drom, &chip.irom].into_iter().enumerate() {
        if range.is_empty() {
            continue;
        }
        let names = [
            [APP_DESCRIPTOR, ".flash.rodata", ".flash.init"],
            [".flash.text", ".flash.more", ".irom0.text"],
        ][at];
        let described = chip.id != "esp8266" || form == "3";
        // Where one range is for both, they share it; what is no segment of one file lies behind it.
        let shared = at == 1 && (chip.drom == chip.irom || !described && care == Care::Taken);
        let mut address = range.start + if shared { 0x8_0000 } else { 0 };
        address += 0x2000 * random.below(9) as u32;
        let start = address;
        address += *random.pick(&[0x20, 0x20, 0x20, 0x18, 0x10, 0x00, 0x100]);
        for name in names {
            if random.below(3) == 0 || name == APP_DESCRIPTOR && !described {
                continue;
            }
            let section = match name {
                APP_DESCRIPTOR => {
                    if care == Care::Taken {
                        // Right behind the headers, where the digest has its place.
                        address = start.next_multiple_of(0x1_0000) + 0x20;
                    }
                    descriptor(address, random)
                }
                _ => section(name, address, length(random, 20000), random),
            };
            address = next(&section, random, 4);
            // Behind a gap mostly in another page.
            let end = section.address + section.data.len() as u32;
            let gap = care == Care::Taken && address != end;
            if gap || random.below(3) > 0 {
                address = address.next_multiple_of(0x1_0000) + 0x20;
            }
            sections.push(section);
            if care == Care::Taken && !described {
                // There is room for one.
                break;
            }
        }
    }
    if random.below(6) == 0 {
        let mut odd = section(".odd", 0x1000, 16, random);
        odd.kind = 7;
        sections.push(odd);
    }
    sections.push(Section::new(".comment", 0, b"made up".to_vec()));
    if sections.len() == 1 {
        let ram = chip.memory.iter().find(|one| one.name == "DRAM");
        let start = ram.map_or(chip.irom.start + 4, |ram| ram.range.start);
        sections.push(Section::new(".data", start, noise(64, 1)));
    }
    if random.below(4) == 0 {
        let by = random.below(sections.len() as u64) as usize;
        sections.rotate_left(by);
    }
    ElfWriter {
        machine: match chip.architecture {
            Architecture::Riscv32 => RISCV,
            _ => XTENSA,
        },
        entry: random.next() as u32,
        sections,
    }
}

fn length(random: &mut Random, most: u64) -> usize {
    let len = match random.below(4) {
        0 => 4 + random.below(60),
        _ => 4 + random.below(most),
    };
    // Most are whole words.
    match random.below(5) {
        0 => len as usize,
        _ => len as usize / 4 * 4,
    }
}

fn section(name: &str, address: u32, len: usize, random: &mut Random) -> Section {
    let mut section = Section::new(name, address, noise(len, random.next()));
    section.align = *random.pick(&[1, 4, 16, 64]);
    // Where a digest may go.
    if random.below(3) == 0 {
        let zeros = section.data.len().min(1000);
        section.data[..zeros].fill(0);
    }
    section
}

/// Where the next section begins: mostly at once, or behind a small gap.
fn next(section: &Section, random: &mut Random, gap: u64) -> u32 {
    let end = section.address + section.data.len() as u32;
    match random.below(3) {
        0 => end.next_multiple_of(4) + 4 * random.below(gap) as u32,
        1 => end.next_multiple_of(16),
        _ => end.next_multiple_of(4),
    }
}

/// An application's descriptor, with or without a size of pages.
fn descriptor(address: u32, random: &mut Random) -> Section {
    let mut data = vec![0; 256];
    if random.below(5) > 0 {
        data[..4].copy_from_slice(&0xABCD_5432_u32.to_le_bytes());
    }
    data[16..23].copy_from_slice(b"made up");
    data[180] = *random.pick(&[0, 0, 16, 16, 15, 14, 13, 12]);
    Section::new(".flash.appdesc", address, data)
}
