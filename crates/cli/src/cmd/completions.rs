use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::context::Context;
use crate::error::Error;

/// Write completions for a shell to standard output
///
///     guru completions bash > ~/.local/share/bash-completion/completions/guru
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, _: &mut Context) -> Result<(), Error> {
        // Into memory first: the generator panics when it cannot write.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "guru", &mut text);
        crate::ui::data(&text).map_err(|source| Error::Unexpected {
            what: "cannot write to standard output".to_owned(),
            source,
        })
    }
}
