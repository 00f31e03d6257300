//! Registers that programs find, for the simulator: `chips/registers/NAME.toml`. Names and meaning
//! follow `src/registers.rs`.

use serde::Deserialize;

use super::bits::{Bits, Blocks, Runs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registers {
    uart: Uart,
    spi: Spi,
    usb_jtag: Option<UsbJtag>,
    #[serde(default)]
    timer_groups: Vec<TimerGroup>,
    systimer: Option<Systimer>,
    frc: Option<Frc>,
    rtc_watchdog: Option<Watchdog>,
    interrupts: Option<Interrupts>,
    apb: Option<Clock>,
    pll: Option<Clock>,
    cpu: Option<Clock>,
    #[serde(default)]
    resets: Vec<Reset>,
    reset_cause: Option<Runs>,
    /// Number, text.
    #[serde(default)]
    causes: Vec<(u8, String)>,
    #[serde(default)]
    random: Vec<u32>,
    /// Start, end, first address shown.
    #[serde(default)]
    mirrors: Vec<(u32, u32, u32)>,
    #[serde(default)]
    stored: Vec<(u32, u32)>,
    #[serde(default)]
    initial: Vec<(u32, u32)>,
    #[serde(default)]
    ones: Vec<Runs>,
    #[serde(default)]
    zeros: Vec<Runs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    select: Runs,
    from: Vec<Source>,
    divide: Option<Runs>,
}

/// A number of MHz, a multiple of the crystal's, or a name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Mhz(u16),
    Multiple { crystal: u8 },
    Named(Named),
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
enum Named {
    Crystal,
    Apb,
    Pll,
    Loader,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uart {
    #[serde(default)]
    source: u16,
    rx_full: Runs,
    tx_empty: Runs,
    timeout_on: Runs,
    timeout: Runs,
    timeout_unit: u8,
    rx_reset: Runs,
    tx_reset: Runs,
    tx_state: Option<Runs>,
    update: Option<Runs>,
    #[serde(default)]
    latches: bool,
    autobaud: Autobaud,
    #[serde(default = "yes")]
    tx_done: bool,
    clock: Option<Clock>,
    constants: Vec<(u32, u32)>,
    initial: Vec<(u32, u32)>,
    len: u32,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Autobaud {
    on: Runs,
    low: u32,
    high: u32,
    edges: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spi {
    status: u32,
    divider: Runs,
    prescaler: Option<Runs>,
    undivided: Runs,
    hold: Option<Runs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsbJtag {
    base: u32,
    source: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimerGroup {
    base: u32,
    timers: u8,
    interrupts: u32,
    sources: Vec<u16>,
    causes: (u8, u8),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Systimer {
    base: u32,
    #[serde(default)]
    single: bool,
    mhz: u8,
    source: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frc {
    base: u32,
    watchdog: u32,
    lines: (u16, u16),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watchdog {
    config0: u32,
    protect: u32,
    key: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interrupts {
    matrix: u32,
    sources: u16,
    status: Option<u32>,
    controller: Controller,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Controller {
    Lines,
    Priorities(u32),
    Clic(u32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    bits: Runs,
    what: Scope,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
enum Scope {
    Cpu,
    Core,
    System,
}

impl Registers {
    /// What is wrong with them; `file` names the chip.
    pub fn check(&self, file: &str, blocks: &Blocks) -> Vec<String> {
        let mut problems = Vec::new();
        let mut fail = |key: &str, what: &str| {
            problems.push(format!("chips/registers/{file}.toml: {key}: {what}"));
        };
        let mut stored = self.stored.clone();
        stored.sort_unstable();
        for (start, end) in &stored {
            if start >= end || start % 4 != 0 || end % 4 != 0 {
                fail("stored", &format!("{start:#x} to {end:#x} is no range"));
            }
        }
        for pair in stored.windows(2) {
            if pair[0].1 > pair[1].0 {
                fail("stored", &format!("{:#x} stands in two ranges", pair[1].0));
            }
        }
        let inside = |address: u32| {
            let mut ranges = stored.iter();
            ranges.any(|(start, end)| (*start..*end).contains(&address))
        };
        for (address, _) in &self.initial {
            if !inside(*address) {
                fail("initial", &format!("{address:#x} is not stored"));
            }
        }
        if !self.initial.is_sorted_by(|one, next| one.0 < next.0) {
            fail("initial", "not ascending");
        }
        let resets = self.resets.iter().map(|reset| &reset.bits);
        let cause = self.reset_cause.iter();
        for runs in self
            .ones
            .iter()
            .chain(&self.zeros)
            .chain(resets)
            .chain(cause)
        {
            match runs.parse_one(blocks) {
                Ok(bits) if !inside(bits.addr) => {
                    fail("bits", &format!("{:#x} is not stored", bits.addr));
                }
                Ok(_) => {}
                Err(error) => fail("bits", &error),
            }
        }
        for group in &self.timer_groups {
            let one_more = usize::from(group.timers) + 1;
            if !(1..=2).contains(&group.timers) || group.sources.len() != one_more {
                fail("timer_groups", "one source a timer, and one more");
            }
        }
        if !self.uart.len.is_multiple_of(4) || !(0x80..=0x400).contains(&self.uart.len) {
            fail("uart.len", "odd length");
        }
        problems
    }

    /// The value of `Chip::registers`, as Rust.
    pub fn emit(&self, blocks: &Blocks) -> Result<String, String> {
        let e = Emit(blocks);
        let mut resets = Vec::new();
        for reset in &self.resets {
            let bits = e.bits(&reset.bits)?;
            resets.push(format!(
                "ResetBits {{ bits: {bits}, what: ResetScope::{:?} }}",
                reset.what
            ));
        }
        Ok(format!(
            "Registers {{ uart: {}, spi: {}, usb_jtag: {}, timer_groups: {}, systimer: {}, \
             frc: {}, rtc_watchdog: {}, interrupts: {}, apb: {}, pll: {}, cpu: {}, resets: &[{}], \
             reset_cause: {}, causes: &{:?}, random: &{:?}, mirrors: {}, stored: {}, initial: &{:?}, ones: {}, \
             zeros: {} }}",
            e.uart(&self.uart)?,
            e.spi(&self.spi)?,
            option(self.usb_jtag.as_ref(), |u| format!(
                "UsbJtagRegisters {{ base: {:#x}, source: {} }}",
                u.base, u.source
            )),
            list(&self.timer_groups, |g| format!(
                "TimerGroupRegisters {{ base: {:#x}, timers: {}, interrupts: {:#x}, sources: &{:?}, \
                 causes: {:?} }}",
                g.base, g.timers, g.interrupts, g.sources, g.causes
            )),
            option(self.systimer.as_ref(), |s| format!(
                "SystimerRegisters {{ base: {:#x}, single: {}, mhz: {}, source: {} }}",
                s.base, s.single, s.mhz, s.source
            )),
            option(self.frc.as_ref(), |f| format!(
                "FrcRegisters {{ base: {:#x}, watchdog: {:#x}, lines: {:?} }}",
                f.base, f.watchdog, f.lines
            )),
            option(self.rtc_watchdog.as_ref(), |w| format!(
                "WatchdogRegisters {{ config0: {:#x}, protect: {:#x}, key: {:#x} }}",
                w.config0, w.protect, w.key
            )),
            option(self.interrupts.as_ref(), |i| format!(
                "InterruptRegisters {{ matrix: {:#x}, sources: {}, status: {:?}, \
                 controller: InterruptController::{} }}",
                i.matrix,
                i.sources,
                i.status,
                match i.controller {
                    Controller::Lines => "Lines".to_owned(),
                    Controller::Priorities(base) => format!("Priorities({base:#x})"),
                    Controller::Clic(base) => format!("Clic({base:#x})"),
                }
            )),
            e.clock(self.apb.as_ref())?,
            e.clock(self.pll.as_ref())?,
            e.clock(self.cpu.as_ref())?,
            resets.join(", "),
            e.option(self.reset_cause.as_ref())?,
            self.causes,
            self.random,
            list(&self.mirrors, |(start, end, shows)| format!(
                "({start:#x}..{end:#x}, {shows:#x})"
            )),
            list(&self.stored, |(start, end)| format!(
                "Range {{ start: {start:#x}, end: {end:#x} }}"
            )),
            self.initial,
            e.list(&self.ones)?,
            e.list(&self.zeros)?,
        ))
    }
}

struct Emit<'a>(&'a Blocks);

impl Emit<'_> {
    fn bits(&self, runs: &Runs) -> Result<String, String> {
        let Bits { addr, lsb, width } = runs.parse_one(self.0)?;
        Ok(format!(
            "Bits {{ addr: {addr:#x}, lsb: {lsb}, width: {width} }}"
        ))
    }

    fn option(&self, runs: Option<&Runs>) -> Result<String, String> {
        Ok(match runs {
            None => "None".to_owned(),
            Some(runs) => format!("Some({})", self.bits(runs)?),
        })
    }

    fn list(&self, all: &[Runs]) -> Result<String, String> {
        let all: Result<Vec<_>, _> = all.iter().map(|runs| self.bits(runs)).collect();
        Ok(format!("&[{}]", all?.join(", ")))
    }

    fn clock(&self, clock: Option<&Clock>) -> Result<String, String> {
        let Some(clock) = clock else {
            return Ok("None".to_owned());
        };
        let from = list(&clock.from, |source| match source {
            Source::Mhz(mhz) => format!("ClockSource::Mhz({mhz})"),
            Source::Multiple { crystal } => format!("ClockSource::Multiple({crystal})"),
            Source::Named(name) => format!("ClockSource::{name:?}"),
        });
        Ok(format!(
            "Some(ClockSelect {{ select: {}, from: {from}, divide: {} }})",
            self.bits(&clock.select)?,
            self.option(clock.divide.as_ref())?,
        ))
    }

    fn uart(&self, u: &Uart) -> Result<String, String> {
        Ok(format!(
            "UartRegisters {{ source: {}, rx_full: {}, tx_empty: {}, timeout_on: {}, timeout: {}, \
             timeout_unit: {}, rx_reset: {}, tx_reset: {}, tx_state: {}, update: {}, latches: {}, \
             autobaud: AutobaudRegisters {{ on: {}, low: {:#x}, high: {:#x}, edges: {:#x} }}, \
             tx_done: {}, clock: {}, constants: &{:?}, initial: &{:?}, len: {:#x} }}",
            u.source,
            self.bits(&u.rx_full)?,
            self.bits(&u.tx_empty)?,
            self.bits(&u.timeout_on)?,
            self.bits(&u.timeout)?,
            u.timeout_unit,
            self.bits(&u.rx_reset)?,
            self.bits(&u.tx_reset)?,
            self.option(u.tx_state.as_ref())?,
            self.option(u.update.as_ref())?,
            u.latches,
            self.bits(&u.autobaud.on)?,
            u.autobaud.low,
            u.autobaud.high,
            u.autobaud.edges,
            u.tx_done,
            self.clock(u.clock.as_ref())?,
            u.constants,
            u.initial,
            u.len,
        ))
    }

    fn spi(&self, s: &Spi) -> Result<String, String> {
        Ok(format!(
            "SpiRegisters {{ status: {:#x}, divider: {}, prescaler: {}, undivided: {}, hold: {} }}",
            s.status,
            self.bits(&s.divider)?,
            self.option(s.prescaler.as_ref())?,
            self.bits(&s.undivided)?,
            self.option(s.hold.as_ref())?,
        ))
    }
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    let items: Vec<_> = items.iter().map(one).collect();
    format!("&[{}]", items.join(", "))
}

fn option<T>(item: Option<&T>, one: impl Fn(&T) -> String) -> String {
    item.map_or_else(|| "None".into(), |item| format!("Some({})", one(item)))
}
