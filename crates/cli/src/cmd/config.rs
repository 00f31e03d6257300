use clap::{Args, Subcommand};

use crate::config::setting::{Fallback, SETTINGS, Setting};
use crate::context::Context;
use crate::error::Error;
use crate::ui::{Report, SettingLine};

/// Show what is set, and where
///
/// A setting is taken from the command line, else from the environment, else from guru.toml, else
/// from esptool.cfg, else it has its default.
///
/// guru.toml has the names of the options for keys, and the settings that 'guru config show' lists
/// beside them:
///
///     port = "/dev/ttyUSB0"
///     baud = 921600
///     port-filter = ["vid=0x303A", "serial=84:f7"]
///     timeout = 5
///
/// It is looked for in the working directory, in the folders above it up to the home directory (or the
/// root), and as guru/guru.toml in the user's folder for configuration. All of them count; of a key
/// that several have, the nearest one. esptool.cfg (setup.cfg, tox.ini) is read as the predecessor
/// reads it: the first one with a section [esptool] counts.
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub enum Config {
    Show(Show),
}

/// Show every setting with its value and where it is from
#[derive(Debug, Args)]
pub struct Show {}

impl Config {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let Self::Show(_) = self;
        let settings = SETTINGS.iter().map(|setting| line(context, setting));
        let settings = settings.collect();
        context.screen.report(Report::ConfigShow { settings });
        Ok(())
    }
}

fn line(context: &Context, setting: &Setting) -> SettingLine {
    let origin = context.origins.get(setting.name);
    let (values, meaning) = match (origin, setting.default) {
        (Some(origin), _) => (origin.values.clone(), None),
        (None, Fallback::Value(value)) => (vec![value.to_owned()], None),
        // It is known by now.
        (None, _) if setting.name == "max-timeout" => {
            let seconds = context.config.timeouts().max.as_secs_f64();
            (vec![seconds.to_string()], None)
        }
        (None, Fallback::Meaning(meaning)) => (Vec::new(), Some(meaning)),
    };
    SettingLine {
        name: setting.name,
        values,
        meaning,
        source: origin.map(|origin| origin.source.clone()),
    }
}
