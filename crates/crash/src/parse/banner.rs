//! What mask ROMs print when they start.

use guru_chip::{CHIPS, Chip};

use super::scan::{address, behind, decimal};
use crate::RomBuild;

/// A line of a ROM.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'t> {
    /// Begins a banner: the chip, as far as the line tells it, and the build.
    Start(Option<&'static Chip>, RomBuild),
    /// `Build:`, the date.
    Date(String),
    /// `rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)`.
    Reset(Cause<'t>, Option<Mode<'t>>),
    /// The ESP8266's single line.
    Esp8266(&'static Chip, RomBuild, Cause<'t>, Option<Mode<'t>>),
    /// `Saved PC:`, with the core where it is printed; `None`: the address is cut.
    SavedPc(Option<u8>, Option<u32>),
    /// Loading; the last line when the program is started.
    Loading {
        /// `entry 0x..`.
        last: bool,
    },
}

/// The number and name of a reset; the name may be empty.
pub(super) type Cause<'t> = (u8, &'t str);
/// The straps and the name of a boot mode; the name may be empty.
pub(super) type Mode<'t> = (u16, &'t str);

/// Where lines of a banner begin in a line.
pub(super) fn starts(text: &str) -> impl Iterator<Item = usize> {
    let all = move |mark: &'static str| text.match_indices(mark).map(|(at, _)| at);
    let dated = move |at: &usize| text.get(at + 4..).and_then(date).is_some();
    let apart = move |at: &usize| text.get(..*at).is_some_and(|before| before.ends_with(' '));
    let saved = all("Saved PC:0x").map(move |at| {
        // `Core0 Saved PC:`
        let core = text.get(..at).and_then(|before| {
            let core = before.strip_suffix(' ')?.rfind("Core")?;
            (at - core < 9).then_some(core)
        });
        core.unwrap_or(at)
    });
    all("ESP-ROM:")
        .chain(all("ets ").filter(dated))
        .chain(all("rst:0x").filter(apart))
        .chain(saved.filter(apart))
}

pub(super) fn line(text: &str) -> Option<Line<'_>> {
    let text = text.trim();
    // The first letters are lost where the baud rate was set, or the port opened, in the middle of them.
    let rom = text.split_once("-ROM:");
    if let Some((_, name)) = rom.filter(|(before, _)| "ESP".ends_with(before)) {
        let name = name.split([' ', ',']).next()?;
        let build = RomBuild {
            name: Some(name.to_owned()),
            date: String::new(),
        };
        return Some(Line::Start(of_rom(name), build));
    }
    if let Some(rest) = text.strip_prefix("ets ") {
        return ets(rest);
    }
    if let Some(date) = text.strip_prefix("Build:") {
        return Some(Line::Date(self::date(date)?.0));
    }
    if let Some(rest) = text.strip_prefix("rst:") {
        let (code, rest) = small(rest)?;
        let mode = behind(rest, "boot:").and_then(|rest| {
            let (straps, rest) = small(rest)?;
            Some((straps, bracketed(rest).unwrap_or_default()))
        });
        let name = rest.split_once(",boot:").map_or(rest, |(name, _)| name);
        let cause = (
            u8::try_from(code).ok()?,
            bracketed(name).unwrap_or_default(),
        );
        return Some(Line::Reset(cause, mode));
    }
    if let Some((before, pc)) = text.split_once("Saved PC:") {
        let core = match before.trim() {
            "" => None,
            core => Some(core.strip_prefix("Core")?.parse().ok()?),
        };
        return Some(Line::SavedPc(core, address(pc.trim()).map(|(pc, _)| pc)));
    }
    let loading = [
        "SPIWP:",
        "mode:",
        "load:0x",
        "configsip:",
        "clk_drv:",
        "ho ",
        "load 0x",
    ];
    let last = text.starts_with("entry 0x");
    (last || loading.iter().any(|start| text.starts_with(start))).then_some(Line::Loading { last })
}

