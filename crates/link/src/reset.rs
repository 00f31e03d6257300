use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::{Lines, Link, LinkError};

/// A pulse train on DTR and RTS. Its text form is that of the configuration file:
/// `D0|R1|W0.1|D1|R0|W0.05|D0`, where `U<dtr>,<rts>` sets both at once. Letters are in any case, and
/// empty steps are passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct ResetSequence(pub Vec<Step>);

/// One step of a reset sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Sets lines.
    Set(Lines),
    /// Waits.
    Wait(Duration),
}

/// Why a text is not a reset sequence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{step}' is not a step of a reset sequence; write D0, D1, R0, R1, U<dtr>,<rts> or W<seconds>, separated by '|'"
)]
pub struct ResetSequenceError {
    /// The step that cannot be read.
    pub step: String,
}

const SETTLE: Duration = Duration::from_millis(100);

impl ResetSequence {
    /// Into the ROM loader by the usual two-transistor circuit, one line at a time. `delay` is
    /// how long GPIO0 stays low after EN has risen.
    pub fn classic(delay: Duration) -> Self {
        use Step::{Set, Wait};
        Self(vec![
            Set(Lines::dtr(false)),
            Set(Lines::rts(true)),
            Wait(SETTLE),
            Set(Lines::dtr(true)),
            Set(Lines::rts(false)),
            Wait(delay),
            Set(Lines::dtr(false)),
        ])
    }

    /// As [`classic`](Self::classic), with both lines in one system call, so that no driver or
    /// hub comes between them.
    pub fn unix_tight(delay: Duration) -> Self {
        use Step::{Set, Wait};
        Self(vec![
            Set(Lines::both(false, false)),
            Set(Lines::both(true, true)),
            Set(Lines::both(false, true)),
            Wait(SETTLE),
            Set(Lines::both(true, false)),
            Wait(delay),
            Set(Lines::both(false, false)),
            Set(Lines::dtr(false)),
        ])
    }

    /// Into the ROM loader by the USB-Serial/JTAG peripheral, which must not pass through
    /// (0, 0) while RTS rises.
    pub fn usb_serial_jtag() -> Self {
        use Step::{Set, Wait};
        Self(vec![
            Set(Lines::rts(false)),
            Set(Lines::dtr(false)),
            Wait(SETTLE),
            Set(Lines::dtr(true)),
            Set(Lines::rts(false)),
            Wait(SETTLE),
            Set(Lines::rts(true)),
            Set(Lines::dtr(false)),
            Set(Lines::rts(true)),
            Wait(SETTLE),
            Set(Lines::dtr(false)),
            Set(Lines::rts(false)),
        ])
    }

    /// A pulse on EN: the application starts. Over USB the peripheral needs more time.
    pub fn hard(usb: bool) -> Self {
        use Step::{Set, Wait};
        let pulse = if usb { SETTLE * 2 } else { SETTLE };
        let mut steps = vec![Set(Lines::rts(true)), Wait(pulse), Set(Lines::rts(false))];
        if usb {
            steps.push(Wait(pulse));
        }
        Self(steps)
    }

    /// As it is to be played into the ROM loader through an adapter whose flow control uses the
    /// lines (CP2102C): without what follows the last wait, because releasing DTR after the chip
    /// has started would reset it again.
    #[must_use]
    pub fn for_flow_control(mut self) -> Self {
        let waits = |step: &Step| matches!(step, Step::Wait(_));
        if let Some(last) = self.0.iter().rposition(waits) {
            self.0.truncate(last + 1);
        }
        self
    }

    /// A pulse on EN through an adapter whose flow control uses the lines (CP2102C): DTR is
    /// asserted before EN rises and stays so, because closing the port pulls RTS.
    pub fn hard_with_flow_control() -> Self {
        use Step::{Set, Wait};
        Self(vec![
            Set(Lines::dtr(false)),
            Set(Lines::rts(true)),
            Wait(SETTLE),
            Set(Lines::dtr(true)),
            Wait(SETTLE),
            Set(Lines::rts(false)),
        ])
    }

