//! The table of ROM functions as it is packed into the program.
//!
//! `cargo xtask rom-symbols` writes `table.bin`. Numbers are LEB128 without sign; those that may be
//! negative are doubled, and less 1 where they are (zigzag).
//!
//! | part | what |
//! |---|---|
//! | magic | `GURUROM1` |
//! | names | how many; of each, ascending: how many bytes it shares with the one before, how many more it has, and these |
//! | frames | how many; of each: its kind and what belongs to it |
//! | ROMs | how many; of each: the length of the chip's name on the command line and that name, the first revision, how many functions, how many bytes they take, and these |
//! | function | from the end of the one before to its address (may be negative; the first: from 0), size, number of its frame, number of its name |
//!
//! Kinds of frames: 0 unknown; 1 and 2, found by the stack pointer or the frame pointer: size, the
//! return address's and the frame pointer's distance from the top, 0 where they stay in their
//! registers, 1 where they are lost; 3 a trap's, 4 a windowed function's: size.

use std::sync::OnceLock;

use guru_chip::{CHIPS, Revision};

use super::{Kept, Rom, RomBase, RomFrame, RomFunction};

static TABLE: &[u8] = include_bytes!("table.bin");

const MAGIC: &[u8] = b"GURUROM1";

/// The functions of one ROM, not yet unpacked.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    count: usize,
    bytes: &'static [u8],
}

struct Table {
    /// All names, one behind the other.
    names: String,
    /// Where each ends.
    ends: Vec<usize>,
    frames: Vec<RomFrame>,
    roms: Vec<Rom>,
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    // The table is part of the program; a test reads all of it.
    READ.get_or_init(|| {
        read(TABLE).unwrap_or(Table {
            names: String::new(),
            ends: Vec::new(),
            frames: Vec::new(),
            roms: Vec::new(),
        })
    })
}

pub(super) fn roms() -> &'static [Rom] {
    &table().roms
}

pub(super) fn functions(packed: &Packed) -> Vec<RomFunction> {
    let table = table();
    let mut reader = Reader(packed.bytes);
    let mut functions = Vec::with_capacity(packed.count);
    let mut end = 0u32;
    while let Some(function) = function(table, &mut reader, end) {
        end = function.address.wrapping_add(function.size);
        functions.push(function);
    }
    functions
}

fn function(table: &'static Table, reader: &mut Reader, end: u32) -> Option<RomFunction> {
    let gap = reader.number()?;
    let gap = (gap >> 1) as i32 ^ -((gap & 1) as i32);
    let address = end.wrapping_add(gap as u32);
    let size = reader.number()?;
    let frame = *table.frames.get(reader.number()? as usize)?;
    let name = reader.number()? as usize;
    let from = name
        .checked_sub(1)
        .map_or(Some(0), |before| table.ends.get(before).copied())?;
    Some(RomFunction {
        name: table.names.get(from..*table.ends.get(name)?)?,
        address,
        size,
        frame,
    })
}

fn read(bytes: &'static [u8]) -> Option<Table> {
    let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
    let (mut names, mut ends) = (String::new(), Vec::new());
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..reader.number()? {
        name.truncate(reader.number()? as usize);
        let more = reader.number()? as usize;
        name.extend_from_slice(reader.bytes(more)?);
        names.push_str(std::str::from_utf8(&name).ok()?);
        ends.push(names.len());
    }
    let frames = (0..reader.number()?)
        .map(|_| frame(&mut reader))
        .collect::<Option<_>>()?;
    let roms = (0..reader.number()?)
        .map(|_| rom(&mut reader))
        .collect::<Option<_>>()?;
    Some(Table {
        names,
        ends,
        frames,
        roms,
    })
}

fn frame(reader: &mut Reader) -> Option<RomFrame> {
    let riscv = |base, reader: &mut Reader| {
        let kept = |distance| match distance {
            0 => Kept::Register,
            1 => Kept::Lost,
            _ => Kept::Below(distance),
        };
        Some(RomFrame::Riscv {
            base,
            size: reader.number()?,
            return_address: kept(reader.number()?),
            frame_pointer: kept(reader.number()?),
        })
    };
    match reader.number()? {
        0 => Some(RomFrame::Unknown),
        1 => riscv(RomBase::StackPointer, reader),
        2 => riscv(RomBase::FramePointer, reader),
        3 => Some(RomFrame::Trap {
            size: reader.number()?,
        }),
        4 => Some(RomFrame::Windowed {
            size: reader.number()?,
        }),
        _ => None,
    }
}

fn rom(reader: &mut Reader) -> Option<Rom> {
    let len = reader.number()? as usize;
    let id = reader.bytes(len)?;
    let chip = CHIPS
        .iter()
        .copied()
        .find(|chip| chip.id.as_bytes() == id)?;
    let min_revision = Revision(u16::try_from(reader.number()?).ok()?);
    let count = reader.number()? as usize;
    let len = reader.number()? as usize;
    Some(Rom {
        chip,
        min_revision,
        packed: Packed {
            count,
            bytes: reader.bytes(len)?,
        },
        functions: OnceLock::new(),
    })
}

/// Reads from the front.
struct Reader(&'static [u8]);

impl Reader {
    fn bytes(&mut self, len: usize) -> Option<&'static [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let byte = *self.bytes(1)?.first()?;
            number |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
