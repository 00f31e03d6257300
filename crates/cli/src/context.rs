//! What a command works with.

use guru_link::Cancel;

use crate::config::{Config, ConfigError, Loaded, Origins};
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
    /// What there is no option for.
    pub config: Config,
    /// What was set, and where.
    pub origins: Origins,
    /// What is wrong with the configuration and stops who uses a port.
    pub misconfigured: Option<ConfigError>,
    /// Set by Ctrl-C.
    pub cancel: Cancel,
    /// Whether the chip is asked for more than which one it is.
    pub identify: bool,
    /// Where everything is shown.
    pub screen: Box<dyn Screen>,
}

impl Context {
    /// With what the files and the environment say.
    pub fn new(mode: Mode, globals: Globals, loaded: Loaded, screen: Box<dyn Screen>) -> Self {
        Self {
            mode,
            globals,
            config: loaded.config,
            origins: loaded.origins,
            misconfigured: loaded.bad.into_iter().next(),
            cancel: Cancel::default(),
            identify: true,
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
            origins: self.origins.clone(),
            misconfigured: None,
            cancel: self.cancel.clone(),
            identify: self.identify,
            screen,
        }
    }
}