/// The ESP32's first line, and the ESP8266's only one.
fn ets<'t>(rest: &'t str) -> Option<Line<'t>> {
    let (date, rest) = date(rest)?;
    let first = format!("ets {date}");
    let build = RomBuild { name: None, date };
    let Some(cause) = behind(rest, "rst cause:") else {
        let chip = CHIPS.iter().copied().find(|chip| {
            let mut builds = chip.rom.banners.iter().map(|banner| banner.build.trim());
            builds.any(|build| build.starts_with(&first))
        });
        return Some(Line::Start(chip, build));
    };
    let chip = CHIPS.iter().copied().find(|chip| {
        let mut lines = chip.rom.banners.iter().flat_map(|banner| banner.lines);
        lines.any(|line| line.contains("rst cause:"))
    })?;
    let (code, rest) = decimal(cause)?;
    let mode = behind(rest, "boot mode:(").and_then(|rest| {
        let (straps, _) = decimal(rest)?;
        let (name, _) = rest.split_once(')')?;
        Some((u16::try_from(straps).ok()?, name))
    });
    Some(Line::Esp8266(
        chip,
        build,
        (u8::try_from(code).ok()?, ""),
        mode,
    ))
}

/// The chip whose ROMs bear this name: `esp32c3-api1-20210207`, and the ESP32-C2's `esp8684-..`.
fn of_rom(name: &str) -> Option<&'static Chip> {
    fn first(name: &str) -> Option<&str> {
        name.split('-').next()
    }
    CHIPS.iter().copied().find(|chip| {
        chip.rom.banners.iter().any(|banner| {
            let build = banner.build.strip_prefix("ESP-ROM:");
            build.is_some_and(|build| first(build) == first(name))
        })
    })
}

/// A date as compilers print it, at the start, and what follows: `Feb  7 2021`, possibly with a time behind.
/// Web pages make one space of two.
fn date(text: &str) -> Option<(String, &str)> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (month, rest) = text.split_once(' ')?;
    let (day, rest) = decimal(rest.trim_start_matches(' '))?;
    let year = rest.strip_prefix(' ')?;
    let (number, rest) = decimal(year)?;
    let fits = MONTHS.contains(&month) && (1..=31).contains(&day) && (2000..2100).contains(&number);
    fits.then(|| (format!("{month} {day:>2} {number}"), rest))
}

/// The chip whose ROM alone gives this number this name.
pub(super) fn by_reset(code: u8, name: &str) -> Option<&'static Chip> {
    let mut chips = CHIPS.iter().copied().filter(|chip| {
        let reason = chip.rom.reset_reason(code);
        reason.is_some_and(|reason| reason.name == name)
    });
    let chip = chips.next()?;
    chips.next().is_none().then_some(chip)
}

/// A hexadecimal number of up to four digits behind `0x`, with what follows.
fn small(text: &str) -> Option<(u16, &str)> {
    let rest = text.strip_prefix("0x")?;
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let value = u16::from_str_radix(rest.get(..digits)?, 16).ok()?;
    Some((value, rest.get(digits..)?))
}

