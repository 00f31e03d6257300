//! The part of `docs/performance.md` about flasher stubs.

use std::fmt::Write as _;
use std::time::Duration;

use guru_plan::{FlashTimes, SECTOR, erases};
use guru_wire::Opcode;

use super::stub::{BAUD, Kind, Row, Session, rom_answers};
use super::{ADDRESS, Aim, MB, Section};

/// How far above its bound something may be.
const AIM_ABOVE: f64 = 0.05;
/// Most bytes for a write of what is there already, after connecting.
const UNCHANGED: u64 = 2048;
/// Most bytes for one changed sector, after connecting and without the upload.
const ONE_SECTOR: u64 = 6 * 1024;
/// Bytes of a flash page.
const PAGE: usize = 256;

/// What is above the table, which all chips share.
pub fn head() -> String {
    format!(
        "\n## With flasher stubs\n\n\
         Guru with its own stub, esptool with its own, and Guru with the ROM alone, on one virtual chip that \
         executes\nboth stubs, at {BAUD} baud. Bytes both ways, uploads included; round trips; and seconds by the chip's own \
         clock, which stands\nstill while a client thinks: the line, each transfer over USB (1 ms), the CPU's \
         instructions and the flash.\nThe aims above leave out connecting and leaving, where the pulses of \
         resets take most of the time.\n\n\
         | chip | command | bytes | esptool | ROM | round trips | esptool | ROM | seconds | esptool | \
         ROM |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    )
}

/// The aims of one chip, and its rows of the table.
pub fn section(chip: &str, rows: &[Row]) -> Section {
    let mut text = String::new();
    for row in rows {
        let [ours, theirs, rom] =
            [Some(&row.ours), row.reference.as_ref(), row.rom.as_ref()].map(|session| {
                let number = |value: fn(&Session) -> u64| {
                    session.map_or("-".to_owned(), |session| value(session).to_string())
                };
                [
                    number(|session| session.work.bytes()),
                    number(|session| session.work.round_trips),
                    session.map_or("-".to_owned(), |one| {
                        format!("{:.2}", one.took.as_secs_f64())
                    }),
                ]
            });
        let _ = write!(text, "| {} | {}", row.chip, row.kind.name());
        for column in 0..3 {
            let _ = write!(
                text,
                " | {} | {} | {}",
                ours[column], theirs[column], rom[column]
            );
        }
        text.push_str(" |\n");
    }
    Section {
        aims: aims(chip, rows),
        text,
    }
}

/// What was aimed at with stubs, what was found, and whether that is enough.
fn aims(chip: &str, rows: &[Row]) -> Vec<Aim> {
    let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind);
    let most = |bytes: u64, aim: u64| (format!("at most {bytes}"), bytes < aim);
    let (fresh, fresh_met) = above(of(Kind::Fresh).map(|row| (row, row.line().max(flash_time()))));
    let (read, read_met) = above(
        of(Kind::Read)
            .chain(of(Kind::ReadWhole))
            .map(|row| (row, row.line())),
    );
    let more = of(Kind::Fresh).filter_map(|row| {
        let theirs = row.reference.as_ref()?.work.bytes();
        row.ours.work.bytes().checked_sub(theirs)
    });
    let more = more.filter(|more| *more > 0).max();
    // Else a stub has to tell, which is uploaded for it.
    let (unchanged_bytes, upload): (fn(&Row) -> u64, _) =
        match rom_answers(chip, Opcode::SpiFlashMd5) {
            true => (Row::bytes, ""),
            false => (
                Row::bytes_beside_upload,
                " and the upload (its ROM has no digest)",
            ),
        };
    let (unchanged, unchanged_met) = most(
        of(Kind::Unchanged).map(unchanged_bytes).max().unwrap_or(0),
        UNCHANGED,
    );
    let (sector, sector_met) = most(
        of(Kind::OneSector)
            .map(Row::bytes_beside_upload)
            .max()
            .unwrap_or(0),
        ONE_SECTOR,
    );
    vec![
        (
            format!("stub on {chip}: a fresh write within 5 % of max(line, flash)"),
            fresh,
            fresh_met,
        ),
        (
            format!(
                "stub on {chip}: a fresh write in no more bytes than esptool's, uploads counted"
            ),
            more.map_or("no more".to_owned(), |more| format!("{more} more")),
            more.is_none(),
        ),
        (
            format!("stub on {chip}: an unchanged write under 2 KB after connecting{upload}"),
            unchanged,
            unchanged_met,
        ),
        (
            format!("stub on {chip}: one sector changed under 6 KB and the upload"),
            sector,
            sector_met,
        ),
        (
            format!("stub on {chip}: a read within 5 % of the line"),
            read,
            read_met,
        ),
    ]
}

/// The one that is farthest above its bound.
fn above<'a>(rows: impl Iterator<Item = (&'a Row, Duration)>) -> (String, bool) {
    let ratio = |(row, bound): &(&Row, Duration)| row.took().as_secs_f64() / bound.as_secs_f64();
    let worst = rows.max_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let Some(worst) = worst else {
        return ("nothing was measured".to_owned(), false);
    };
    let above = ratio(&worst) - 1.0;
    (
        format!(
            "at most {:.1} % above ({} on {})",
            100.0 * above,
            worst.0.kind.name(),
            worst.0.chip,
        ),
        above <= AIM_ABOVE,
    )
}

/// What the flash needs for a fresh write: the fewest erases, and each page once.
fn flash_time() -> Duration {
    let times = FlashTimes::default();
    times.erase(erases(ADDRESS / SECTOR * SECTOR, MB as u32))
        + times.page_program * (MB / PAGE) as u32
}
