use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use guru_chip::Chip;
use guru_image::{Contents, Elf, FirmwareError};
use guru_size::{By, LinkerMap, Program, Row, Size as ProgramSize};
use guru_store::PartitionTable;

use crate::context::Context;
use crate::error::Error;
use crate::partitions::{self, TableOffset};
use crate::ui::{Message, OldSize, Report, SizeLine, SizeReport, SizeTable, Slot};

/// Show what fills an image: which memory, which crate or archive, which symbol
///
///     guru size app.elf
///     guru size --by symbol --top 20 app.elf
///     guru size --diff before.elf app.elf
///     guru size --partition-table partitions.csv app.elf
///
/// All is counted from the ELF file, for the image that 'write-flash' makes of it; the bytes add up to
/// its length. What is in brackets is of nobody: headers, padding, and bytes of a section that no
/// symbol or object file claims. What stays in RAM without being in the image (.bss, a stack) is
/// counted as RAM alone.
///
/// A Rust symbol names its crate. Archives, which are components in ESP-IDF, are known from the
/// linker's map (--map; gcc and rustc write it with -Wl,-Map=FILE). Without it the folder of the
/// source file is taken, as debugging information has it.
///
/// The chip is found by the memory that the program uses; where several fit, --chip says which.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Size {
    /// ELF file
    #[arg(value_name = "ELF")]
    file: PathBuf,

    /// What to add up by; without it by segment, crate and symbol
    #[arg(long, value_name = "WHAT")]
    by: Option<ByOption>,

    /// Lines of each table, the largest first; without --by 10, else all
    #[arg(long, value_name = "N")]
    top: Option<usize>,

    /// ELF file of another build, to show what has changed since
    #[arg(long, value_name = "ELF")]
    diff: Option<PathBuf>,

    /// The linker's map, which tells archives and object files
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// The linker's map of the other build
    #[arg(long, value_name = "FILE", requires = "diff")]
    diff_map: Option<PathBuf>,

    /// Partition table, to show how full its slots get: CSV, binary, or a dump of the flash
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,

    #[command(flatten)]
    offset: TableOffset,
}

/// `--by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ByOption {
    /// Memory, and the sections in it.
    Segment,
    /// Archive, component or folder.
    Archive,
    /// Rust crate, and archive where there is none.
    Crate,
    /// Object file or source file.
    Object,
    /// Symbol.
    Symbol,
}

impl ByOption {
    fn by(self) -> By {
        match self {
            Self::Segment => By::Memory,
            Self::Archive => By::Archive,
            Self::Crate => By::Crate,
            Self::Object => By::Object,
            Self::Symbol => By::Symbol,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Archive => "archive",
            Self::Crate => "crate",
            Self::Object => "object",
            Self::Symbol => "symbol",
        }
    }
}

/// Lines of a table where nobody says how many.
const USUAL: usize = 10;

impl Size {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let chip = context.globals.chip.named();
        let table = self.partition_table.as_deref();
        let table = table.map(|path| partitions::table_of_file(path, self.offset));
        let slots = table.transpose()?.map(|table| slots(&table));
        let program = Built::read(&self.file, self.map.as_deref(), context)?;
        let size = program.size(chip)?;
        let old = match &self.diff {
            Some(path) => Some((path, Built::read(path, self.diff_map.as_deref(), context)?)),
            None => None,
        };
        let old_size = match &old {
            Some((_, old)) => Some(old.size(chip.or(Some(size.chip)))?),
            None => None,
        };
        let (tables, usual) = match self.by {
            Some(by) => (vec![by], usize::MAX),
            None => (
                vec![ByOption::Segment, ByOption::Crate, ByOption::Symbol],
                USUAL,
            ),
        };
        let top = self.top.unwrap_or(usual);
        let tables = tables.into_iter().map(|by| {
            let old = old_size.as_ref();
            let mut lines = lines(size.rows(by.by()), old.map(|old| old.rows(by.by())));
            if by == ByOption::Segment {
                lines = with_sections(lines, &size, old);
            }
            // There are few memories, and sections go with them.
            let top = if by == ByOption::Segment && self.top.is_none() {
                usize::MAX
            } else {
                top
            };
            SizeTable::new(by.name(), lines, top)
        });
        let tables = tables.collect();
        context.screen.report(Report::Size(Box::new(SizeReport {
            file: self.file,
            chip: size.chip.id,
            makeup: size.makeup,
            ram: size.total().ram(),
            old: old_size.map(|old| OldSize {
                file: self.diff.unwrap_or_default(),
                image: old.makeup.total(),
                ram: old.total().ram(),
            }),
            slots,
            tables,
        })));
        Ok(())
    }
}

