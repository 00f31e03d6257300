//! Progress: a bar on a terminal, a line for each tenth elsewhere.

use guru_loader::{Progress, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Text;
use crate::ui::{Verbosity, escape};

impl Text {
    /// Shows how far a step is.
    pub(super) fn show_progress(&mut self, progress: &Progress) {
        if !self.progress || self.verbosity == Verbosity::Quiet {
            return;
        }
        let total = progress.total.max(1);
        if self.board.is_some() {
            self.board_bar(verb(progress.step), progress.done, total);
            return;
        }
        if self.out.is_terminal() {
            let ended = self
                .bar
                .as_ref()
                .is_none_or(|(step, _)| *step != progress.step);
            if ended {
                self.end_bar();
                self.bar = Some((progress.step, bar(progress)));
            }
            if let Some((_, bar)) = &self.bar {
                bar.set_length(total);
                bar.set_position(progress.done);
                bar.set_message(format!("0x{:08x}", progress.address));
            }
            return;
        }
        let tenth = progress.done.min(total) * 10 / total;
        // What begins is told already, and what is done at once will be.
        let begun = matches!(self.told, Some((step, _)) if step == progress.step);
        if tenth == 0 || self.told == Some((progress.step, tenth)) || (tenth == 10 && !begun) {
            return;
        }
        self.told = Some((progress.step, tenth));
        self.out.line(&format!(
            "  {} 0x{:08x}: {} % ({} of {} bytes)",
            verb(progress.step),
            progress.address,
            progress.done * 100 / total,
            progress.done,
            progress.total
        ));
    }

    /// The bar of one of several boards, which stays to the board's end.
    pub(super) fn board_bar(&mut self, state: &str, done: u64, total: u64) {
        let Some(board) = self.board.as_deref() else {
            return;
        };
        if !self.out.is_terminal() || !self.progress || self.verbosity == Verbosity::Quiet {
            return;
        }
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar = self.bars.add(ProgressBar::new(total)).with_style(style);
            bar.set_prefix(escape(board).into_owned());
            (Step::Write, bar)
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(state.to_owned());
    }

    /// Takes the bar away: something else is shown.
    pub(super) fn end_bar(&mut self) {
        // A board's bar stays.
        if self.board.is_some() {
            return;
        }
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.told = None;
    }
}

fn bar(progress: &Progress) -> ProgressBar {
    let template = format!(
        "  {} {{msg}} [{{bar:30}}] {{percent:>3}} % {{bytes}}/{{total_bytes}}, {{eta}} left",
        verb(progress.step)
    );
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(progress.total), ProgressDrawTarget::stdout())
        .with_style(style)
}

fn verb(step: Step) -> &'static str {
    match step {
        Step::Dump => "reading",
        Step::Erase => "erasing",
        Step::Load => "loading",
        Step::Read => "reading",
        Step::Verify => "comparing",
        Step::Write => "writing",
    }
}
