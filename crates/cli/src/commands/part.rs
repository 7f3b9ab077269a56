//! Which part of a list is wanted: the same of every list that may be long.

use clap::Args;

/// A part of a list.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    /// Only what comes after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

impl Part {
    /// These filters, and the part.
    pub(crate) fn of<'a>(
        &self,
        filters: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> Vec<(&'a str, Option<String>)> {
        let limit = self.limit.map(|limit| limit.to_string());
        let part = [("limit", limit), ("after", self.after.clone())];
        filters.into_iter().chain(part).collect()
    }
}
