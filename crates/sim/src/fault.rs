//! What goes wrong, on purpose.
//!
//! A fault specification is a list of items with commas between them:
//!
//! | item | what happens |
//! |---|---|
//! | `drop:DIR:WHERE` | a byte is lost |
//! | `corrupt:DIR:WHERE` | one bit of a byte is changed |
//! | `duplicate:DIR:WHERE` | a byte arrives twice |
//! | `delay:DIR:WHERE:TIME` | the line pauses before a byte |
//! | `cut:WIRE` | a wire is open: `tx`, `rx`, `en` (RTS to EN) or `boot` (DTR to the boot pin) |
//! | `disconnect:WHEN` | the connection is lost; the chip stays powered |
//! | `unplug:WHEN` | the connection and the chip's supply are lost |
//! | `power-loss:erase@N` | the supply fails in the middle of the Nth erase command of the flash |
//! | `power-loss:program@N` | ... of the Nth program command |
//! | `slow-flash:xN` | the flash takes N times as long as its data sheet says |
//! | `stuck-flash:@N` | from its Nth erase or program command on the flash stays busy for ever |
//! | `stuck-bit:OFFSET.BIT` | a bit of the flash cannot leave 0 |
//! | `no-flash` | no flash answers |
//! | `drift:+P%` | the internal oscillator runs P % fast (`-P%`: slow) |
//! | `after=N` | faults of this specification at a rate begin after N bytes of their direction |
//! | `seed=N` | chooses another sequence of faults at a rate |
//!
//! DIR is `tx` (from the host to the chip), `rx` (from the chip to the host) or `both`. WHERE is a
//! rate such as `1/10000`, or `@POSITION`: once, at that byte of the direction, counted from 0.
//! WHEN is `@BYTES`, both directions together, or a time since the start such as `2.5s`. TIME is
//! `20ms`, `1.5s` or `300us`. Numbers may be written with `0x`.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::rng::Rng;

/// Everything that goes wrong in one simulation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultSpec {
    /// Faults of the line from the host to the chip.
    pub tx: Vec<LineFault>,
    /// Faults of the line from the chip to the host.
    pub rx: Vec<LineFault>,
    /// Wires that are open.
    pub cut: Cut,
    /// When the connection is lost.
    pub disconnects: Vec<Disconnect>,
    /// In which erase command of the flash, from 1, the supply fails.
    pub power_loss_erase: Option<u64>,
    /// In which program command of the flash, from 1, the supply fails.
    pub power_loss_program: Option<u64>,
    /// By how much the flash is slower than its data sheet.
    pub slow_flash: Option<u32>,
    /// From which erase or program command on, from 1, the flash stays busy.
    pub stuck_flash: Option<u64>,
    /// Bits of the flash that cannot leave 0: offset and bit number.
    pub stuck_bits: Vec<(u32, u8)>,
    /// No flash answers.
    pub no_flash: bool,
    /// By how much the internal oscillator is fast, in parts of 1.
    pub drift: f64,
    /// Start of the sequence of faults at a rate.
    pub seed: u64,
}

/// Wires between adapter and chip that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// From the host to the chip.
    pub tx: bool,
    /// From the chip to the host.
    pub rx: bool,
    /// From RTS to EN.
    pub en: bool,
    /// From DTR to the boot pin.
    pub boot: bool,
}

/// A fault of one direction of the line.
#[derive(Debug, Clone, PartialEq)]
pub struct LineFault {
    /// What happens to the byte.
    pub kind: LineFaultKind,
    /// To which byte.
    pub place: Place,
}

/// What happens to a byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LineFaultKind {
    /// It is lost.
    Drop,
    /// One of its bits is changed.
    Corrupt,
    /// It arrives twice.
    Duplicate,
    /// The line pauses before it.
    Delay(Duration),
}

