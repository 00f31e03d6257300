//! Call frame information: `.debug_frame` and `.eh_frame`.
//!
//! Source: DWARF 5, section 6.4; the RISC-V ELF psABI for the numbers of registers.

use std::ops::Range;

use gimli::{
    BaseAddresses, CallFrameInstruction, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianSlice,
    FrameDescriptionEntry, LittleEndian, Register, RegisterRule, UnwindContext, UnwindSection,
};

use super::riscv::{Row, Rule};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

const RA: Register = Register(1);

/// The most entries that are kept: more than any program has.
const MAX_ENTRIES: usize = 1 << 20;

/// The two sections of a file that hold such information; empty where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sections<'a> {
    /// `.debug_frame`.
    pub debug_frame: &'a [u8],
    /// `.eh_frame`.
    pub eh_frame: &'a [u8],
    /// The address of `.eh_frame`, from which it counts.
    pub eh_frame_address: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Debug,
    Eh,
}

/// Where the entry of each function is.
#[derive(Debug, Default)]
pub struct Index {
    /// By ascending address.
    entries: Vec<(Range<u32>, Kind, usize)>,
}

impl<'a> Sections<'a> {
    fn debug(&self) -> DebugFrame<Bytes<'a>> {
        let mut section = DebugFrame::new(self.debug_frame, LittleEndian);
        section.set_address_size(4);
        section
    }

    fn eh(&self) -> EhFrame<Bytes<'a>> {
        let mut section = EhFrame::new(self.eh_frame, LittleEndian);
        section.set_address_size(4);
        section
    }

    fn bases(&self) -> BaseAddresses {
        BaseAddresses::default().set_eh_frame(self.eh_frame_address.into())
    }
}

impl Index {
    /// Looks through all entries. What is damaged is left out.
    #[must_use]
    pub fn new(sections: &Sections<'_>) -> Self {
        let mut index = Self::default();
        index.add(&sections.debug(), &sections.bases(), Kind::Debug);
        index.add(&sections.eh(), &sections.bases(), Kind::Eh);
        // Of two for one address `.debug_frame` comes first.
        index
            .entries
            .sort_by_key(|(range, kind, _)| (range.start, *kind == Kind::Eh));
        index.entries.dedup_by_key(|(range, ..)| range.start);
        index
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add<'a, S>(&mut self, section: &S, bases: &BaseAddresses, kind: Kind)
    where
        S: UnwindSection<Bytes<'a>>,
        S::Offset: gimli::UnwindOffset<usize>,
    {
        let mut entries = section.entries(bases);
        // Past an entry that cannot be read nothing is known.
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            let Ok(fde) = partial.parse(S::cie_from_offset) else {
                continue;
            };
            let (Ok(start), Ok(len)) = (
                u32::try_from(fde.initial_address()),
                u32::try_from(fde.len()),
            ) else {
                continue;
            };
            // Functions that the linker has left out are at 0.
            if start == 0 || len == 0 || self.entries.len() >= MAX_ENTRIES {
                continue;
            }
            let range = start..start.saturating_add(len);
            self.entries.push((range, kind, fde.offset()));
        }
    }

    /// The bounds of the function to which an address belongs, by its entry.
    #[must_use]
    pub fn function(&self, address: u32) -> Option<Range<u32>> {
        self.entry(address).map(|(range, ..)| range.clone())
    }

    fn entry(&self, address: u32) -> Option<&(Range<u32>, Kind, usize)> {
        let after = self
            .entries
            .partition_point(|(range, ..)| range.start <= address);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        entry.0.contains(&address).then_some(entry)
    }

    /// The rules that hold before the instruction at an address. `None`: there are none, they are
    /// damaged, or they are written in a way that compilers do not use for RISC-V.
    #[must_use]
    pub fn row(&self, sections: &Sections<'_>, address: u32) -> Option<Row> {
        let &(_, kind, offset) = self.entry(address)?;
        let bases = sections.bases();
        match kind {
            Kind::Debug => {
                let section = sections.debug();
                let at = offset.into();
                let fde = section.fde_from_offset(&bases, at, DebugFrame::cie_from_offset);
                row(&section, &bases, &fde.ok()?, address)
            }
            Kind::Eh => {
                let section = sections.eh();
                let at = offset.into();
                let fde = section.fde_from_offset(&bases, at, EhFrame::cie_from_offset);
                row(&section, &bases, &fde.ok()?, address)
            }
        }
    }
}

fn row<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Bytes<'a>>,
    address: u32,
) -> Option<Row> {
    let mut context = UnwindContext::new();
    let found = fde
        .unwind_info_for_address(section, bases, &mut context, address.into())
        .ok()?;
    let CfaRule::RegisterAndOffset { register, offset } = *found.cfa() else {
        return None;
    };
    let base = u8::try_from(register.0)
        .ok()
        .filter(|number| *number < 32)?;
    let mut row = Row::silent((base, i32::try_from(offset).ok()?));
    for (register, rule) in found.registers() {
        let Some(slot) = row.registers.get_mut(usize::from(register.0)) else {
            continue;
        };
        *slot = match rule {
            RegisterRule::SameValue => Rule::Same,
            RegisterRule::Offset(offset) => Rule::At(i32::try_from(*offset).ok()?),
            RegisterRule::ValOffset(offset) => Rule::Top(i32::try_from(*offset).ok()?),
            RegisterRule::Register(from) => {
                let from = u8::try_from(from.0).ok().filter(|number| *number < 32);
                from.map_or(Rule::Lost, Rule::Register)
            }
            _ => Rule::Lost,
        };
    }
    let returns = fde.cie().return_address_register();
    row.pc = match row.registers.get(usize::from(returns.0)) {
        Some(rule) => *rule,
        None => return None,
    };
    if found.register(returns) == RegisterRule::Undefined {
        row.outermost = undefined(section, bases, fde);
    }
    Some(row)
}

/// Whether the function is marked as one that does not return: its return address is undefined.
fn undefined<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Bytes<'a>>,
) -> bool {
    let mut found = false;
    let mut look = |mut instructions: gimli::CallFrameInstructionIter<'_, Bytes<'a>>| {
        while let Ok(Some(instruction)) = instructions.next() {
            found |= instruction == CallFrameInstruction::Undefined { register: RA };
        }
    };
    look(fde.cie().instructions(section, bases));
    look(fde.instructions(section, bases));
    found
}
