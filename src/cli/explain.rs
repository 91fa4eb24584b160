//! `fairlead explain`: a decision with its reasons, from the running node or from files.

use serde_json::Value;

use super::args::{ExplainArgs, Output};
use super::{ask_data, output};
use crate::app;
use crate::app::control::{Question, Request};

/// Prints how a question is decided.
pub(super) fn run(args: ExplainArgs) -> Result<(), String> {
    let ExplainArgs { name, record_type, client, subnet, view, key, listener, config, output, control } = args;
    let question = Question { name, record_type, client, subnet, view, key, listener };
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
    let list = |path: &str| explanation.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let mut lines = vec![format!(
        "{} {} from {}{} ({})",
        field("/question/name").unwrap_or_default(),
        field("/question/type").unwrap_or_default(),
        field("/question/client").unwrap_or_default(),
        field("/question/subnet").map(|subnet| format!(" for {subnet}")).unwrap_or_default(),
        field("/question/location").unwrap_or_default(),
    )];
    for view in list("/views") {
        let field = |name: &str| view.get(name).map(plain).unwrap_or_default();
        let verdict = if view.get("taken") == Some(&Value::Bool(true)) { "view      " } else { "not view  " };
        lines.push(format!("{verdict} {}: {}", field("view"), field("reason")));
    }
    for decision in list("/decisions") {
        lines.extend(self::decision(decision));
    }
    lines.push(format!("source     {}", field("/source").unwrap_or_default()));
    lines.push(format!("rcode      {}", field("/rcode").unwrap_or_else(|| "no reply is sent".to_owned())));
    lines.extend(list("/answers").map(|record| format!("answer     {}", plain(record))));
    lines.extend(list("/authority").map(|record| format!("authority  {}", plain(record))));
    lines.extend(field("/ttl").map(|ttl| format!("ttl        {ttl} s")));
    lines.extend(field("/scope").map(|scope| format!("scope      /{scope} of the client subnet decided")));
    lines.join("\n")
}

/// What one wide IP decided, step by step.
fn decision(decision: &Value) -> Vec<String> {
    let field = |name: &str| decision.get(name).map(plain).unwrap_or_default();
    let mut lines = vec![format!("wide IP    {}", field("wide_ip"))];
    for step in decision.get("steps").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("  {}", step.get("text").map(plain).unwrap_or_default()));
    }
    let (pool, tier, reason) = (field("pool"), field("tier"), field("reason"));
    let pool = if pool.is_empty() { String::new() } else { format!(" of pool {pool}") };
    // "all down" is both how far the decision had to go and why.
    let why = if reason.starts_with(&tier) { reason } else { format!("{tier}: {reason}") };
    lines.push(format!("  => {}{pool}, {why}", field("answer")));
    lines
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_reads_from_the_question_to_the_answer() {
        let explanation = json!({
            "question": {"name": "www.example.com.", "type": "A", "client": "192.0.2.1", "subnet": "10.1.0.0/16",
                "location": "unlocated"},
            "views": [{"view": "outside", "taken": false, "reason": "it is signed by no key"},
                {"view": "inside", "taken": true, "reason": "the client 192.0.2.1 is in 192.0.2.0/24"}],
            "decisions": [{"wide_ip": "www.example.com./A", "answer": "members", "pool": "newyork",
                "tier": "preferred", "reason": "round robin", "steps": [{"text": "topology selected pool (newyork)"}]}],
            "source": "wide IP", "rcode": "NOERROR", "answers": ["www.example.com. 5 IN A 192.0.2.10"], "ttl": 5,
            "scope": 16, "authority": [],
        });
        let expected = [
            "www.example.com. A from 192.0.2.1 for 10.1.0.0/16 (unlocated)",
            "not view   outside: it is signed by no key",
            "view       inside: the client 192.0.2.1 is in 192.0.2.0/24",
            "wide IP    www.example.com./A",
            "  topology selected pool (newyork)",
            "  => members of pool newyork, preferred: round robin",
            "source     wide IP",
            "rcode      NOERROR",
            "answer     www.example.com. 5 IN A 192.0.2.10",
            "ttl        5 s",
            "scope      /16 of the client subnet decided",
        ];
        assert_eq!(text(&explanation).lines().collect::<Vec<_>>(), expected);
        let check = |pool: Option<&str>, tier: &str, reason: &str, expected: &str| {
            let decided = json!({"answer": "members", "pool": pool, "tier": tier, "reason": reason});
            assert_eq!(decision(&decided).last().map(String::as_str), Some(expected));
        };
        let (served, said) = ("all down, served as configured by ratio", "all down, as when_all_down says");
        check(Some("web"), "last resort", "ratio", "  => members of pool web, last resort: ratio");
        check(Some("web"), "all down", served, "  => members of pool web, all down, served as configured by ratio");
        check(None, "all down", said, "  => members, all down, as when_all_down says");
        let silent = json!({"question": {}, "source": "unmatched", "rcode": null});
        assert!(text(&silent).contains("no reply is sent"));
    }
}
