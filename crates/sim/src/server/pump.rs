use std::time::Duration;

use guru_link::{Cancel, Instant, SystemClock};

use super::ServeEvent;
use super::port::{Input, Port};
use crate::device::Device;
use crate::options::Pace;
use crate::pace::Pacer;

/// Bytes that wait for the chip before no more are taken from the client.
const MAX_UNSENT: usize = 4096;
/// The same where time is counted: all that a client sends ahead, however it is cut up on its way, so that
/// the line does not stand still for want of what was sent long ago.
const MAX_AHEAD: usize = 256 * 1024;
/// Bytes for the client that are gathered at the most before they are handed over.
const MAX_GATHERED: usize = 64 * 1024;
/// How long a client that was sent the end of a packet may think before time goes on without it,
/// where its own time is not counted.
const THINKING: Duration = Duration::from_millis(200);
/// The same while the chip's next words are on their way already, as the other answers to a SYNC are:
/// they do not depend on what the client says.
const GLANCE: Duration = Duration::from_millis(10);
/// How long, in real time, a client whose own time is not counted says nothing before it counts as
/// waiting for a program that goes on by itself: for the digest of a whole flash, say.
const SILENCE: Duration = Duration::from_millis(500);
/// How long, in real time, a client waits at the most for what the chip has said, and to be heard, while
/// the chip goes on: a program that polls does so until its patience is over.
const TURN: Duration = Duration::from_millis(5);
/// The shortest wait for a client.
const MOMENT: Duration = Duration::from_millis(1);
const DELIMITER: u8 = 0xC0;

/// Carries bytes between a client and the chip, and makes time pass for it.
pub(super) struct Pump {
    device: Device,
    pacer: Pacer,
    pace: Pace,
    cancel: Cancel,
    /// Real time, and when something came from the client.
    clock: SystemClock,
    heard: Instant,
    /// The last byte that the client was sent.
    last: Option<u8>,
}

impl Pump {
    pub fn new(device: Device, pace: Option<Pace>, cancel: Cancel) -> Self {
        Self {
            device,
            pacer: match pace {
                Some(Pace::Counted) => Pacer::counting(),
                _ => Pacer::start(),
            },
            pace: pace.unwrap_or(Pace::Real),
            cancel,
            clock: SystemClock::start(),
            heard: Instant::default(),
            last: None,
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// A new client finds the chip fresh.
    pub fn restart(&mut self) {
        let now = self.now();
        self.device.restart(now);
    }

    /// A new client finds the chip as the last one left it.
    pub fn reconnect(&mut self) {
        let now = self.now();
        self.device.reconnect(now);
    }

    /// Whether the chip's port can be connected to.
    #[cfg(unix)]
    pub fn is_on_bus(&self) -> bool {
        self.device.is_on_bus(self.now())
    }

    /// Waits until it can, or the server shall end.
    #[cfg(unix)]
    pub fn wait_for_bus(&mut self) {
        while !self.is_on_bus() && !self.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
            self.device.advance(self.now());
        }
    }

    /// Serves one client until it is gone, a fault cuts it off, or the server shall end.
    pub fn run<P: Port>(&mut self, port: &mut P, events: &mut dyn FnMut(ServeEvent)) {
        let mut inputs = Vec::new();
        let begin = self.now();
        while !self.cancel.is_cancelled() {
            let Some(wait) = self.deliver(port, events) else {
                break;
            };
            if !self.device.is_connected() {
                break;
            }
            let most = match self.pace {
                Pace::Counted => MAX_AHEAD,
                _ => MAX_UNSENT,
            };
            if self.device.unsent() > most {
                std::thread::sleep(wait.min(Duration::from_millis(5)));
                continue;
            }
            if port.read(wait, &mut inputs).is_err() {
                break;
            }
            if !inputs.is_empty() {
                self.heard = self.clock.now();
            }
            for input in inputs.drain(..) {
                self.take::<P>(input);
            }
        }
        self.report(events);
        let took = self.now() - begin;
        events(ServeEvent::Disconnected { took });
    }

    /// Hands over what the chip has said by now, and tells how long the client may be waited for.
    /// `None`: it is gone.
    fn deliver<P: Port>(
        &mut self,
        port: &mut P,
        events: &mut dyn FnMut(ServeEvent),
    ) -> Option<Duration> {
        let mut output = Vec::new();
        let begun = self.clock.now();
        let mut has_more = false;
        self.poll(&mut output);
        while self.pace != Pace::Real && output.len() < MAX_GATHERED && !self.is_answered(&output) {
            let Some(next) = self.device.next_event() else {
                break;
            };
            if next.idle && !self.is_waited_for() {
                break;
            }
            // Counted time has no turns but where it goes on for want of anything else.
            let takes_turns = self.pace == Pace::Fast || next.idle;
            has_more = takes_turns && self.clock.now() - begun > TURN;
            if has_more {
                break;
            }
            self.pacer.skip_to(next.at);
            self.poll(&mut output);
        }
        self.report(events);
        let is_answered = self.is_answered(&output);
        if !output.is_empty() {
            self.last = output.last().copied();
            port.write(&output).ok()?;
        }
        Some(if is_answered && self.device.unheard() > 0 {
            GLANCE
        } else if is_answered {
            THINKING
        } else if has_more {
            Duration::ZERO
        } else {
            let next = self.device.next_event();
            next.map_or(Cancel::POLL, |next| {
                (next.at - self.now()).clamp(MOMENT, Cancel::POLL)
            })
        })
    }

    /// Whether these bytes may be what the client waited for, so that what the chip does next may
    /// depend on it: they end a packet, and do not begin one.
    fn is_answered(&self, output: &[u8]) -> bool {
        let (last, before) = match output {
            [.., before, last] => (Some(*last), Some(*before)),
            [last] => (Some(*last), self.last),
            [] => (None, None),
        };
        self.pace == Pace::Counted && last == Some(DELIMITER) && before != Some(DELIMITER)
    }

    /// Whether the client waits, in silence, for a program that nobody is known to wait for.
    fn is_waited_for(&self) -> bool {
        let silent = self.clock.now() - self.heard > SILENCE;
        self.pace == Pace::Counted && silent && self.device.is_executing()
    }

    fn poll(&mut self, output: &mut Vec<u8>) {
        let now = self.now();
        let device = &mut self.device;
        self.pacer.simulate(now, || device.poll(now, output));
    }

    fn take<P: Port>(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Data(data) => {
                // A client whose end cannot be seen has left the chip out of its loader.
                let at_work = self.device.in_loader() || self.device.talks_with_program();
                if P::SHARED && self.device.is_held_in_loader() && !at_work {
                    self.device.restart(now);
                }
                self.device.write(now, &data);
            }
            Input::Baud(baud) => self.device.set_baud(now, baud),
            Input::Reset { download } => self.device.pulse_reset(now, download),
            Input::Purge => self.device.discard(),
        }
    }

    fn report(&mut self, events: &mut dyn FnMut(ServeEvent)) {
        for event in self.device.take_events() {
            events(ServeEvent::Chip(event));
        }
    }

    fn now(&self) -> Instant {
        self.pacer.now()
    }
}
