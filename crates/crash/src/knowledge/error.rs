//! What can be wrong with the data.

/// An error in a file of the knowledge base.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnowledgeError {
    /// The file is not TOML, a field is unknown or missing, or a value has another type than it should.
    #[error("{file}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong, with the place.
        message: String,
    },
    /// A value is not what the field is for.
    #[error("{file}: entry '{entry}', field '{field}': {problem}")]
    Field {
        /// The file.
        file: String,
        /// The entry's id.
        entry: String,
        /// The field's name.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}
