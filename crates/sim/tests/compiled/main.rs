//! A program in C, compiled by several compilers for several CPUs: our models leave what the
//! language says, and the same registers and memory as QEMU's.
//!
//! Compilers are named by environment variables: `GURU_RISCV_GCC` (`riscv64-unknown-elf-gcc`),
//! `GURU_LX106_GCC` (`xtensa-lx106-elf-gcc`, its `ld` beside it), `GURU_CLANG` (`clang-22`, with
//! `llc-22` and `llvm-mc-22` beside it; it needs `GURU_LX106_GCC` too). A case whose compiler is
//! missing is reported as ignored; with `GURU_REQUIRE_PEERS` of 1 that is a failure. The comparison
//! with QEMU is left out where there is no QEMU.

#[path = "../emulator/mod.rs"]
mod emulator;
#[path = "../random/mod.rs"]
mod random;
#[path = "../riscv"]
mod riscv {
    #[expect(
        dead_code,
        reason = "instructions that random programs have and this one does not"
    )]
    pub mod asm;
    pub mod qemu;
}
#[path = "../xtensa"]
mod xtensa {
    pub mod asm;
    #[expect(dead_code, reason = "random programs are for another test")]
    pub mod programs;
    #[expect(dead_code, reason = "so is one of the cores")]
    pub mod qemu;
}

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use guru_sim::cpu::riscv::Options;
use guru_sim::cpu::xtensa::Config;
use libtest_mimic::{Arguments, Trial};

use riscv::asm::{Board, RAM, addi, b, bytes, i, jal, li, s, sw};
use xtensa::programs::{self, CODE, RESULTS, Target, VARIABLES};
use xtensa::qemu::{DE233_FPU, LX106};

/// What the program leaves: computed by it, compiled with GCC for x86-64.
const EXPECTED: [u32; 23] = [
    0xcbf4_3926, // the check value of CRC-32
    // MD5 of "123456789"
    0x94e7_f925,
    0x3845_3b32,
    0x1f18_f585,
    0x0b4d_621b, //
    // The length, CRC-32 and MD5 of what was inflated
    0x0597,
    0x7729_c564,
    0xa817_fc42,
    0xc046_f84a,
    0x98c0_c77d,
    0x4305_0ef3, //
    0x4d0b_906d, // recursion
    21,          // Ackermann's function of 2 and 9
    0x31ac_9fb6,
    0x6925_f104,
    0x235c_df87, // sorted three ways
    0xb140_2408,
    0xa94f_3d3f, // 64-bit arithmetic
    0xc1a0_65f0, // a structure returned
    0x24,
    0xc4ab_6f31, // formatted text
    0x6218,      // signed division
    0x600d,
];

/// The ESP32's core, on the memory of a target of QEMU's.
const ESP32: Target = Target {
    config: Config::ESP32,
    ..DE233_FPU
};

#[derive(Clone, Copy)]
enum Compiler {
    /// RV32IMAC.
    RiscvGcc,
    /// The ESP8266's core, without windows.
    Lx106Gcc,
    /// Windowed code for a core of QEMU's.
    Clang,
    /// Windowed code with all that the ESP32's core has, for which QEMU has no core.
    ClangEsp32,
}

struct Tools {
    riscv_gcc: Option<OsString>,
    lx106_gcc: Option<OsString>,
    clang: Option<OsString>,
    qemu_riscv: Option<OsString>,
    qemu_xtensa: Option<OsString>,
}

impl Tools {
    fn found() -> Self {
        Self {
            riscv_gcc: env::var_os("GURU_RISCV_GCC"),
            lx106_gcc: env::var_os("GURU_LX106_GCC"),
            clang: env::var_os("GURU_CLANG"),
            qemu_riscv: env::var_os("GURU_QEMU_RISCV32"),
            qemu_xtensa: env::var_os("GURU_QEMU_XTENSA"),
        }
    }
}

