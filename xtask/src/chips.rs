//! `cargo xtask chips`: what each chip can do, from its data alone, in `docs/chips.md`.

mod overview;
mod section;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::CHIPS;

use crate::Result;

/// Whether the page is written, or only compared with what would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    Check,
}

pub fn run(mode: Mode) -> Result<()> {
    match mode {
        Mode::Write => Ok(fs::write(path(), page())?),
        Mode::Check if is_current()? => Ok(()),
        Mode::Check => {
            Err("docs/chips.md is not what the data give: run `cargo xtask chips`".into())
        }
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/chips.md")
}

/// Whether the page in the repository is what the data give. A checkout on Windows may end its lines
/// in its own way.
fn is_current() -> Result<bool> {
    Ok(fs::read_to_string(path())?.replace("\r\n", "\n") == page())
}

fn page() -> String {
    let mut page = String::from(
        "# Chips\n\n\
         Made by `cargo xtask chips` from the files in `chips/`, which name their sources; \
         [chips/README.md](../chips/README.md) explains them. Change those, not this page. \
         [limits.md](limits.md) says what none of them can do.\n\n",
    );
    overview::write(&mut page);
    for chip in CHIPS {
        _ = writeln!(page);
        section::write(&mut page, chip);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_chips_md_is_what_the_data_give() {
        assert!(
            is_current().expect("docs/chips.md can be read"),
            "run `cargo xtask chips`"
        );
    }

    #[test]
    fn every_chip_has_a_row_in_each_overview_and_a_section() {
        let page = page();
        for chip in CHIPS {
            let row = format!("| [{}](#{}) |", chip.name, chip.name.to_lowercase());
            assert_eq!(page.matches(&row).count(), 4, "{}", chip.name);
            assert!(page.contains(&format!("\n## {}\n", chip.name)));
        }
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_table() {
        let page = page();
        let mut cells = None;
        for line in page.lines() {
            if !line.starts_with('|') {
                cells = None;
                continue;
            }
            let here = line.matches('|').count();
            assert_eq!(*cells.get_or_insert(here), here, "{line}");
        }
    }
}
