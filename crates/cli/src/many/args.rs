use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::error::Error;
use crate::globals::Globals;

/// Which boards, when it is more than one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Several boards")]
pub struct BoardsArgs {
    /// All boards at USB ports at the same time, or at all ports that --port-filter lets through.
    /// Several --port do the same for the named ones
    #[arg(long)]
    pub all: bool,

    /// Go on with each board that is plugged in, until Ctrl-C; together with --all or --port also
    /// with those that are there already
    #[arg(long = "loop")]
    pub wait: bool,

    /// End after so many boards
    #[arg(long, value_name = "N", requires = "wait", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub count: Option<usize>,
}

/// Which boards are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The named one, or the first one that answers.
    One,
    /// Those that are named.
    Named,
    /// Those that are there.
    Present,
    /// Those that are plugged in from now on.
    Arriving,
    /// Those that are there, and those that are plugged in from now on.
    PresentAndArriving,
}

impl BoardsArgs {
    /// Which boards are meant.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn which(&self, globals: &Globals) -> Result<Which, Error> {
        let ports = &globals.port;
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        if self.all && !ports.is_empty() {
            return usage(
                "--all takes every port and --port (or ESPTOOL_PORT) names some; write one of them",
            );
        }
        let which = match (self.wait, self.all, ports.len()) {
            (false, false, 0 | 1) => return Ok(Which::One),
            (false, false, _) => Which::Named,
            (false, true, _) => Which::Present,
            (true, false, 0) => Which::Arriving,
            (true, ..) => Which::PresentAndArriving,
        };
        let remote = ports.iter().find(|port| port.contains("://"));
        if let Some(port) = remote.filter(|_| self.wait && globals.port_list.is_none()) {
            return Err(Error::Usage(format!(
                "'{port}' is never plugged in; --loop looks for serial ports, and for others in a \
                 file (--port-list)"
            )));
        }
        if globals.trace || globals.trace_file.is_some() {
            return usage(
                "--trace and --trace-file record one session; write that board alone with them",
            );
        }
        Ok(which)
    }
}
