//! `fairlead disable` and `fairlead enable`.

use std::path::Path;

use super::args::{DisableArgs, EnableArgs, ObjectArgs};
use super::{block_on, output};
use crate::app::control::{self, Change, Request, Response};

/// Takes an object out of use.
pub(super) fn disable(args: DisableArgs) -> Result<(), String> {
    let (mut change, control) = change(args.object);
    change.force = args.force;
    send(&control, &Request::Disable(change))
}

/// Puts an object back to use.
pub(super) fn enable(args: EnableArgs) -> Result<(), String> {
    let (change, control) = change(args.object);
    send(&control, &if args.reset { Request::Reset(change) } else { Request::Enable(change) })
}

fn change(object: ObjectArgs) -> (Change, std::path::PathBuf) {
    let for_ms = object.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let change = Change { kind: object.kind, name: object.name, for_ms, reason: object.reason, force: false };
    (change, object.control.control)
}

/// Sends an order and prints what the node says.
pub(super) fn send(control: &Path, request: &Request) -> Result<(), String> {
    match block_on(control::ask(control, request))?.map_err(|error| error.to_string())? {
        Response::Done(lines) => {
            for line in lines {
                match line.strip_prefix("warning: ") {
                    Some(warning) => output::warn(warning),
                    None => output::line(line),
                }
            }
            Ok(())
        }
        Response::Refused(reason) => Err(reason),
        Response::Data(data) => Err(format!("the node gave an answer of another kind: {data}")),
    }
}