    /// Plays the sequence.
    pub async fn play(&self, link: &mut impl Link) -> Result<(), LinkError> {
        for step in &self.0 {
            match *step {
                Step::Set(lines) => link.set_lines(lines).await?,
                Step::Wait(time) => link.sleep(time).await?,
            }
        }
        Ok(())
    }
}

impl FromStr for ResetSequence {
    type Err = ResetSequenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('|')
            .map(str::trim)
            .filter(|step| !step.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Step {
    type Err = ResetSequenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ResetSequenceError {
            step: text.to_owned(),
        };
        let level = |text: &str| match text.trim() {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(error()),
        };
        let mut chars = text.chars();
        let kind = chars.next().ok_or_else(error)?;
        let value = chars.as_str();
        Ok(match kind.to_ascii_uppercase() {
            'D' => Self::Set(Lines::dtr(level(value)?)),
            'R' => Self::Set(Lines::rts(level(value)?)),
            'U' => {
                let (dtr, rts) = value.split_once(',').ok_or_else(error)?;
                Self::Set(Lines::both(level(dtr)?, level(rts)?))
            }
            'W' => {
                let seconds: f64 = value.parse().map_err(|_| error())?;
                Self::Wait(Duration::try_from_secs_f64(seconds).map_err(|_| error())?)
            }
            _ => return Err(error()),
        })
    }
}

impl fmt::Display for ResetSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("|")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Set(Lines {
                dtr: Some(dtr),
                rts: Some(rts),
            }) => {
                write!(f, "U{},{}", u8::from(dtr), u8::from(rts))
            }
            Self::Set(Lines {
                dtr: Some(dtr),
                rts: None,
            }) => write!(f, "D{}", u8::from(dtr)),
            Self::Set(Lines {
                dtr: None,
                rts: Some(rts),
            }) => write!(f, "R{}", u8::from(rts)),
            Self::Set(Lines {
                dtr: None,
                rts: None,
            }) => Ok(()),
            Self::Wait(time) => write!(f, "W{}", time.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_sequence_reads_as_users_write_it() {
        let text = "D0|R1|W0.1|D1|R0|W0.05|D0";
        let sequence: ResetSequence = text.parse().unwrap();
        assert_eq!(sequence, ResetSequence::classic(Duration::from_millis(50)));
        assert_eq!(sequence.to_string(), text);
    }

    #[test]
    fn both_lines_at_once_have_a_step_of_their_own() {
        let sequence: ResetSequence = "U1,0|W0.5".parse().unwrap();
        assert_eq!(sequence.0[0], Step::Set(Lines::both(true, false)));
    }

    #[test]
    fn letters_are_in_any_case_and_empty_steps_are_passed_over() {
        let sequence: ResetSequence = " d0 | |r1|w.5|u1, 0|".parse().unwrap();
        assert_eq!(sequence.to_string(), "D0|R1|W0.5|U1,0");
        assert_eq!("".parse(), Ok(ResetSequence(Vec::new())));
    }

    #[test]
    fn with_flow_control_nothing_is_released_after_the_chip_has_started() {
        let delay = Duration::from_millis(50);
        let classic = ResetSequence::classic(delay).for_flow_control();
        assert_eq!(classic.to_string(), "D0|R1|W0.1|D1|R0|W0.05");
        let tight = ResetSequence::unix_tight(delay).for_flow_control();
        assert_eq!(tight.to_string(), "U0,0|U1,1|U0,1|W0.1|U1,0|W0.05");
        let hard = ResetSequence::hard_with_flow_control();
        assert_eq!(hard.to_string(), "D0|R1|W0.1|D1|W0.1|R0");
    }

    #[test]
    fn a_malformed_step_is_named() {
        for bad in ["D", "D2", "X1", "U1", "W-1", "Wnan", "D0,R1"] {
            assert!(bad.parse::<ResetSequence>().is_err(), "{bad:?}");
        }
        let error = "D0|R7".parse::<ResetSequence>().unwrap_err();
        assert_eq!(error.step, "R7");
    }
}