/// Which bytes a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `times` of `of` bytes, from byte number `after` on.
    Rate {
        /// How many.
        times: u32,
        /// Out of how many.
        of: u32,
        /// Bytes that pass unharmed first.
        after: u64,
    },
    /// One byte, counted from 0.
    At(u64),
}

/// A loss of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// When.
    pub when: When,
    /// Whether the chip loses its supply too.
    pub supply: bool,
}

/// A moment of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as this many bytes have passed, both directions together.
    Bytes(u64),
    /// This long after the start.
    Time(Duration),
}

/// Why a text is not a fault specification.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{item}' is not a fault: {reason}")]
pub struct FaultError {
    /// The item that cannot be read.
    pub item: String,
    /// What would be right.
    pub reason: &'static str,
}

impl FaultSpec {
    /// Adds the faults of another specification.
    pub fn merge(&mut self, other: Self) {
        self.tx.extend(other.tx);
        self.rx.extend(other.rx);
        self.cut.tx |= other.cut.tx;
        self.cut.rx |= other.cut.rx;
        self.cut.en |= other.cut.en;
        self.cut.boot |= other.cut.boot;
        self.disconnects.extend(other.disconnects);
        self.power_loss_erase = other.power_loss_erase.or(self.power_loss_erase);
        self.power_loss_program = other.power_loss_program.or(self.power_loss_program);
        self.slow_flash = other.slow_flash.or(self.slow_flash);
        self.stuck_flash = other.stuck_flash.or(self.stuck_flash);
        self.stuck_bits.extend(other.stuck_bits);
        self.no_flash |= other.no_flash;
        if other.drift != 0.0 {
            self.drift = other.drift;
        }
        if other.seed != 0 {
            self.seed = other.seed;
        }
    }