/// A tool that lies beside another and has a name like it.
fn beside(tool: &OsString, name: &str, other: &str) -> PathBuf {
    let path = Path::new(tool);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(file.replacen(name, other, 1))
}

fn executed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {told}"))
}

/// Linked code: addresses with what is there, and the address of each function that is asked for.
struct Code {
    parts: Vec<(u32, Vec<u8>)>,
    run: u32,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compiled")
}

impl Compiler {
    /// Compiles with an optimisation level, to run `function`.
    fn compile(self, tools: &Tools, level: &str, function: &str) -> Result<Code, String> {
        let name = format!("{}-{level}-{function}", self as u8);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("compiled")
            .join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let (base, linker) = match self {
            Self::RiscvGcc => (RAM, None),
            Self::Lx106Gcc => (LX106.base, Some(())),
            Self::Clang | Self::ClangEsp32 => (DE233_FPU.base, Some(())),
        };
        let script = folder.join("link.ld");
        fs::write(&script, link_script(base, function)).map_err(|error| error.to_string())?;
        let mut objects = Vec::new();
        for source in ["program", "runtime"] {
            let object = folder.join(source).with_extension("o");
            let path = sources().join(source).with_extension("c");
            self.object(tools, level, &path, &object)?;
            objects.push(object);
        }
        let linked = folder.join("linked.elf");
        let mut link = match linker {
            None => {
                let mut link = Command::new(tools.riscv_gcc.as_ref().ok_or("GURU_RISCV_GCC")?);
                link.args(["-march=rv32imac_zicsr", "-mabi=ilp32", "-nostdlib"]);
                link
            }
            Some(()) => {
                let gcc = tools
                    .lx106_gcc
                    .as_ref()
                    .ok_or("GURU_LX106_GCC is not set")?;
                Command::new(beside(gcc, "gcc", "ld"))
            }
        };
        executed(
            link.arg("-T")
                .arg(&script)
                .args(&objects)
                .arg("-o")
                .arg(&linked),
        )?;
        Ok(loaded(
            &fs::read(&linked).map_err(|error| error.to_string())?,
        ))
    }

    fn object(self, tools: &Tools, level: &str, source: &Path, to: &Path) -> Result<(), String> {
        let plain = [level, "-ffreestanding", "-fno-builtin"];
        match self {
            Self::RiscvGcc => {
                let gcc = tools
                    .riscv_gcc
                    .as_ref()
                    .ok_or("GURU_RISCV_GCC is not set")?;
                executed(
                    Command::new(gcc)
                        .args([
                            "-march=rv32imac_zicsr",
                            "-mabi=ilp32",
                            "-mcmodel=medany",
                            "-c",
                        ])
                        .args(plain)
                        .arg(source)
                        .arg("-o")
                        .arg(to),
                )
            }
            Self::Lx106Gcc => {
                let gcc = tools
                    .lx106_gcc
                    .as_ref()
                    .ok_or("GURU_LX106_GCC is not set")?;
                executed(
                    Command::new(gcc)
                        .args(["-mlongcalls", "-c"])
                        .args(plain)
                        .arg(source)
                        .arg("-o")
                        .arg(to),
                )
            }
            Self::Clang | Self::ClangEsp32 => self.windowed(tools, &plain, source, to),
        }
    }

