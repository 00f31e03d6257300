//! What fills an image, as values, as text and as JSON.

use std::path::PathBuf;

use guru_image::Makeup;
use guru_size::{Memory, Row, Usage};
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::{Map, Value, json};

use super::escape;

/// What `size` finds.
#[derive(Debug, Clone)]
pub struct SizeReport {
    /// The ELF file.
    pub file: PathBuf,
    /// The chip for which it is counted, as on the command line.
    pub chip: &'static str,
    /// What the bytes of the image are.
    pub makeup: Makeup,
    /// Bytes of RAM that the program has.
    pub ram: u64,
    /// Another build.
    pub old: Option<OldSize>,
    /// Where applications go by a partition table; `None`: there was none.
    pub slots: Option<Vec<Slot>>,
    /// What it adds up from, in one or several ways.
    pub tables: Vec<SizeTable>,
}

/// Another build of the same program.
#[derive(Debug, Clone, Serialize)]
pub struct OldSize {
    /// Its ELF file.
    pub file: PathBuf,
    /// Length of its image in bytes.
    pub image: u64,
    /// Bytes of RAM that it has.
    pub ram: u64,
}

/// A partition for applications.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Its flash offset.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

/// One way to add up.
#[derive(Debug, Clone)]
pub struct SizeTable {
    by: &'static str,
    lines: Vec<SizeLine>,
    /// How many lines were left out, and what they add up to.
    rest: Option<(usize, Usage, Usage)>,
}

/// One line of a table.
#[derive(Debug, Clone)]
pub struct SizeLine {
    /// Whose bytes they are.
    pub name: String,
    /// What it is made of.
    pub sections: Vec<Self>,
    usage: Usage,
    /// What it was in another build.
    old: Option<Usage>,
}

impl SizeLine {
    /// Of a row.
    pub fn new(row: Row) -> Self {
        Self {
            name: row.name,
            usage: row.usage,
            old: None,
            sections: Vec::new(),
        }
    }

    /// Beside what it was before.
    pub fn since(mut self, old: Usage) -> Self {
        self.old = Some(old);
        self
    }

    /// Whether it is not what it was before.
    pub fn changed(&self) -> bool {
        self.old != Some(self.usage)
    }

    /// By how many bytes, of the image and of RAM.
    pub fn change(&self) -> u64 {
        let old = self.old.unwrap_or_default();
        self.usage.image.abs_diff(old.image) + self.usage.ram().abs_diff(old.ram())
    }

    fn value(&self) -> Value {
        let mut value = usage(&self.name, &self.usage);
        if let Some(old) = &self.old {
            value["old"] = bytes(old);
        }
        if !self.sections.is_empty() {
            value["sections"] = self.sections.iter().map(Self::value).collect();
        }
        value
    }
}

impl SizeTable {
    /// A table with at most `top` of the lines.
    pub fn new(by: &'static str, mut lines: Vec<SizeLine>, top: usize) -> Self {
        let rest = lines.split_off(top.min(lines.len()));
        let mut sums = (rest.len(), Usage::default(), Usage::default());
        for line in &rest {
            sums.1 += line.usage;
            sums.2 += line.old.unwrap_or_default();
        }
        Self {
            by,
            lines,
            rest: (sums.0 > 0).then_some(sums),
        }
    }
}

impl Slot {
    fn free(&self, image: u64) -> Option<u64> {
        u64::from(self.size).checked_sub(image)
    }
}