    fn add(&mut self, item: &str) -> Result<(), &'static str> {
        let (name, rest) = item.split_once(':').unwrap_or((item, ""));
        match name {
            "drop" => self.add_line(LineFaultKind::Drop, rest)?,
            "corrupt" => self.add_line(LineFaultKind::Corrupt, rest)?,
            "duplicate" => self.add_line(LineFaultKind::Duplicate, rest)?,
            "delay" => {
                let form = "write delay:tx|rx|both:WHERE:TIME";
                let (place, time) = rest.rsplit_once(':').ok_or(form)?;
                let time = parse_time(time).ok_or("the time is written 20ms, 1.5s or 300us")?;
                self.add_line(LineFaultKind::Delay(time), place)?;
            }
            "cut" => match rest {
                "tx" => self.cut.tx = true,
                "rx" => self.cut.rx = true,
                "en" => self.cut.en = true,
                "boot" => self.cut.boot = true,
                _ => return Err("write cut:tx, cut:rx, cut:en or cut:boot"),
            },
            "disconnect" | "unplug" => {
                let when = parse_when(rest).ok_or("write @BYTES or a time such as 2.5s")?;
                self.disconnects.push(Disconnect {
                    when,
                    supply: name == "unplug",
                });
            }
            "power-loss" => {
                let form = "write power-loss:erase@N or power-loss:program@N, N from 1 on";
                let (what, count) = rest.split_once('@').ok_or(form)?;
                let count = parse_number(count).filter(|count| *count > 0).ok_or(form)?;
                match what {
                    "erase" => self.power_loss_erase = Some(count),
                    "program" => self.power_loss_program = Some(count),
                    _ => return Err(form),
                }
            }
            "slow-flash" => {
                let factor = rest.strip_prefix('x').and_then(|text| text.parse().ok());
                let factor = factor.filter(|factor| (1..=10_000).contains(factor));
                self.slow_flash = Some(factor.ok_or("write slow-flash:xN, N from 1 to 10000")?);
            }
            "stuck-flash" => {
                let count = rest.strip_prefix('@').and_then(parse_number);
                let count = count.filter(|count| *count > 0);
                self.stuck_flash = Some(count.ok_or("write stuck-flash:@N, N from 1 on")?);
            }
            "stuck-bit" => {
                let form = "write stuck-bit:OFFSET.BIT, BIT from 0 to 7";
                let (offset, bit) = rest.split_once('.').ok_or(form)?;
                let offset = parse_number(offset).and_then(|offset| offset.try_into().ok());
                let bit = bit.parse().ok().filter(|bit| *bit < 8);
                self.stuck_bits
                    .push((offset.ok_or(form)?, bit.ok_or(form)?));
            }
            "no-flash" if rest.is_empty() => self.no_flash = true,
            "drift" => {
                let percent = rest.strip_suffix('%').and_then(|text| text.parse().ok());
                let percent = percent.filter(|percent: &f64| percent.abs() < 50.0);
                self.drift = percent.ok_or("write drift:+P%, less than 50 % either way")? / 100.0;
            }
            _ => return Err("no such fault"),
        }
        Ok(())
    }

    fn add_line(&mut self, kind: LineFaultKind, text: &str) -> Result<(), &'static str> {
        let form = "write KIND:tx|rx|both:WHERE";
        let (direction, place) = text.split_once(':').ok_or(form)?;
        let place = parse_place(place).ok_or("WHERE is a rate such as 1/10000, or @POSITION")?;
        let fault = LineFault { kind, place };
        match direction {
            "tx" => self.tx.push(fault),
            "rx" => self.rx.push(fault),
            "both" => {
                self.tx.push(fault.clone());
                self.rx.push(fault);
            }
            _ => return Err("the direction is tx, rx or both"),
        }
        Ok(())
    }
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut spec = Self::default();
        let mut begin_after = 0;
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let error = |reason| FaultError {
                item: item.to_owned(),
                reason,
            };
            if let Some(number) = item.strip_prefix("after=") {
                begin_after = parse_number(number).ok_or(error("after=N takes a number"))?;
            } else if let Some(number) = item.strip_prefix("seed=") {
                spec.seed = parse_number(number).ok_or(error("seed=N takes a number"))?;
            } else {
                spec.add(item).map_err(error)?;
            }
        }
        for fault in spec.tx.iter_mut().chain(&mut spec.rx) {
            if let Place::Rate { after, .. } = &mut fault.place {
                *after = begin_after;
            }
        }
        Ok(spec)
    }
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn parse_place(text: &str) -> Option<Place> {
    if let Some(position) = text.strip_prefix('@') {
        return parse_number(position).map(Place::At);
    }
    let (times, of) = text.split_once('/')?;
    let (times, of) = (times.parse().ok()?, of.parse().ok()?);
    (times <= of && of > 0).then_some(Place::Rate {
        times,
        of,
        after: 0,
    })
}

fn parse_when(text: &str) -> Option<When> {
    match text.strip_prefix('@') {
        Some(bytes) => parse_number(bytes).map(When::Bytes),
        None => parse_time(text).map(When::Time),
    }
}

