//! Into the loader: resets, and SYNC until it is answered.

use std::time::Duration;

use guru_link::{Link, LinkError, PortInfo, ResetSequence};

use crate::boot_log::{BootLog, what_is};
use crate::channel::{Channel, Fault, Synced};
use crate::recover::{AWAY, wait_for_port};
use crate::usb::{espressif_product, is_serial_jtag};
use crate::{Before, ConnectFailure, ConnectOptions, Error, Event, Notice, Observer};

/// Tries of SYNC after each reset.
const SYNC_TRIES: u32 = 5;

/// Pause between tries of SYNC.
const SYNC_PAUSE: Duration = Duration::from_millis(50);

/// How long GPIO0 is held low after reset: enough for most boards, and for those with a large
/// capacitor at EN.
const RESET_DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(550)];

/// Resets the chip into its loader and waits for an answer to SYNC.
pub(crate) async fn synchronize<L: Link>(
    channel: &mut Channel<L>,
    options: &ConnectOptions,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    match options.before {
        Before::NoResetNoSync => {
            observer.event(Event::Notice(Notice::NoReset));
            return Ok(());
        }
        Before::NoReset => observer.event(Event::Notice(Notice::NoReset)),
        Before::DefaultReset | Before::UsbReset => {}
    }
    let mut entry = Entry {
        strategies: strategies(channel.link(), options),
        log: BootLog::default(),
        seen: None,
        stub: false,
    };
    let mut attempt = 0_u32;
    loop {
        entry.stub = false;
        if entry.attempt(channel, attempt, options, observer).await? {
            return Ok(());
        }
        attempt += 1;
        if options.attempts.is_some_and(|attempts| attempt >= attempts) {
            let info = channel.link().info();
            let reason = match entry.log.verdict().or(entry.seen) {
                _ if entry.stub => ConnectFailure::StubRunning,
                Some(ConnectFailure::TxPathDown) if espressif_product(info).is_some() => {
                    ConnectFailure::UsbDownloadDisabled
                }
                Some(reason) => reason,
                None => ConnectFailure::Silence,
            };
            return Err(Error::Connect {
                port: info.name.clone(),
                chip: options.chip,
                baud: channel.link().baud(),
                reason,
            });
        }
        observer.event(Event::ConnectAttempt { attempt });
    }
}

/// What is tried, and what was heard.
struct Entry {
    /// Reset sequences, in turn.
    strategies: Vec<ResetSequence>,
    log: BootLog,
    /// What came last in place of an answer.
    seen: Option<ConnectFailure>,
    /// A flasher stub has answered in this attempt.
    stub: bool,
}

impl Entry {
    /// One reset and a few tries of SYNC: whether a ROM loader answers.
    async fn attempt<L: Link>(
        &mut self,
        channel: &mut Channel<L>,
        attempt: u32,
        options: &ConnectOptions,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let entered = match self.reset(channel, attempt, observer).await {
            Ok(()) => self.syncs(channel).await,
            Err(error) => Err(error),
        };
        let error = match entered {
            Err(error) if error.is_lost() && !channel.link().info().capabilities.network => error,
            entered => return Ok(entered?),
        };
        // The chip's own USB leaves the bus with the reset. Once it is back the chip is in its
        // loader, and must not be reset again; its port may be another device's now.
        if !wait_for_port(channel, AWAY, observer).await? {
            return Err(error.into());
        }
        if !self.strategies.is_empty() {
            self.strategies = strategies(channel.link(), options);
        }
        match self.syncs(channel).await {
            // It went away again: one more attempt.
            Err(error) if error.is_lost() => Ok(false),
            entered => Ok(entered?),
        }
    }

    async fn reset<L: Link>(
        &mut self,
        channel: &mut Channel<L>,
        attempt: u32,
        observer: &mut dyn Observer,
    ) -> Result<(), LinkError> {
        let turn = attempt as usize % self.strategies.len().max(1);
        let Some(sequence) = self.strategies.get(turn) else {
            return Ok(());
        };
        if !channel.link().info().capabilities.network {
            channel.discard_input().await?;
        }
        match sequence.play(channel.link_mut()).await {
            Ok(()) => {}
            Err(LinkError::NoLines) => {
                let port = channel.link().info().name.clone();
                observer.event(Event::Notice(Notice::NotReset { port }));
                self.strategies.clear();
            }
            Err(error) => return Err(error),
        }
        let quiet = channel.quiet();
        channel.drain(quiet, quiet * 20).await?;
        self.log.take(&channel.take_text());
        Ok(())
    }

    /// Tries SYNC: whether a ROM loader answers.
    async fn syncs<L: Link>(&mut self, channel: &mut Channel<L>) -> Result<bool, LinkError> {
        for _ in 0..SYNC_TRIES {
            if !channel.link().info().capabilities.network {
                channel.discard_input().await?;
            }
            let packets = channel.packets_seen();
            match channel.sync().await {
                Ok(Synced::Stub) => self.stub = true,
                Ok(Synced::Rom) => {
                    let quiet = channel.quiet();
                    channel.drain(quiet, quiet * 10).await?;
                    channel.take_text();
                    return Ok(true);
                }
                Err(Fault::Link(error)) => return Err(error),
                Err(_) => {}
            }
            if channel.in_packet() {
                self.seen = Some(ConnectFailure::CutShort);
            } else if channel.packets_seen() != packets {
                self.seen = Some(ConnectFailure::NoSyncReply);
            }
            let text = channel.take_text();
            self.seen = what_is(&text).or(self.seen.take());
            self.log.take(&text);
            channel.link_mut().sleep(SYNC_PAUSE).await?;
        }
        Ok(false)
    }
}

/// The reset sequences to try, in turn; none: no reset is to be made.
pub(crate) fn strategies<L: Link>(link: &L, options: &ConnectOptions) -> Vec<ResetSequence> {
    let info = link.info();
    if options.before == Before::NoReset {
        return Vec::new();
    }
    if let Some(custom) = &options.reset {
        return vec![custom.clone()];
    }
    if is_serial_jtag(info) || options.before == Before::UsbReset {
        return vec![ResetSequence::usb_serial_jtag()];
    }
    let delays = options.reset_delay.map_or(RESET_DELAYS, |delay| [delay; 2]);
    let mut strategies = Vec::new();
    if info.capabilities.lines_together && !info.capabilities.network {
        strategies.extend(delays.map(ResetSequence::unix_tight));
    }
    strategies.extend(delays.map(ResetSequence::classic));
    if has_flow_control(info) {
        strategies = strategies
            .into_iter()
            .map(ResetSequence::for_flow_control)
            .collect();
    }
    strategies
}

/// Whether the adapter uses DTR or RTS for flow control of its own.
pub(crate) fn has_flow_control(info: &PortInfo) -> bool {
    let usb = info.usb.as_ref();
    usb.and_then(|usb| guru_chip::adapter(usb.vendor, usb.product))
        .is_some_and(|adapter| adapter.lines_flow_control)
}
