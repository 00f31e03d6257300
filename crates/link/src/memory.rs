//! A link in memory, for tests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::{Capabilities, Instant, Lines, Link, LinkError, PortInfo};

/// A clock that goes when it is told to.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<Time>>);

#[derive(Debug, Default)]
struct Time {
    now: Instant,
    jumps: bool,
}

impl ManualClock {
    /// A clock that jumps: who waits for a moment is there at once. It suits a test in which
    /// nothing happens beside the link that waits.
    pub fn jumping() -> Self {
        let clock = Self::default();
        lock(&clock.0).jumps = true;
        clock
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        lock(&self.0).now
    }

    /// Goes on by `time`.
    pub fn advance(&self, time: Duration) {
        let mut state = lock(&self.0);
        state.now = state.now + time;
    }

    /// Whether a moment has come; a jumping clock sees to it.
    fn reaches(&self, moment: Instant) -> bool {
        let mut time = lock(&self.0);
        if time.jumps {
            time.now = time.now.max(moment);
        }
        time.now >= moment
    }
}

/// One end of a link in memory. What one end writes the other one reads; lines and baud rate that
/// one end sets can be looked at from the other.
///
/// A read that finds nothing is [`Poll::Pending`] until something comes or the clock gets to its
/// deadline, so the ends may be on two threads, or in two futures that are polled in turn.
#[derive(Debug)]
pub struct MemoryLink {
    info: PortInfo,
    clock: ManualClock,
    ours: Arc<Mutex<End>>,
    theirs: Arc<Mutex<End>>,
}

/// What one end has done, and what waits for it.
#[derive(Debug)]
struct End {
    input: VecDeque<u8>,
    baud: u32,
    lines: (bool, bool),
    open: bool,
}

impl MemoryLink {
    /// Two ends, with both lines released.
    pub fn pair(clock: &ManualClock, capabilities: Capabilities, baud: u32) -> (Self, Self) {
        let end = || {
            Arc::new(Mutex::new(End {
                input: VecDeque::new(),
                baud,
                lines: (false, false),
                open: true,
            }))
        };
        let (near, far) = (end(), end());
        let link = |name: &str, ours: &Arc<Mutex<End>>, theirs: &Arc<Mutex<End>>| Self {
            info: PortInfo {
                name: name.to_owned(),
                usb: None,
                capabilities,
            },
            clock: clock.clone(),
            ours: Arc::clone(ours),
            theirs: Arc::clone(theirs),
        };
        (
            link("memory://near", &near, &far),
            link("memory://far", &far, &near),
        )
    }

    /// Baud rate that the other end has set, in bits per second.
    pub fn peer_baud(&self) -> u32 {
        lock(&self.theirs).baud
    }

    /// DTR and RTS as the other end has set them.
    pub fn peer_lines(&self) -> (bool, bool) {
        lock(&self.theirs).lines
    }

    fn check_open(&self) -> Result<(), LinkError> {
        match lock(&self.ours).open && lock(&self.theirs).open {
            true => Ok(()),
            false => Err(LinkError::Lost(None)),
        }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        lock(&self.ours).open = false;
    }
}

impl Link for MemoryLink {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        poll_fn(|_| {
            let count = lock(&self.ours).input.read(buffer).map_err(LinkError::Io);
            if !matches!(count, Ok(0)) {
                return Poll::Ready(count);
            }
            if let Err(error) = self.check_open() {
                return Poll::Ready(Err(error));
            }
            match self.clock.reaches(deadline) {
                true => Poll::Ready(Ok(0)),
                false => Poll::Pending,
            }
        })
        .await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.check_open()?;
        lock(&self.theirs).input.extend(bytes);
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.check_open()?;
        lock(&self.ours).baud = baud;
        Ok(())
    }

    fn baud(&self) -> u32 {
        lock(&self.ours).baud
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        self.check_open()?;
        if !self.info.capabilities.lines {
            return Err(LinkError::NoLines);
        }
        let mut end = lock(&self.ours);
        end.lines.0 = lines.dtr.unwrap_or(end.lines.0);
        end.lines.1 = lines.rts.unwrap_or(end.lines.1);
        Ok(())
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.check_open()?;
        lock(&self.ours).input.clear();
        Ok(())
    }

    /// Works as long as the other end is there.
    async fn reopen(&mut self) -> Result<(), LinkError> {
        self.check_open()
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        let moment = self.now() + time;
        poll_fn(|_| match self.clock.reaches(moment) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        })
        .await
    }
}

/// No state is left half changed by a panic of its holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    #[test]
    fn what_one_end_does_the_other_one_sees() {
        let clock = ManualClock::jumping();
        let (mut near, mut far) = MemoryLink::pair(&clock, Capabilities::SERIAL, 115_200);
        block_on(near.write(b"ping")).unwrap();
        block_on(near.set_baud(9600)).unwrap();
        block_on(near.set_lines(Lines::rts(true))).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(block_on(far.read(&mut buffer, far.now())).unwrap(), 4);
        assert_eq!(&buffer[..4], b"ping");
        assert_eq!((far.peer_baud(), far.peer_lines()), (9600, (false, true)));
        drop(near);
        let error = block_on(far.read(&mut buffer, far.now())).unwrap_err();
        assert!(error.is_lost());
    }

    #[test]
    fn a_wait_of_minutes_takes_no_time_on_a_jumping_clock() {
        let clock = ManualClock::jumping();
        let (mut near, _far) = MemoryLink::pair(&clock, Capabilities::SERIAL, 115_200);
        let deadline = near.now() + Duration::from_secs(240);
        assert_eq!(block_on(near.read(&mut [0; 8], deadline)).unwrap(), 0);
        assert_eq!(near.now(), deadline);
    }

    #[test]
    fn a_read_waits_for_another_thread_or_the_clock() {
        let clock = ManualClock::default();
        let (mut near, mut far) = MemoryLink::pair(&clock, Capabilities::SERIAL, 115_200);
        let deadline = near.now() + Duration::from_secs(1);
        let device = std::thread::spawn(move || {
            let mut buffer = [0; 8];
            let count = block_on(far.read(&mut buffer, deadline)).unwrap();
            block_on(far.write(&buffer[..count])).unwrap();
            far
        });
        block_on(near.write(b"echo")).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(block_on(near.read(&mut buffer, deadline)).unwrap(), 4);
        let _far = device.join().unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(block_on(near.read(&mut buffer, deadline)).unwrap(), 0);
    }
}