/// An ELF file that was read.
struct Built {
    elf: Elf,
    program: Program,
}

impl Built {
    fn read(path: &Path, map: Option<&Path>, context: &mut Context) -> Result<Self, Error> {
        let open = |path| Contents::open(path).map_err(FirmwareError::Read);
        let elf = Elf::read(&open(path)?)?;
        let map = match map {
            Some(path) => Some(LinkerMap::read(&open(path)?).map_err(guru_size::SizeError::from)?),
            None => None,
        };
        let program = Program::read(&elf, map.as_ref())?;
        if let Some(reason) = &program.damaged {
            context.screen.message(&Message::Warning {
                text: format!(
                    "the debugging information in '{}' cannot be read, and tells nothing: {reason}",
                    elf.name()
                ),
            });
        }
        Ok(Self { elf, program })
    }

    fn size(&self, chip: Option<&'static Chip>) -> Result<ProgramSize<'_>, Error> {
        Ok(match chip {
            Some(chip) => ProgramSize::on(chip, &self.elf, &self.program)?,
            None => ProgramSize::on_its_chip(&self.elf, &self.program)?,
        })
    }
}

/// The partitions for applications.
fn slots(table: &PartitionTable) -> Vec<Slot> {
    let apps = table.partitions.iter().filter(|one| one.kind.is_app());
    let slots = apps.map(|one| Slot {
        name: one.name.clone(),
        offset: one.offset,
        size: one.size,
    });
    slots.collect()
}

/// Rows, beside those of another build when there is one: then only what differs, the largest change
/// first.
fn lines(rows: Vec<Row>, old: Option<Vec<Row>>) -> Vec<SizeLine> {
    let Some(old) = old else {
        return rows.into_iter().map(SizeLine::new).collect();
    };
    let mut before: std::collections::HashMap<_, _> =
        old.into_iter().map(|row| (row.name, row.usage)).collect();
    let mut lines: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let old = before.remove(&row.name).unwrap_or_default();
            SizeLine::new(row).since(old)
        })
        .collect();
    let mut gone: Vec<_> = before.into_iter().collect();
    gone.sort_by(|(a, _), (b, _)| a.cmp(b));
    lines.extend(gone.into_iter().map(|(name, old)| {
        let usage = guru_size::Usage::default();
        SizeLine::new(Row { name, usage }).since(old)
    }));
    lines.retain(SizeLine::changed);
    lines.sort_by_key(|line| std::cmp::Reverse(line.change()));
    lines
}

/// Lines for memories, each with those for its sections behind it.
fn with_sections(
    memories: Vec<SizeLine>,
    size: &ProgramSize<'_>,
    old: Option<&ProgramSize<'_>>,
) -> Vec<SizeLine> {
    let of = |size: &ProgramSize<'_>, name: &str| -> Vec<Row> {
        let sections = size
            .sections()
            .filter(|(memory, _)| memory.name() == name)
            .map(|(_, row)| row);
        sections.collect()
    };
    let mut all = Vec::new();
    for mut line in memories {
        let rows = of(size, &line.name);
        let old = old.map(|old| of(old, &line.name));
        line.sections = lines(rows, old);
        all.push(line);
    }
    all
}
