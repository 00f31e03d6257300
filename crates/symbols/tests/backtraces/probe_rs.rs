//! A dump of probe-rs's, in MessagePack, and what probe-rs makes of it.

use std::path::PathBuf;

use guru_symbols::Symbols;
use guru_symbols::unwind::{Registers, riscv};
use libtest_mimic::Failed;

use crate::elf_core::Pieces;
use crate::tools;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Nothing,
}

impl Value {
    fn get(&self, key: &str) -> Option<&Value> {
        let Self::Map(entries) = self else {
            return None;
        };
        let found = entries
            .iter()
            .find(|(name, _)| *name == Self::Text(key.to_owned()));
        found.map(|(_, value)| value)
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }
}

/// A reader of MessagePack, as far as it is used here.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self, len: usize) -> u64 {
        let (number, rest) = self.0.split_at(len);
        self.0 = rest;
        number
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn list(&mut self, len: u64) -> Value {
        Value::List((0..len).map(|_| self.value()).collect())
    }

    fn map(&mut self, len: u64) -> Value {
        Value::Map((0..len).map(|_| (self.value(), self.value())).collect())
    }

    fn text(&mut self, len: u64) -> Value {
        let (text, rest) = self.0.split_at(len as usize);
        self.0 = rest;
        Value::Text(String::from_utf8_lossy(text).into_owned())
    }

    fn value(&mut self) -> Value {
        let kind = self.number(1) as u8;
        match kind {
            0..=0x7F => Value::Number(kind.into()),
            0x80..=0x8F => self.map(u64::from(kind & 15)),
            0x90..=0x9F => self.list(u64::from(kind & 15)),
            0xA0..=0xBF => self.text(u64::from(kind & 31)),
            0xC0 | 0xC2 => Value::Nothing,
            0xC3 => Value::Number(1),
            0xC4..=0xC6 => {
                let len = self.number(1 << (kind - 0xC4));
                Value::List((0..len).map(|_| Value::Number(self.number(1))).collect())
            }
            0xCC..=0xCF => Value::Number(self.number(1 << (kind - 0xCC))),
            0xD9..=0xDB => {
                let len = self.number(1 << (kind - 0xD9));
                self.text(len)
            }
            0xDC | 0xDD => {
                let len = self.number(2 << (kind - 0xDC));
                self.list(len)
            }
            0xDE | 0xDF => {
                let len = self.number(2 << (kind - 0xDE));
                self.map(len)
            }
            _ => panic!("kind {kind:#x} of MessagePack"),
        }
    }
}

pub fn rust() -> Result<(), Failed> {
    let folder = PathBuf::from(tools::tool("GURU_TESTDATA")?).join("unwind");
    let file =
        |extension: &str| tools::read(&folder.join(format!("esp32c3_full_unwind.{extension}")));
    let dump = file("coredump")?;
    let dump = Reader(&dump).value();
    let mut registers = Registers::default();
    if let Some(Value::Map(entries)) = dump.get("registers") {
        for (number, value) in entries {
            let value = value.get("U32").map(|value| value.number() as u32);
            match number.number() {
                0x7B1 => registers.pc = value,
                number @ 0x1000..0x1020 => registers.x[(number - 0x1000) as usize] = value,
                _ => {}
            }
        }
    }
    let mut memory = Pieces::default();
    if let Some(Value::List(pieces)) = dump.get("data") {
        for piece in pieces {
            let Value::List(parts) = piece else { continue };
            let start = parts[0].get("start").map_or(0, Value::number);
            let Value::List(bytes) = &parts[1] else {
                continue;
            };
            let bytes = bytes.iter().map(|byte| byte.number() as u8).collect();
            memory.0.push((start as u32, bytes));
        }
    }
    let mut symbols = Symbols::new();
    symbols.add("esp32c3_full_unwind.elf", file("elf")?)?;
    let trace = riscv::unwind(&symbols, &registers, &memory);

    let text = String::from_utf8(file("snap")?)?;
    let mut expected: Vec<(String, u32)> = Vec::new();
    let mut in_pc = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("- function_name: ") {
            expected.push((name.to_owned(), 0));
        } else if let Some(number) = line.strip_prefix("    U32: ")
            && in_pc
            && let Some(last) = expected.last_mut()
        {
            last.1 = number.parse()?;
        }
        in_pc = line == "  pc:";
    }
    let ours: Vec<(String, u32)> = trace
        .frames
        .iter()
        .flat_map(|frame| {
            let location = frame.locate(&symbols).expect("every frame is somewhere");
            let names = location
                .frames
                .into_iter()
                .map(|frame| frame.function.unwrap_or_default());
            names.map(|name| (name, frame.pc)).collect::<Vec<_>>()
        })
        .collect();
    assert!(trace.end.is_whole(), "{}", trace.end);
    assert_eq!(ours.len(), expected.len());
    for (number, ((ours, pc), (theirs, call))) in ours.iter().zip(&expected).enumerate() {
        // Theirs is the address of a call, of two bytes here, and a function's name before linking.
        let behind = if number == 0 { 0 } else { 2 };
        assert_eq!(*pc, call + behind, "{ours}, {theirs}");
        assert!(
            ours.ends_with(theirs.as_str()) || number >= 7,
            "{ours}, {theirs}"
        );
    }
    Ok(())
}