    /// LLVM's Xtensa compiler in steps: its driver knows no processors, and its assembler reads
    /// what its compiler writes only after two changes.
    fn windowed(
        self,
        tools: &Tools,
        plain: &[&str],
        source: &Path,
        to: &Path,
    ) -> Result<(), String> {
        let clang = tools.clang.as_ref().ok_or("GURU_CLANG is not set")?;
        let (ir, assembly) = (to.with_extension("ll"), to.with_extension("s"));
        executed(
            Command::new(clang)
                .args(["--target=xtensa", "-S", "-emit-llvm"])
                .args(plain)
                .arg(source)
                .arg("-o")
                .arg(&ir),
        )?;
        let without = match self {
            Self::ClangEsp32 => "-mattr=",
            _ => "-mattr=-mul32high",
        };
        executed(
            Command::new(beside(clang, "clang", "llc"))
                .args(["-march=xtensa", "-mcpu=esp32", without])
                .arg(&ir)
                .arg("-o")
                .arg(&assembly),
        )?;
        let text = fs::read_to_string(&assembly).map_err(|error| error.to_string())?;
        let text = text
            .replace("\t.literal_position", "\t.p2align 2\n\t.literal_position")
            .replace(".cfi_def_cfa a7,", ".cfi_def_cfa 7,");
        fs::write(&assembly, text).map_err(|error| error.to_string())?;
        executed(
            Command::new(beside(clang, "clang", "llvm-mc"))
                .args(["-triple=xtensa", "-mcpu=esp32", "-filetype=obj"])
                .arg(&assembly)
                .arg("-o")
                .arg(to),
        )
    }
}

