//! What a command works with.

use guru_link::Cancel;

use crate::config::Config;
use crate::globals::Globals;
use crate::ui::Screen;

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Under which name the program was started, as far as defaults depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As `guru`: fast by default.
    Guru,
    /// As `esptool`: the predecessor's defaults.
    Esptool,
}

/// What a command works with.
pub struct Context {
    /// Under which name the program was started.
    pub mode: Mode,
    /// Options that every command takes.
    pub globals: Globals,
    /// The configuration file.
    pub config: Config,
    /// Set by Ctrl-C.
    pub cancel: Cancel,
    /// Where everything is shown.
    pub screen: Box<dyn Screen>,
}

impl Context {
    /// Without a configuration file, which is looked for when a command needs it.
    pub fn new(mode: Mode, globals: Globals, screen: Box<dyn Screen>) -> Self {
        Self {
            mode,
            globals,
            config: Config::default(),
            cancel: Cancel::default(),
            screen,
        }
    }

    /// The same for one board of several.
    pub fn for_board(&self, port: String, screen: Box<dyn Screen>) -> Self {
        let mut globals = self.globals.clone();
        globals.port = vec![port];
        Self {
            mode: self.mode,
            globals,
            config: self.config.clone(),
            cancel: self.cancel.clone(),
            screen,
        }
    }
}
