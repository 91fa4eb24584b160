//! Standard output and standard error.

use std::io::{IsTerminal, Write};

use serde_json::Value;

/// Writes one line to standard output. A reader that has left (`| head`) is no failure.
pub(super) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref()); // nobody is left to tell
}

/// Writes `value` as indented JSON to standard output.
pub(super) fn json(value: &Value) {
    line(format!("{value:#}"));
}

/// Writes a warning to standard error.
pub(super) fn warn(text: &str) {
    let label = paint(Paint::Yellow, "warning:", Colour::for_stderr());
    let _ = writeln!(std::io::stderr().lock(), "{label} {text}"); // nobody is left to tell
}

/// Writes the reason of a failure to standard error.
pub(super) fn fail(text: &str) {
    let label = paint(Paint::Red, "error:", Colour::for_stderr());
    let _ = writeln!(std::io::stderr().lock(), "{label} {text}"); // nobody is left to tell
}

/// Whether text may be coloured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// A person looks at a terminal.
    Terminal,
    /// Anything else reads.
    Never,
}

impl Colour {
    /// For what goes to standard output.
    pub(super) fn for_stdout() -> Self {
        Self::on(&std::io::stdout())
    }

    /// For what goes to standard error.
    pub(super) fn for_stderr() -> Self {
        Self::on(&std::io::stderr())
    }

    /// A terminal, unless `NO_COLOR` says otherwise.
    fn on(target: &impl IsTerminal) -> Self {
        let wanted = target.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted { Self::Terminal } else { Self::Never }
    }
}

/// What a colour says.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    /// Bad.
    Red,
    /// Good.
    Green,
    /// Worth a look.
    Yellow,
    /// Not known.
    Blue,
    /// Taken out.
    Dim,
}

/// `text` in the colour `paint`, where colour is allowed.
pub(super) fn paint(paint: Paint, text: &str, colour: Colour) -> String {
    let code = match paint {
        Paint::Red => "31",
        Paint::Green => "32",
        Paint::Yellow => "33",
        Paint::Blue => "34",
        Paint::Dim => "2",
    };
    match colour {
        Colour::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
        Colour::Never => text.to_owned(),
    }
}