/// The report as lines of text.
pub(super) fn lines(report: &SizeReport) -> Vec<String> {
    let file = report.file.display().to_string();
    let Makeup {
        program,
        headers,
        padding,
        checks,
    } = report.makeup;
    let image = report.makeup.total();
    let chip = guru_chip::by_id(report.chip).map_or(report.chip, |chip| chip.name);
    let mut lines = vec![
        format!("File   {}, for the {chip}", escape(&file)),
        format!(
            "Image  {image} bytes: {program} of the program, {headers} headers, {padding} padding, \
             {checks} checksum and digest"
        ),
        format!("RAM    {} bytes", report.ram),
    ];
    if let Some(old) = &report.old {
        let file = old.file.display().to_string();
        lines.push(format!(
            "Since  {}: {} bytes of image, {} bytes of RAM",
            escape(&file),
            signed(image, old.image),
            signed(report.ram, old.ram)
        ));
    }
    for slot in report.slots.iter().flatten() {
        let place = format!(
            "Slot   {} at 0x{:x}, {} bytes",
            escape(&slot.name),
            slot.offset,
            slot.size
        );
        let full = match slot.free(image) {
            Some(free) => {
                let percent = percent(image, slot.size.into());
                format!("{percent} % full, {free} bytes free")
            }
            None => format!("too small by {} bytes", image - u64::from(slot.size)),
        };
        lines.push(format!("{place}: {full}"));
    }
    if report.slots.as_ref().is_some_and(Vec::is_empty) {
        lines.push("Slot   none: the table has no partition for applications".to_owned());
    }
    for table in &report.tables {
        lines.push(String::new());
        let compared = report.old.is_some();
        let title = match table.by {
            "crate" => "crate or archive",
            by => by,
        };
        lines.push(match compared {
            false => format!("{:>9}  {:>5}  {:>9}  By {title}", "Image", "%", "RAM"),
            true => format!(
                "{:>9}  {:>9}  {:>9}  {:>9}  By {title}",
                "Image", "change", "RAM", "change"
            ),
        });
        for line in &table.lines {
            let old = line.old.as_ref();
            lines.push(row(&escape(&line.name), &line.usage, old, image));
            for section in &line.sections {
                let name = format!("  {}", escape(&section.name));
                lines.push(row(&name, &section.usage, section.old.as_ref(), image));
            }
        }
        if let Some((count, usage, old)) = &table.rest {
            let old = compared.then_some(old);
            lines.push(row(&format!("({count} more)"), usage, old, image));
        }
        if table.lines.is_empty() && table.rest.is_none() {
            lines.push("nothing has changed".to_owned());
        }
    }
    lines
}

fn row(name: &str, usage: &Usage, old: Option<&Usage>, image: u64) -> String {
    match old {
        None => format!(
            "{:>9}  {:>5}  {:>9}  {name}",
            usage.image,
            percent(usage.image, image),
            usage.ram()
        ),
        Some(old) => format!(
            "{:>9}  {:>9}  {:>9}  {:>9}  {name}",
            usage.image,
            signed(usage.image, old.image),
            usage.ram(),
            signed(usage.ram(), old.ram())
        ),
    }
}

/// A part of a whole, with one digit behind the point.
fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000 + whole / 2) / whole.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A change, with its sign.
fn signed(new: u64, old: u64) -> String {
    match new.cmp(&old) {
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Less => format!("-{}", old - new),
        std::cmp::Ordering::Greater => format!("+{}", new - old),
    }
}

/// Bytes of the image and of each memory that has some.
fn bytes(usage: &Usage) -> Value {
    let mut memory = Map::new();
    for one in Memory::ALL {
        let bytes = usage.of(one);
        if bytes > 0 {
            memory.insert(one.name().to_owned(), bytes.into());
        }
    }
    json!({ "image": usage.image, "ram": usage.ram(), "memory": memory })
}

fn usage(name: &str, usage: &Usage) -> Value {
    let mut value = json!({ "name": name });
    if let (Value::Object(all), Value::Object(fields)) = (&mut value, bytes(usage)) {
        all.extend(fields);
    }
    value
}

impl Serialize for SizeReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let image = self.makeup.total();
        let slots = self.slots.as_ref().map(|slots| {
            let slots = slots.iter().map(|slot| {
                json!({
                    "name": slot.name,
                    "offset": slot.offset,
                    "size": slot.size,
                    "fits": slot.free(image).is_some(),
                    "free": slot.free(image),
                })
            });
            slots.collect::<Vec<_>>()
        });
        json!({
            "file": self.file,
            "chip": self.chip,
            "image": image,
            "ram": self.ram,
            "made_of": {
                "program": self.makeup.program,
                "headers": self.makeup.headers,
                "padding": self.makeup.padding,
                "checks": self.makeup.checks,
            },
            "since": self.old,
            "slots": slots,
            "tables": self.tables.iter().map(SizeTable::value).collect::<Vec<_>>(),
        })
        .serialize(serializer)
    }
}

impl SizeTable {
    fn value(&self) -> Value {
        let rest = self.rest.as_ref().map(|(count, sum, old)| {
            let mut value = bytes(sum);
            value["lines"] = (*count).into();
            if self.lines.iter().any(|line| line.old.is_some()) {
                value["old"] = bytes(old);
            }
            value
        });
        json!({
            "by": self.by,
            "lines": self.lines.iter().map(SizeLine::value).collect::<Vec<_>>(),
            "left_out": rest,
        })
    }
}
