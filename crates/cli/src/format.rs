//! How a command prints, where it prints in the usual ways. Commands with formats of their own name those themselves.

/// For people or for programs.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: JSON.
    Json,
}

/// The same, and as a page.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PageFormat {
    /// For people, on a terminal.
    #[default]
    Text,
    /// For programs.
    Json,
    /// One self-contained page.
    Html,
}
