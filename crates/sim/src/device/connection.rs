//! The connection to the host: whether it holds, and the faults that end it.

use guru_link::{Instant, UsbId};

use super::{Device, Phase, nanos};
use crate::event::Event;
use crate::fault::{Disconnect, When};

impl Device {
    /// Whether the connection holds.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Connects again after a loss, or for another client. What came in between was not heard.
    pub fn reconnect(&mut self, now: Instant) {
        self.advance(now);
        if self.is_on_bus(now) {
            self.connected = true;
            self.discard();
        }
    }

    /// Whether there is a port to connect to. A chip's own USB device is away after a reset.
    pub fn is_on_bus(&self, now: Instant) -> bool {
        self.bus.is_there(nanos(now))
    }

    /// What a port list shows of it now, and what its name has gained by coming back.
    pub(crate) fn usb_id(&self, serial: &str) -> (UsbId, String) {
        let in_loader = !self.bus.comes_and_goes() || matches!(self.phase, Phase::Download { .. });
        let id = crate::usb::id(self.chip, self.usb, serial, in_loader);
        (id, self.bus.suffix())
    }

    /// Throws away what is on its way to the host.
    pub fn discard(&mut self) {
        while let Some(due) = self.delivery_at().filter(|due| *due <= self.now) {
            if self.to_host.take(due, None).is_none() {
                break;
            }
        }
    }

    pub(super) fn check_disconnects(&mut self) {
        let bytes = self.stats.bytes_to_chip + self.stats.bytes_to_host;
        let now = self.now;
        let due = |disconnect: &Disconnect| match disconnect.when {
            When::Bytes(count) => bytes >= count,
            When::Time(time) => u128::from(now) >= time.as_nanos(),
        };
        let supply = self.disconnects.iter().any(|one| due(one) && one.supply);
        let before = self.disconnects.len();
        self.disconnects.retain(|one| !due(one));
        if self.disconnects.len() < before {
            self.connected = false;
            self.to_host.clear();
            self.to_chip.clear();
            self.events.push(Event::Disconnected);
            if supply {
                self.lose_power();
            }
        }
    }
}
