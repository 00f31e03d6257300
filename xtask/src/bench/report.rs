//! `docs/performance.md`.

use std::fmt::Write as _;

use super::{Aim, ByRom, Kind, Row, Section, Side};

const BAUDS: [u32; 4] = [115_200, 460_800, 921_600, 2_000_000];
/// How far above the bound a write may be.
const AIM_ABOVE: f64 = 0.05;

#[expect(clippy::print_stderr, reason = "a program that talks to a person")]
pub fn progress(job: &super::Job, ours: &Side, reference: &Side) {
    eprintln!(
        "{} on {}: {} bytes and {} round trips, the reference {} and {}",
        job.name,
        job.chip,
        ours.work.bytes(),
        ours.work.round_trips,
        reference.work.bytes(),
        reference.work.round_trips
    );
}

/// The page, of what was measured. Parts that are missing are named.
pub fn page(sections: &[Section], missing: &[String]) -> String {
    let mut page = String::from(
        "# Performance\n\n\
         Made by `cargo xtask bench` (with `GURU_ESPTOOL` set; CONTRIBUTING.md); do not edit.\n\n\
         Guru beside esptool 5.6.0, both on the same virtual chip over TCP, through a proxy that records what\n\
         passes; first with the chip's ROM loader alone (`--stub none` and `--no-stub`), then with flasher\n\
         stubs. A command is counted from connecting to its end, all checks\n\
         included. Contents are written onto others that differ in every sector, and compress to a bit\n\
         more than half. Nothing here was measured on a board.\n\n",
    );
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let _ = writeln!(
            page,
            "Not measured yet: {missing} (`cargo xtask bench PART`).\n"
        );
    }
    let _ = writeln!(page, "## Aims\n\n| aim | measured | met |\n|---|---|---|");
    for (aim, found, met) in sections.iter().flat_map(|section| &section.aims) {
        let met = if *met { "yes" } else { "**no**" };
        let _ = writeln!(page, "| {aim} | {found} | {met} |");
    }
    for section in sections {
        page.push_str(&section.text);
    }
    page
}

/// What came of the ROM loaders, and of starting and feeding many.
pub fn by_rom(measured: &ByRom) -> Section {
    let mut page = String::new();
    let _ = writeln!(
        page,
        "\n## On the wire\n\nBytes both ways, and how often something was sent and then waited for. \
         These do not depend on the machine.\n\n\
         | chip | command | bytes | reference | round trips | reference |\n|---|---|--:|--:|--:|--:|"
    );
    for Row {
        job,
        ours,
        reference,
        ..
    } in &measured.rows
    {
        let (ours, theirs) = (&ours.work, &reference.work);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            job.chip,
            job.name,
            ours.bytes(),
            theirs.bytes(),
            ours.round_trips,
            theirs.round_trips
        );
    }
    let _ = writeln!(
        page,
        "\n## Time by a model\n\n\
         Computed for both from what was recorded: 10 bits a byte, 2 ms a round trip (two transfers over\n\
         USB), and the chip's own work: erasing as its ROM does (45 ms a sector, 150 ms a 64 KB block), \
         0.4 ms\na page of 256 bytes (typical values of the Winbond W25Q32JV data sheet), 0.7 µs a byte \
         for a digest.\nReset pulses, the same for both, are left out. In seconds:\n\n\
         | chip | command | {} |\n|---|---|{}",
        BAUDS.map(|baud| format!("{baud} | reference")).join(" | "),
        "--:|--:|".repeat(BAUDS.len())
    );
    for row in &measured.rows {
        let times = BAUDS.map(|baud| {
            let ours = row.ours.work.time(baud).as_secs_f64();
            let theirs = row.reference.work.time(baud).as_secs_f64();
            format!("{ours:.2} | {theirs:.2}")
        });
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            row.job.chip,
            row.job.name,
            times.join(" | ")
        );
    }
    let _ = writeln!(
        page,
        "\n### A write and the least that the ROM allows\n\n\
         The bound: our own traffic until the work begins, one erase of the whole range, the fewest bytes\n\
         that zlib makes of the contents, programming, one round trip for each of the largest blocks that the\n\
         ROM takes, one digest. How far above:\n\n\
         | chip | command | {} |\n|---|---|{}",
        BAUDS.map(|baud| baud.to_string()).join(" | "),
        "--:|".repeat(BAUDS.len())
    );
    for row in &measured.rows {
        if row.bound.is_some() && row.job.kind == Kind::Write {
            let above = BAUDS.map(|baud| format!("{:.1} %", 100.0 * above(row, baud)));
            let _ = writeln!(
                page,
                "| {} | {} | {} |",
                row.job.chip,
                row.job.name,
                above.join(" | ")
            );
        }
    }
    let _ = writeln!(
        page,
        "\n### This machine\n\nBy its clock, so they depend on it and on what else it does.\n\n\
         | | Guru | esptool |\n|---|--:|--:|"
    );
    let (ours, theirs) = (&measured.startup_ours, &measured.startup_reference);
    let ms = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    for (what, ours, theirs) in [
        (
            "`version`, the fastest of 11",
            ms(ours.best),
            ms(theirs.best),
        ),
        (
            "`version`, the one in the middle",
            ms(ours.median),
            ms(theirs.median),
        ),
        ("`version`, memory", mb(ours.memory), mb(theirs.memory)),
    ] {
        let _ = writeln!(page, "| {what} | {ours} | {theirs} |");
    }
    for row in &measured.rows {
        let time = |side: &Side| format!("{:.2} s", side.cost.wall.as_secs_f64());
        let _ = writeln!(
            page,
            "| {} on {}, host and simulator | {} | {} |",
            row.job.name,
            row.job.chip,
            time(&row.ours),
            time(&row.reference)
        );
    }
    let _ = writeln!(
        page,
        "| write 16 MB, memory | {} | |",
        mb(measured.large.memory)
    );
    for (what, cost) in [
        ("one board", &measured.board),
        ("16 boards, three of them faulty,", &measured.farm),
    ] {
        let _ = writeln!(
            page,
            "| write 256 KB to {what} in real time | {:.2} s, {} | |",
            cost.wall.as_secs_f64(),
            mb(cost.memory)
        );
    }
    let _ = writeln!(
        page,
        "\nThe faults are a line that loses half of what the chip says, no flash, and bits of it that cannot\n\
         be erased: these boards are named, the others are written and verified. How long it takes is how long\n\
         the worst of the three is waited for. All virtual chips and their flash are in the one process."
    );
    Section {
        aims: aims(measured),
        text: page,
    }
}