/// What stands in the first brackets; names have brackets themselves.
fn bracketed(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('(')?;
    let mut depth = 1_u32;
    for (at, letter) in rest.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return rest.get(..at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_banner_of_every_chip_is_read() {
        for chip in CHIPS {
            for banner in chip.rom.banners {
                let build = banner.build.trim();
                if !build.is_empty() {
                    let read = line(build);
                    assert!(
                        matches!(&read, Some(Line::Start(Some(found), _)) if found.id == chip.id),
                        "{build}: {read:?}"
                    );
                    assert!(super::super::marks::any(build));
                    assert_eq!(starts(&format!("PC : 0x4{build}")).min(), Some(8));
                }
                for text in banner
                    .lines
                    .iter()
                    .filter(|text| text.contains("{mode_name}"))
                {
                    for mode in chip.rom.boot_modes {
                        let text = text
                            .replace("{reset}", chip.rom.resets.power_on)
                            .replace("{mode}", &format!("{:#x}", mode.strap))
                            .replace("{mode_name}", mode.name);
                        let (cause, read) = match line(&text) {
                            Some(Line::Reset(cause, read) | Line::Esp8266(_, _, cause, read)) => {
                                (cause, read)
                            }
                            other => panic!("{text}: {other:?}"),
                        };
                        assert_eq!(cause.0, 1);
                        assert_eq!(read, Some((mode.strap, mode.name)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_number_has_the_meaning_of_its_chip() {
        use guru_chip::ResetCause;
        let cause = |chip, code| {
            guru_chip::by_id(chip)
                .and_then(|chip| chip.rom.reset_reason(code))
                .map(|reason| reason.cause)
        };
        assert_eq!(cause("esp32c3", 0x13), Some(ResetCause::ClockGlitch));
        assert_eq!(cause("esp32p4", 0x13), Some(ResetCause::PowerGlitch));
        assert_eq!(cause("esp32c3", 0x17), Some(ResetCause::PowerGlitch));
        assert_eq!(cause("esp32p4", 0x17), Some(ResetCause::UsbUart));
        assert_eq!(cause("esp32c5", 0x1a), Some(ResetCause::Lockup));
        assert_eq!(cause("esp32c6", 0x1a), None);
    }

    #[test]
    fn a_banner_is_read_from_a_single_line_and_without_its_first_letters() {
        let text = "It says: ets Jun 8 2016 00:22:57 rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 \
                    (SPI_FAST_FLASH_BOOT) configsip: 0, SPIWP:0x00 (x) Core1 Saved PC:0x40048b82";
        let parts: Vec<_> = starts(text).filter_map(|at| text.get(at..)).collect();
        assert_eq!(parts.len(), 3);
        let Some(Line::Start(Some(chip), build)) = line(parts[0]) else {
            panic!("{}", parts[0])
        };
        assert_eq!((chip.id, build.date.as_str()), ("esp32", "Jun  8 2016"));
        let reset = Line::Reset(
            (16, "RTCWDT_RTC_RESET"),
            Some((0x13, "SPI_FAST_FLASH_BOOT")),
        );
        assert_eq!(line(parts[1]), Some(reset));
        assert_eq!(
            line(parts[2]),
            Some(Line::SavedPc(Some(1), Some(0x4004_8b82)))
        );
        for cut in ["SP-ROM:esp32c3-api1-20210207", "-ROM:esp32c3-api1-20210207"] {
            assert!(matches!(line(cut), Some(Line::Start(Some(chip), _)) if chip.id == "esp32c3"));
        }
        assert_eq!(line("CD-ROM: none"), None);
    }

    #[test]
    fn a_name_that_only_one_chip_has_tells_the_chip() {
        let id = |code, name| by_reset(code, name).map(|chip| chip.id);
        assert_eq!(id(0x10, "RTCWDT_RTC_RESET"), Some("esp32"));
        assert_eq!(id(0x0c, "SW_CPU_RESET"), None);
        assert_eq!(id(0x0c, ""), None);
    }

    #[test]
    fn a_saved_program_counter_is_read_whole_or_not() {
        assert_eq!(
            line("Saved PC:0x40048b82"),
            Some(Line::SavedPc(None, Some(0x4004_8b82)))
        );
        assert_eq!(
            line("Core1 Saved PC:0x4ff0"),
            Some(Line::SavedPc(Some(1), None))
        );
        for text in ["Build:Feb  7 2021", "Build:Feb 7 2021"] {
            assert_eq!(line(text), Some(Line::Date("Feb  7 2021".to_owned())));
        }
        assert_eq!(line("Build: ok"), None);
        assert_eq!(line("rst:0x"), None);
    }
}
