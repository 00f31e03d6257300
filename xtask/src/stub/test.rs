//! `cargo xtask stub --test`: the parts of the stub that touch no register, compiled for this
//! machine. The inflater gets streams of another implementation.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::{Result, report};

/// What of a chip's numbers the commands need, for a chip that is not one.
const FAKE_CHIP: &str = "#pragma once
#define FLASH_32BIT 1
#define ENCRYPTED_ALIGN 16
#define RESET_REGISTER 0x1000u
#define RESET_BIT 1u
#define SECURITY_INFO_LEN 0
";

/// Runs the claims of stub/tests/host.c and the inflater's, and the commands against a flash in
/// memory.
pub fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::create_dir_all(root.join("target/stub/fake"))?;
    std::fs::write(root.join("target/stub/fake/chip.h"), FAKE_CHIP)?;
    let program = compile(&root, "host", &["md5", "slip", "plan", "inflate"])?;
    expect(&mut Command::new(&program))?;
    let parts = [
        "commands", "write", "read", "host", "slip", "plan", "md5", "inflate",
    ];
    let chip = compile(&root, "fake_chip", &parts)?;
    expect(
        Command::new("python3")
            .arg(root.join("stub/tests/drive.py"))
            .arg(chip),
    )?;
    for data in samples() {
        for level in [0, 1, 6, 9] {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&data)?;
            let stream = encoder.finish()?;
            let (code, out) = inflate(&program, &stream)?;
            if code != Some(0) || out != data {
                return Err(format!("a stream of {} bytes gives {code:?}", data.len()).into());
            }
            let (code, _) = inflate(&program, stream.get(..stream.len() - 1).unwrap_or(&[]))?;
            if code != Some(1) {
                return Err(format!("a cut stream gives {code:?}").into());
            }
            let mut spoilt = stream;
            if let Some(last) = spoilt.last_mut() {
                *last ^= 1;
            }
            let (code, _) = inflate(&program, &spoilt)?;
            if code != Some(2) {
                return Err(format!("a wrong Adler-32 gives {code:?}").into());
            }
        }
    }
    report("the stub's tests: passed");
    Ok(())
}

fn compile(root: &Path, name: &str, parts: &[&str]) -> Result<PathBuf> {
    let program = root.join("target/stub").join(name);
    let mut command = Command::new("cc");
    command
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args([
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover",
            "-I",
        ])
        .arg(root.join("target/stub/fake"))
        .arg("-o")
        .arg(&program)
        .arg(root.join("stub/tests").join(name).with_extension("c"));
    for part in parts {
        command.arg(root.join("stub/src").join(part).with_extension("c"));
    }
    expect(&mut command)?;
    Ok(program)
}

fn expect(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(())
}

/// Nothing, one byte, runs, text with far matches, and noise around the size of the window.
fn samples() -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    })
    .take(32769)
    .collect();
    vec![
        Vec::new(),
        vec![7],
        vec![0; 100_000],
        (0..50_000_u32)
            .flat_map(|i| (i * i / 7).to_string().into_bytes())
            .collect(),
        noise.get(..32768).unwrap_or(&noise).to_vec(),
        [&noise[..], &noise[..]].concat(),
    ]
}

fn inflate(program: &Path, stream: &[u8]) -> Result<(Option<i32>, Vec<u8>)> {
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/stub/stream");
    std::fs::write(&input, stream)?;
    let output = Command::new(program)
        .arg("inflate")
        .stdin(Stdio::from(std::fs::File::open(input)?))
        .output()?;
    Ok((output.status.code(), output.stdout))
}
