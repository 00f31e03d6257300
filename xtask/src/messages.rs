//! `cargo xtask messages`: the list of what ESP-IDF and the mask ROMs print when a chip dies or does not
//! start, taken by rules from their sources and files. The tests of `crates/crash` read it: what is in
//! the list must be recognised and explained.

mod checkout;
mod errors;
mod lexer;
mod list;
mod rom;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use checkout::Checkout;
use list::List;

use crate::{Result, report};

/// Writes both lists from checkouts (`FOLDER`, or `FOLDER@REVISION` for another state of it) and ELF
/// files. The codes of errors and resets come from the first checkout.
pub fn run(sources: &[&str]) -> Result<()> {
    let mut list = List::default();
    let mut codes_are_there = false;
    for source in sources {
        if source.ends_with(".elf") {
            list.add_elf(Path::new(source))?;
            continue;
        }
        let checkout = Checkout::open(source)?;
        for (path, text) in checkout.files(rules::is_source)? {
            for found in source::messages(&path, &text) {
                list.add(found, &checkout.version, &path);
            }
        }
        if !codes_are_there {
            codes_are_there = true;
            let headers = checkout.files(errors::is_header)?;
            let errors = errors::list(&headers, &checkout.version);
            fs::write(data("esp-errors.txt"), errors)?;
        }
    }
    let text = list.to_toml();
    report(&format!("{} messages", list.len()));
    fs::write(data("messages.toml"), text)?;
    Ok(())
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/crash/data")
        .join(name)
}
