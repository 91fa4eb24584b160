//! From which view a question is answered, and why.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::control::Question;
use crate::answer::{Origin, Snapshot, View};
use crate::wire::Name;
use crate::zone::ViewName;

/// What a question says of where it comes from and from which view it is to be answered.
pub(super) struct Asker {
    client: IpAddr,
    listener: Option<SocketAddr>,
    key: Option<Name>,
    view: Option<ViewName>,
}

/// The view, and why it and those before it are meant or not: empty where there is but one.
pub(super) struct Chosen<'s> {
    pub(super) view: Option<&'s View>,
    pub(super) considered: Vec<Value>,
}

impl Asker {
    /// Reads the question; the error says what is wrong with it.
    pub(super) fn read(question: &Question) -> Result<Self, String> {
        let key =
            question.key.as_deref().map(|key| Name::parse(key, Some(&Name::root())).map(|key| key.to_lowercase()));
        let key = key.transpose().map_err(|error| format!("the key is no name: {error}"))?;
        let listener = question.listener.as_deref().map(|listener| {
            let bare = |_| listener.parse().map(|address| SocketAddr::new(address, 53));
            listener.parse().or_else(bare).map_err(|_| format!("{listener:?} is no listener's address"))
        });
        let view = question.view.as_deref().map(ViewName::new);
        Ok(Self { client: question.client, listener: listener.transpose()?, key, view })
    }

    /// The view that is asked for, else the first that takes the question; the error names the views there are.
    pub(super) fn choose<'s>(&self, snapshot: &'s Snapshot) -> Result<Chosen<'s>, String> {
        if let Some(name) = &self.view {
            let view = snapshot.view(name).ok_or_else(|| {
                let known: Vec<&str> = snapshot.views().map(|view| view.name().as_str()).collect();
                format!("there is no view {name}; there are {}", known.join(", "))
            })?;
            let asked = json!({ "view": name.as_str(), "taken": true, "reason": "it was asked for" });
            return Ok(Chosen { view: Some(view), considered: vec![asked] });
        }
        let origin = Origin { client: self.client, listener: self.listener, key: self.key.as_ref() };
        let view = snapshot.select(&origin);
        let mut considered = Vec::new();
        for one in snapshot.views() {
            let Some(criteria) = snapshot.selector().and_then(|selector| selector.criteria(one.id())) else { break };
            let judged = criteria.judge(&origin);
            let is_taken = judged.is_ok();
            let (Ok(reason) | Err(reason)) = judged;
            considered.push(json!({ "view": one.name().as_str(), "taken": is_taken, "reason": reason }));
            if is_taken {
                break;
            }
        }
        Ok(Chosen { view, considered })
    }
}
