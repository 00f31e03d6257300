use std::sync::mpsc::Sender;

use guru_loader::Event;

use crate::error::{Error, exit};
use crate::ui::{Message, Report, Screen};

/// What comes from the thread of a board.
#[derive(Debug)]
pub enum News {
    /// Something happened in the session.
    Event(Event),
    /// Something happened around it.
    Message(Message),
    /// What was to be found out.
    Report(Report),
    /// The board is done.
    Ended(Result<(), Error>),
}

/// Sends what a board's thread would show to the one thread that shows.
pub struct Relay {
    board: usize,
    sender: Sender<(usize, News)>,
}

impl Relay {
    /// For the board with this number.
    pub fn new(board: usize, sender: Sender<(usize, News)>) -> Self {
        Self { board, sender }
    }

    fn send(&self, news: News) {
        // The receiver outlives all boards.
        let _ = self.sender.send((self.board, news));
    }
}

impl Screen for Relay {
    fn event(&mut self, event: &Event) {
        self.send(News::Event(event.clone()));
    }

    fn message(&mut self, message: &Message) {
        self.send(News::Message(message.clone()));
    }

    fn report(&mut self, report: Report) {
        self.send(News::Report(report));
    }

    fn end(&mut self, _: Result<(), &Error>) -> u8 {
        exit::SUCCESS
    }
}
