//! Espressif's flasher stubs: each instruction in them is one that our CPUs have.
//!
//! The stubs are found in the Python esptool that `GURU_ESPTOOL` names a Python of. Without it this
//! is reported as ignored; with `GURU_REQUIRE_PEERS` of 1 that is a failure.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::process::Command;

use guru_sim::cpu::riscv::{Options, Riscv};
use guru_sim::cpu::xtensa::{Cause, Config, Core, Stop};
use guru_sim::cpu::{self, Access, AddressSpace, Cpu};
use libtest_mimic::{Arguments, Trial};

/// Prints a line for each stub: its file's name, entry, address of the code, code, data.
const LIST: &str = "
import base64, esptool, glob, json, os
folder = os.path.join(os.path.dirname(esptool.__file__), 'targets', 'stub_flasher')
for path in sorted(glob.glob(os.path.join(folder, '*', '*.json'))):
    stub = json.load(open(path))
    parts = [base64.b64decode(stub.get(part, '')).hex() or '-' for part in ('text', 'data')]
    print(os.path.relpath(path, folder), stub['entry'], stub['text_start'], *parts)
";

struct Stub {
    name: String,
    entry: u32,
    start: u32,
    text: Vec<u8>,
    data: Vec<u8>,
}

fn stubs(python: &OsStr) -> Vec<Stub> {
    let output = Command::new(python)
        .args(["-c", LIST])
        .output()
        .expect("Python runs");
    let listed = String::from_utf8(output.stdout).expect("text");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).expect("hexadecimal"))
            .collect()
    };
    let stub = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, entry, start, text, data] = fields[..] else {
            panic!("{line}");
        };
        Stub {
            name: name.to_owned(),
            entry: entry.parse().expect("a number"),
            start: start.parse().expect("a number"),
            text: bytes(text),
            data: bytes(data),
        }
    };
    listed.lines().map(stub).collect()
}

impl Stub {
    fn space(&self) -> AddressSpace {
        let mut space = AddressSpace::default();
        let len = self.text.len() as u32;
        let bank = space.add_bank(len);
        space
            .add_window(self.start, len, bank, 0, Access::Ram)
            .expect("it fits");
        space.poke(self.start, &self.text).expect("it fits");
        space
    }

    fn xtensa(&self) -> Option<Config> {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        match file {
            "esp8266.json" => Some(Config::LX106),
            "esp32.json" => Some(Config::ESP32),
            "esp32s2.json" => Some(Config::ESP32_S2),
            "esp32s3.json" => Some(Config::ESP32_S3),
            _ => None,
        }
    }

    /// The instruction at an address, if it is in the stub.
    fn word(&self, at: u32) -> Option<u32> {
        let from = at.checked_sub(self.start)? as usize;
        let bytes = self.text.get(from..)?;
        let byte = |n: usize| u32::from(bytes.get(n).copied().unwrap_or(0));
        (bytes.len() >= 2).then(|| byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24)
    }

    fn check_riscv(&self) -> usize {
        let options = Options {
            atomics: true,
            stop_at_exceptions: true,
            ..Options::default()
        };
        let mut space = self.space();
        let mut at = self.start;
        let mut checked = 0;
        while let Some(word) = self.word(at) {
            // Padding between functions and at the end.
            if word & 0xffff != 0 {
                let mut hart = Riscv::new(options);
                hart.set_pc(at);
                let stop = hart.run(&mut space, 1).stop;
                let illegal = matches!(stop, cpu::Stop::Exception(e) if e.cause == 2);
                assert!(!illegal, "{}: {word:08x} at {at:#x}", self.name);
                checked += 1;
            }
            at += if word & 3 == 3 { 4 } else { 2 };
        }
        checked
    }