/// The aims, what was measured, and whether they are met.
fn aims(measured: &ByRom) -> Vec<Aim> {
    let start = measured.startup_ours.median.as_secs_f64() * 1000.0;
    let memory = measured.large.memory;
    let writes = || {
        measured
            .rows
            .iter()
            .filter(|row| row.job.kind == Kind::Write)
    };
    let worst = writes()
        .filter(|row| row.bound.is_some())
        .flat_map(|row| BAUDS.map(|baud| (above(row, baud), row, baud)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let more: Vec<String> = measured
        .rows
        .iter()
        .filter(
            |Row {
                 ours, reference, ..
             }| {
                ours.work.bytes() > reference.work.bytes()
                    || ours.work.round_trips > reference.work.round_trips
            },
        )
        .map(|row| format!("{} on {}", row.job.name, row.job.chip))
        .collect();
    let ids: Vec<&Row> = measured
        .rows
        .iter()
        .filter(|row| row.job.kind == Kind::Id)
        .collect();
    let halved = ids
        .iter()
        .all(|row| 2 * row.ours.work.round_trips <= row.reference.work.round_trips);
    let trips = ids
        .iter()
        .map(|row| {
            let (ours, theirs) = (row.ours.work.round_trips, row.reference.work.round_trips);
            format!("{} {ours} of {theirs}", row.job.chip)
        })
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        (
            "start under 10 ms".to_owned(),
            format!("{start:.1} ms"),
            start < 10.0,
        ),
        (
            "under 20 MB of memory for a write of 16 MB".to_owned(),
            mb(memory),
            memory.is_some_and(|bytes| bytes < 20_000_000),
        ),
        (
            "ROM: a write within 5 % of the bound".to_owned(),
            worst.map_or_else(String::new, |(above, row, baud)| {
                let percent = 100.0 * above;
                format!(
                    "at most {percent:.1} % above ({} on {} at {baud})",
                    row.job.name, row.job.chip
                )
            }),
            worst.is_some_and(|(above, ..)| above <= AIM_ABOVE),
        ),
        (
            "ROM: never more bytes or round trips than the reference".to_owned(),
            if more.is_empty() {
                "never".to_owned()
            } else {
                format!("more: {}", more.join(", "))
            },
            more.is_empty(),
        ),
        (
            "`flash-id` in half the round trips".to_owned(),
            trips,
            halved,
        ),
    ]
}

/// How far a write is above its bound, in parts of the bound.
fn above(row: &Row, baud: u32) -> f64 {
    row.bound.map_or(0.0, |bound| {
        row.ours.work.time(baud).as_secs_f64() / bound.time(baud).as_secs_f64() - 1.0
    })
}

pub fn mb(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} MB", bytes as f64 / 1e6),
    )
}
