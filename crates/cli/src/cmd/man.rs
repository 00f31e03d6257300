use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;

use super::Cli;
use crate::context::Context;
use crate::error::Error;

/// Write manual pages into a folder
///
/// One page for the program and one for each command, made of the same definitions as --help.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Man {
    /// The folder
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self, _: &mut Context) -> Result<(), Error> {
        let output = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Output { path, source }
        };
        std::fs::create_dir_all(&self.folder).map_err(output(&self.folder))?;
        // Built, so that global options show on each page.
        let mut program = Cli::command();
        program.build();
        for (name, page) in pages(&program).map_err(output(&self.folder))? {
            let path = self.folder.join(name);
            std::fs::write(&path, page).map_err(output(&path))?;
        }
        Ok(())
    }
}

fn pages(program: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![("guru.1".to_owned(), page(program.clone())?)];
    pages_below(program, "guru", &mut pages)?;
    Ok(pages)
}

/// Pages of the commands below one, and of those below them.
fn pages_below(
    above: &Command,
    above_name: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    for command in above
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let name = format!("{above_name}-{}", command.get_name());
        // A page's name stands in its title and synopsis.
        let shown = command
            .clone()
            .name(name.clone())
            .display_name(name.clone());
        pages.push((format!("{name}.1"), page(shown)?));
        pages_below(command, &name, pages)?;
    }
    Ok(())
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Page::new(command).render(&mut text)?;
    Ok(text)
}
