//! What plugins measure.

use chrono::TimeDelta;
use clap::Args;
use serde_json::Value;

use super::named::One;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::times;

/// Of which check, of which time, and how finely.
#[derive(Debug, Args)]
pub(crate) struct Samples {
    #[command(flatten)]
    one: One,
    /// Of so long until now, such as 6h; a day if nothing is said
    #[arg(long = "for", value_name = "TIME", value_parser = times::lasting, conflicts_with = "from")]
    lasting: Option<TimeDelta>,
    /// Since then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    from: Option<i64>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = times::at)]
    to: Option<i64>,
    /// Seconds of a step
    #[arg(long, value_name = "SECONDS")]
    step: Option<u32>,
    /// Only what is called so
    #[arg(long)]
    label: Option<String>,
}

impl Samples {
    /// # Errors
    /// If there is no such check.
    pub(crate) async fn show(&self, client: &Client) -> Result<Answer, Failure> {
        let check = self.one.find(client).await?;
        // the path differs from that of the check itself
        let id = check.path.trim_start_matches("/checks/id/");
        let from = self.from.or_else(|| Some(times::from_now(-self.lasting?)));
        let document = client
            .list(
                &format!("/samples/{id}"),
                "series",
                &[
                    ("from", from.map(|at| at.to_string())),
                    ("to", self.to.map(|at| at.to_string())),
                    ("step", self.step.map(|step| step.to_string())),
                    ("label", self.label.clone()),
                ],
            )
            .await?;
        Ok(Answer::table(table(&document), document))
    }
}

fn table(document: &Value) -> Table {
    let mut table = Table::new(
        &[
            "TIME", "LABEL", "LEAST", "MEAN", "GREATEST", "UNIT", "VALUES+",
        ],
        "nothing was measured",
    );
    for series in document["series"].as_array().into_iter().flatten() {
        for point in series["points"].as_array().into_iter().flatten() {
            let number = |field: &str| point[field].as_f64().unwrap_or_default();
            table.row([
                times::utc(point["time"].as_i64()).into(),
                series["label"].as_str().unwrap_or_default().into(),
                rounded(number("min")).into(),
                rounded(number("mean")).into(),
                rounded(number("max")).into(),
                series["unit"].as_str().unwrap_or_default().into(),
                rounded(number("n")).into(),
            ]);
        }
    }
    table
}

/// Four digits behind the point are enough for a look.
fn rounded(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
