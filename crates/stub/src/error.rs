use thiserror::Error;

/// Why a file is no stub that could be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {reason}")]
pub struct StubError {
    /// Name of the file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl StubError {
    pub(crate) fn new(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}
