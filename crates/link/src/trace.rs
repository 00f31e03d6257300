//! A session on a link, recorded.
//!
//! [`Traced`] hands what passes to a [`TraceSink`]: a [`TraceWriter`] keeps it in a file,
//! [`TraceText`] makes lines for people of it, and a caller may have both or others. [`Replay`]
//! plays a recorded session back to the program.
//!
//! # The file
//!
//! Text, one event a line, fields separated by one space. The first line is `guru-trace 1`; the
//! header's lines follow, then the events in the order of their time. Empty lines and lines that
//! begin with `#` mean nothing.
//!
//! ```text
//! guru-trace 1
//! port /dev/ttyUSB0
//! usb 10c4:ea60 serial=0001 name=CP2102%20USB%20to%20UART
//! capabilities lines together baud latency=1000 safe=921600
//! baud 115200
//! 0.000012 lines U1,0
//! 0.100340 discard
//! 0.100395 write c00008240000000000070712205555c0
//! 0.104871 read c00108040007122055000000
//! 0.104990 read 00c0
//! ```
//!
//! In the header, `port` is the port's name, `usb` its vendor and product id in hexadecimal with
//! serial number, product name and location, `capabilities` what it can do (`lines`, `together`, `baud`,
//! `network`, `latency` in microseconds, `safe` in bits per second), and `baud` the rate at the
//! start. All but `baud` are escaped: `%` and two hexadecimal digits stand for a byte that is not
//! printable ASCII, a space or `%`. An event begins with its time in seconds since the start, with
//! six decimals:
//!
//! | event | meaning |
//! |---|---|
//! | `read HEX` | bytes from the device |
//! | `write HEX` | bytes to the device |
//! | `baud N` | new baud rate |
//! | `lines STEP` | DTR and RTS as in a [reset sequence](crate::ResetSequence): `D1`, `R0`, `U1,0` |
//! | `discard` | what had arrived was thrown away |
//! | `lost` | the device went away |
//! | `reopen` | the port was opened again |

mod file;
mod record;
mod replay;
mod text;
mod traced;

pub use file::{Trace, TraceError, TraceWriter};
pub use record::{Counters, Event, Record, TraceHeader};
pub use replay::Replay;
pub use text::TraceText;
pub use traced::{TraceSink, Traced};
