//! What goes to flash beside an application, and where: read from the build folders of ESP-IDF,
//! PlatformIO, Arduino and Zephyr, or made up of what is installed; and whether all of it fits
//! together.
//!
//! Files are read, and nothing is written. Nothing here looks at the environment or the home folder:
//! where packages lie is told by [`Roots`].

mod app;
mod arduino;
mod boards;
mod build;
mod built_in;
mod error;
mod esp_idf;
mod find;
mod installed;
mod listing;
mod plan;
mod platformio;
mod zephyr;

pub use app::{AppSource, Program};
pub use boards::{BoardName, BoardProperties};
pub use build::{Build, BuildFile, Settings, System};
pub use error::{FoundIn, ProjectError};
pub use find::{find, open};
pub use installed::{Candidate, Roots, Searched, bootloaders};
pub use listing::{FlashArgs, FlasherArgs, ListError, ListedFile};
pub use plan::{Board, BootloaderChoice, Part, Plan, Request, Role, Table, plan};
pub use zephyr::RunnerArgs;