fn link_script(base: u32, function: &str) -> String {
    format!(
        "ENTRY({function})
SECTIONS {{
  . = {:#x};
  .text : {{ *(.literal .literal.* .rodata.literal) . = ALIGN(4); *(.text .text.*) }}
  .rodata : {{ *(.rodata .rodata.*) }}
  . = {:#x};
  .data : {{ *(.data .data.* .sdata .sdata.*) }}
  .bss : {{ *(.bss .bss.* .sbss .sbss.* COMMON) }}
}}
",
        base + CODE,
        base + VARIABLES
    )
}

/// The loadable parts of an ELF file of 32 bits.
fn loaded(file: &[u8]) -> Code {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    let headers = word(28) as usize;
    let count = usize::from(file[44]);
    let mut parts = Vec::new();
    for at in (0..count).map(|n| headers + 32 * n) {
        let (offset, address, len) = (word(at + 4) as usize, word(at + 8), word(at + 16) as usize);
        if word(at) == 1 && len > 0 {
            parts.push((address, file[offset..offset + len].to_vec()));
        }
    }
    Code {
        parts,
        run: word(24),
    }
}

/// A RISC-V program around the code, which sends registers, results and variables.
fn around_riscv(code: &Code) -> Vec<u8> {
    const LEN: u32 = 0x5000;
    let results = RAM + programs::DUMP + RESULTS;
    let (t0, t1, t2) = (5, 6, 7);
    let mut words = Vec::new();
    words.extend(li(2, RAM + 0x3_f000));
    words.extend(li(10, results));
    words.extend(li(t0, code.run));
    words.push(i(0x67, 0, 1, t0, 0));
    words.extend(li(t0, results - 128));
    words.extend(
        (1..32)
            .filter(|&n| n != t0)
            .map(|n| sw(n, t0, 4 * n as i32)),
    );
    words.extend(li(t1, results + LEN));
    words.extend(li(t2, 0x1000_0000));
    // A byte at a time, when the transmitter is empty.
    words.extend([
        i(0x03, 4, 28, t2, 5),
        i(0x13, 7, 28, 28, 0x20),
        b(0, 28, 0, -8),
        i(0x03, 4, 28, t0, 0),
        s(0, t2, 28, 0),
        addi(t0, t0, 1),
        b(1, t0, t1, -24),
    ]);
    words.extend(li(t0, 0x10_0000));
    words.extend(li(t1, 0x5555));
    words.extend([sw(t1, t0, 0), jal(0, 0)]);
    let mut image = bytes(&words);
    for (address, part) in &code.parts {
        let at = (address - RAM) as usize;
        image.resize(image.len().max(at + part.len()), 0);
        image[at..at + part.len()].copy_from_slice(part);
    }
    image
}

fn check(name: &str, results: &[u8]) {
    for (at, expected) in EXPECTED.iter().enumerate() {
        let bytes: [u8; 4] = results[4 * at..4 * at + 4].try_into().expect("4 bytes");
        let result = u32::from_le_bytes(bytes);
        assert_eq!(result, *expected, "{name}: result {at}");
    }
}

fn same(name: &str, ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours.len(), theirs.len(), "{name}: QEMU's length");
    let differs = (0..ours.len()).find(|&at| ours[at] != theirs[at]);
    assert_eq!(differs, None, "{name}: first byte that differs from QEMU's");
}

fn ran(compiler: Compiler, level: &str) -> Result<(), String> {
    let tools = Tools::found();
    let code = compiler.compile(&tools, level, "run")?;
    if let Compiler::RiscvGcc = compiler {
        let image = around_riscv(&code);
        let mut board = Board::new(Options::default(), &image);
        for _ in 0..100 {
            if !board.bus.finished {
                board.run(1_000_000);
            }
        }
        let ours = board.bus.sent;
        check(level, ours.get(128..).ok_or("it did not come to its end")?);
        if let Some(qemu) = tools.qemu_riscv {
            same(level, &ours, &riscv::qemu::theirs(&qemu, &image));
        }
        return Ok(());
    }
    let target = match compiler {
        Compiler::Lx106Gcc => LX106,
        Compiler::ClangEsp32 => ESP32,
        _ => DE233_FPU,
    };
    let program = programs::around(&target, code.run, &code.parts);
    let ours = xtensa::qemu::ours(&target, &program);
    check(level, &ours[RESULTS as usize..]);
    let qemu = tools.qemu_xtensa;
    if let (Some(qemu), Compiler::Lx106Gcc | Compiler::Clang) = (qemu, compiler) {
        same(
            level,
            &ours,
            &xtensa::qemu::theirs(&qemu, &target, &program),
        );
    }
    Ok(())
}

/// Not a test of time: `cargo test -p guru-sim --release --test compiled -- --ignored --nocapture speed`.
#[expect(clippy::print_stdout, reason = "a measure is there to be read")]
fn speed(compiler: Compiler) -> Result<(), String> {
    let code = compiler.compile(&Tools::found(), "-O2", "again")?;
    let start = Instant::now();
    let steps = if let Compiler::RiscvGcc = compiler {
        use guru_sim::cpu::Cpu;
        let mut board = Board::new(Options::default(), &around_riscv(&code));
        while !board.bus.finished {
            board.run(1_000_000);
        }
        board.cpu.steps()
    } else {
        let target = match compiler {
            Compiler::Lx106Gcc => LX106,
            _ => ESP32,
        };
        let program = programs::around(&target, code.run, &code.parts);
        xtensa::qemu::steps(&target, &program)
    };
    let rate = steps as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.0} MIPS");
    Ok(())
}

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let tools = Tools::found();
    let mut trials = Vec::new();
    for (compiler, name, missing) in [
        (
            Compiler::RiscvGcc,
            "rv32imac_by_gcc",
            tools.riscv_gcc.is_none(),
        ),
        (
            Compiler::Lx106Gcc,
            "lx106_by_gcc",
            tools.lx106_gcc.is_none(),
        ),
        (
            Compiler::Clang,
            "windowed_by_clang",
            tools.clang.is_none() || tools.lx106_gcc.is_none(),
        ),
        (
            Compiler::ClangEsp32,
            "esp32_by_clang",
            tools.clang.is_none() || tools.lx106_gcc.is_none(),
        ),
    ] {
        for level in ["-O0", "-O2", "-Os"] {
            let trial = move || Ok(ran(compiler, level)?);
            trials.push(
                Trial::test(format!("{name}_{}_computes_the_same", &level[1..]), trial)
                    .with_kind("needs compilers")
                    .with_ignored_flag(missing && !required),
            );
        }
        trials.push(
            Trial::test(format!("speed_of_{name}"), move || Ok(speed(compiler)?))
                .with_kind("measures")
                .with_ignored_flag(true),
        );
    }
    libtest_mimic::run(&arguments, trials).exit();
}
