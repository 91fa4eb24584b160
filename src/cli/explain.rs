//! `fairlead explain`: a decision with its reasons, from the running node or from files.

use serde_json::Value;

use super::args::{ExplainArgs, Output};
use super::{ask_data, output};
use crate::app;
use crate::app::control::{Question, Request};

/// Prints how a question is decided.
pub(super) fn run(args: ExplainArgs) -> Result<(), String> {
    let ExplainArgs { name, record_type, client, subnet, config, output, control } = args;
    let question = Question { name, record_type, client, subnet };
    let explanation = match config {
        Some(config) => app::explain_files(&config, &question)?,
        None => ask_data(&control.control, &Request::Explain(question))?,
    };
    match output {
        Output::Json => output::json(&explanation),
        Output::Text => output::line(text(&explanation).trim_end()),
    }
    Ok(())
}

/// An explanation as people read it.
pub(super) fn text(explanation: &Value) -> String {
    let field = |path: &str| explanation.pointer(path).map(plain).filter(|text| !text.is_empty());
    let mut lines = vec![format!(
        "{} {} from {}{}",
        field("/question/name").unwrap_or_default(),
        field("/question/type").unwrap_or_default(),
        field("/question/client").unwrap_or_default(),
        field("/question/subnet").map(|subnet| format!(" for {subnet}")).unwrap_or_default(),
    )];
    let optional = [("source", "/source"), ("rcode", "/rcode"), ("ttl", "/ttl"), ("scope", "/scope")];
    lines.extend(optional.into_iter().filter_map(|(name, path)| Some(format!("{name:<7} {}", field(path)?))));
    for (name, path) in [("answer", "/answers"), ("authority", "/authority")] {
        for record in explanation.pointer(path).and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("{name:<9} {}", plain(record)));
        }
    }
    lines.join("\n")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
