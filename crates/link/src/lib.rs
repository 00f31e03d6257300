//! The one seam to the world: bytes and two control lines to a device, and the clock.
//!
//! Everything above this crate is `async` and knows neither threads nor a runtime. Natively every
//! call finishes before it gives control back, so [`block_on`] is a few lines.

mod cancel;
mod clock;
mod error;
mod link;
mod reset;

pub use cancel::Cancel;
pub use clock::{Instant, SystemClock, block_on};
pub use error::LinkError;
pub use link::{Capabilities, Lines, Link, PortInfo, UsbId};
pub use reset::{ResetSequence, ResetSequenceError, Step};