    /// Follows the code from its entry, and from each address in a literal or in the data.
    fn check_xtensa(&self, config: Config) -> usize {
        let inside = |address: u32| self.word(address).is_some();
        let mut space = self.space();
        let mut seen = BTreeSet::new();
        let mut next = vec![self.entry];
        let words = self.data.chunks_exact(4);
        next.extend(words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
        while let Some(at) = next.pop() {
            let Some(word) = self.word(at).filter(|_| seen.insert(at)) else {
                continue;
            };
            let flow = flow(at, word);
            if let Some(literal) = flow.literal {
                let value = self.word(literal).filter(|&value| inside(value));
                // A constant may look like an address: functions of windowed code begin with ENTRY.
                next.extend(value.filter(|&value| {
                    !config.windowed || self.word(value).is_some_and(|word| word & 0xff == 0x36)
                }));
            }
            next.extend(flow.next);
            if flow.returns {
                continue;
            }
            let mut core = Core::new(config);
            core.set_ps(if config.windowed { 1 << 18 } else { 0 });
            core.set_pc(at);
            let stop = Core::run(&mut core, &mut space, 1).stop;
            let illegal =
                matches!(stop, Stop::Exception(e) if e.cause == Cause::IllegalInstruction);
            assert!(!illegal, "{}: {word:08x} at {at:#x}", self.name);
        }
        seen.len()
    }
}

/// Where an instruction leads.
struct Flow {
    next: Vec<u32>,
    /// The literal that it loads.
    literal: Option<u32>,
    /// It needs a state that brought it here, or is an end that is meant to be one.
    returns: bool,
}

fn flow(at: u32, word: u32) -> Flow {
    let field = |from: u32, count: u32| word >> from & ((1 << count) - 1);
    let signed = |value: u32, bits: u32| ((value << (32 - bits)) as i32 >> (32 - bits)) as u32;
    let (t, r) = (field(4, 4), field(12, 4));
    let len = if word & 8 == 0 { 3 } else { 2 };
    let after = at + len;
    let mut flow = Flow {
        next: vec![after],
        literal: None,
        returns: false,
    };
    let to = |offset: u32| at.wrapping_add(4).wrapping_add(offset);
    match word & 15 {
        1 => {
            let offset = (field(8, 16) | 0xffff_0000) << 2;
            flow.literal = Some(((at + 3) & !3).wrapping_add(offset));
        }
        5 => flow.next.push(
            (at & !3)
                .wrapping_add(4)
                .wrapping_add(signed(field(6, 18), 18) << 2),
        ),
        6 => match (field(4, 2), field(6, 2)) {
            (0, _) => flow.next = vec![to(signed(field(6, 18), 18))],
            (1, _) => flow.next.push(to(signed(field(12, 12), 12))),
            (3, 0) => {}
            (3, 1) if r >= 8 => {}
            _ => flow.next.push(to(signed(field(16, 8), 8))),
        },
        7 => flow.next.push(to(signed(field(16, 8), 8))),
        0xc if t & 8 != 0 => flow.next.push(to((t & 3) << 4 | r)),
        0xd if r == 15 && (t <= 1 || t == 6) => flow.returns = true,
        // RET, RETW, JX; ILL; the returns from exceptions.
        0 if word & 0xff_f0cf == 0x80 || word & 0xff_ffff == 0 || word & 0xff_f00f == 0x3000 => {
            flow.returns = true;
        }
        _ => {}
    }
    if flow.returns {
        flow.next.clear();
    }
    flow
}

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let python = env::var_os("GURU_ESPTOOL");
    let ignored = python.is_none() && !required;
    let check = move || {
        let stubs = stubs(&python.ok_or("GURU_ESPTOOL is not set")?);
        assert!(stubs.len() >= 20, "{} stubs", stubs.len());
        for stub in stubs {
            let checked = match stub.xtensa() {
                Some(config) => stub.check_xtensa(config),
                None => stub.check_riscv(),
            };
            // Half of it at least, by three bytes an instruction.
            assert!(
                checked * 6 > stub.text.len(),
                "{}: {checked} instructions in {} bytes",
                stub.name,
                stub.text.len()
            );
        }
        Ok(())
    };
    let trial = Trial::test("each_instruction_of_the_official_stubs_is_executed", check)
        .with_kind("needs GURU_ESPTOOL")
        .with_ignored_flag(ignored);
    libtest_mimic::run(&arguments, vec![trial]).exit();
}
