//! Store: one SQLite database, one thread that writes it, and readers that cannot.

/// The way to the writer thread and to new readers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {}
