//! Whose bytes are where: the units that debugging information is made of.

use std::ops::Range;

use gimli::{AttributeValue, DwOp, Reader as _, Unit, constants as dw};

use super::index::{opened, units};
use super::reader::{OpenUnit, Reader, Slice};
use super::{Damage, Sections};

/// A compilation unit: what one run of a compiler made.
pub struct SourceUnit<'a, 'r> {
    reader: &'r Reader<'a>,
    unit: OpenUnit<'a>,
}

/// Calls `each` with every unit. `sections` gives a section of a program by its name, and an empty
/// one where there is none.
///
/// # Errors
///
/// What is damaged first, or what `each` returns.
pub fn source_units<'a>(
    sections: &dyn Fn(&str) -> &'a [u8],
    mut each: impl FnMut(&SourceUnit<'a, '_>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let sections: Sections<'a, '_> = sections;
    let reader = Reader::new(sections);
    let (places, damage) = units(&reader);
    for unit in opened(&reader, &places) {
        let reader = &reader;
        each(&SourceUnit {
            reader,
            unit: unit?,
        })?;
    }
    damage.map_or(Ok(()), Err)
}

impl SourceUnit<'_, '_> {
    /// The source file as the compiler was told it.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let name = self.unit.unit.name?;
        Some(name.to_string_lossy().into_owned())
    }

    /// The folder in which the compiler ran.
    #[must_use]
    pub fn folder(&self) -> Option<String> {
        let folder = self.unit.unit.comp_dir?;
        Some(folder.to_string_lossy().into_owned())
    }

    /// Calls `each` with the addresses of its code, as they are told: what the linker left out is at 0
    /// or at the end.
    ///
    /// # Errors
    ///
    /// [`Damage`].
    pub fn ranges(&self, each: impl FnMut(Range<u64>)) -> Result<(), Damage> {
        let extent = &self.unit.extent;
        extent.for_each(self.reader, &self.unit.unit, each)?;
        Ok(())
    }

    /// Calls `each` with the addresses of its variables that have a fixed one.
    ///
    /// # Errors
    ///
    /// [`Damage`].
    pub fn variables(&self, mut each: impl FnMut(u64)) -> Result<(), Damage> {
        let (reader, unit) = (self.reader, &self.unit.unit);
        let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if abbreviation.tag() != dw::DW_TAG_variable {
                reader.skip(&mut entries, abbreviation)?;
                continue;
            }
            reader.step(1 + abbreviation.attributes().len())?;
            for specification in abbreviation.attributes() {
                let attribute = entries.read_attribute(*specification)?;
                if attribute.name() == dw::DW_AT_location
                    && let AttributeValue::Exprloc(expression) = attribute.value()
                    && let Some(address) = fixed_address(reader, unit, expression.0)?
                {
                    each(address);
                }
            }
        }
        Ok(())
    }
}

/// The address that an expression stands for, when it is nothing but one.
fn fixed_address<'a>(
    reader: &Reader<'a>,
    unit: &Unit<Slice<'a>>,
    mut expression: Slice<'a>,
) -> Result<Option<u64>, Damage> {
    let operation = (!expression.is_empty()).then(|| expression.read_u8());
    let address = match operation.transpose()?.map(DwOp) {
        Some(dw::DW_OP_addr) => expression.read_address(unit.encoding().address_size)?,
        Some(dw::DW_OP_addrx) => {
            let index = usize::try_from(expression.read_uleb128()?).unwrap_or(usize::MAX);
            reader.dwarf.address(unit, gimli::DebugAddrIndex(index))?
        }
        _ => return Ok(None),
    };
    Ok(expression.is_empty().then_some(address))
}