/// A time with its unit: `20ms`, `1.5s`, `300us`.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1e-3)
    } else if let Some(number) = text.strip_suffix("us") {
        (number, 1e-6)
    } else {
        (text.strip_suffix('s')?, 1.0)
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// One direction of the line, with what happens to the bytes that pass.
#[derive(Debug)]
pub(crate) struct Line {
    faults: Vec<LineFault>,
    rng: Rng,
    passed: u64,
}

/// A run of bytes that come without a pause, and the pause before it.
pub(crate) struct Run {
    pub pause: Duration,
    pub bytes: Vec<u8>,
}

impl Line {
    pub fn new(faults: &[LineFault], seed: u64) -> Self {
        Self {
            faults: faults.to_vec(),
            rng: Rng::new(seed),
            passed: 0,
        }
    }

    /// Bytes that have passed so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// What becomes of bytes on their way.
    pub fn pass(&mut self, bytes: Vec<u8>) -> Vec<Run> {
        let mut runs = vec![Run {
            pause: Duration::ZERO,
            bytes: Vec::new(),
        }];
        if self.faults.is_empty() {
            self.passed += bytes.len() as u64;
            runs[0].bytes = bytes;
            return runs;
        }
        for mut byte in bytes {
            let (mut copies, mut pause) = (1, Duration::ZERO);
            for fault in &self.faults {
                let strikes = match fault.place {
                    Place::At(position) => position == self.passed,
                    Place::Rate { times, of, after } => {
                        self.passed >= after && self.rng.chance(times, of)
                    }
                };
                if !strikes {
                    continue;
                }
                match fault.kind {
                    LineFaultKind::Drop => copies = 0,
                    LineFaultKind::Corrupt => byte ^= 1 << (self.rng.next() % 8),
                    LineFaultKind::Duplicate => copies = 2,
                    LineFaultKind::Delay(time) => pause += time,
                }
            }
            self.passed += 1;
            if pause > Duration::ZERO {
                runs.push(Run {
                    pause,
                    bytes: Vec::new(),
                });
            }
            if let Some(run) = runs.last_mut() {
                run.bytes.extend(std::iter::repeat_n(byte, copies));
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_reads_as_written() {
        let spec: FaultSpec = "corrupt:rx:1/10000, drop:tx:@5000,delay:both:@0x10:20ms,\
            power-loss:erase@3,slow-flash:x20,stuck-bit:0x1000.7,drift:-6%,disconnect:2.5s,\
            after=100,seed=7"
            .parse()
            .unwrap();
        let rate = Place::Rate {
            times: 1,
            of: 10_000,
            after: 100,
        };
        assert_eq!(spec.rx[0].place, rate);
        assert_eq!(spec.tx[0].place, Place::At(5000));
        assert_eq!(
            spec.tx[1].kind,
            LineFaultKind::Delay(Duration::from_millis(20))
        );
        assert_eq!(spec.power_loss_erase, Some(3));
        assert_eq!(spec.slow_flash, Some(20));
        assert_eq!(spec.stuck_bits, [(0x1000, 7)]);
        assert_eq!(spec.drift, -0.06);
        assert_eq!(spec.seed, 7);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for bad in [
            "explode",
            "drop",
            "drop:up:1/2",
            "drop:tx:3/2",
            "drop:tx:1/0",
            "corrupt:rx:x",
            "delay:tx:1/2",
            "delay:tx:1/2:soon",
            "power-loss:@1",
            "power-loss:erase@0",
            "slow-flash:20",
            "stuck-bit:1.8",
            "drift:90%",
            "drift:NaN%",
            "disconnect:@",
            "seed=x",
        ] {
            let error = bad.parse::<FaultSpec>().unwrap_err();
            assert_eq!(error.item, bad);
        }
    }

    #[test]
    fn a_fault_at_a_position_strikes_once() {
        let spec: FaultSpec = "drop:tx:@2,duplicate:tx:@4,delay:tx:@6:1ms"
            .parse()
            .unwrap();
        let mut line = Line::new(&spec.tx, 0);
        let runs = line.pass((0..8).collect());
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0].bytes, [0, 1, 3, 4, 4, 5]);
        assert_eq!(runs[1].bytes, [6, 7]);
        assert_eq!(line.pass((0..8).collect())[0].bytes.len(), 8);
    }

    #[test]
    fn a_rate_is_met_and_the_seed_repeats_it() {
        let spec: FaultSpec = "corrupt:tx:1/100,after=1000".parse().unwrap();
        let damage = |seed| {
            let bytes = Line::new(&spec.tx, seed)
                .pass(vec![0; 100_000])
                .remove(0)
                .bytes;
            assert!(bytes[..1000].iter().all(|byte| *byte == 0));
            bytes.iter().filter(|byte| **byte != 0).count()
        };
        assert_eq!(damage(1), damage(1));
        assert!((800..1200).contains(&damage(1)));
    }
}
