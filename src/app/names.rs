//! The names by which people call objects, and finding what they meant.

use crate::status::ObjectKind;
use crate::wideip::{Member, Model, Pool, VirtualServerId, WideIp};

/// How many names are offered when one is unknown.
const SUGGESTIONS_MAX: usize = 3;

/// A member of a pool: `pool/server/virtual-server` or `pool/name`.
pub(super) fn member(model: &Model, pool: &Pool, member: &Member) -> String {
    format!("{}/{}", pool.name, model.member_name(member))
}

/// Every object of a kind.
pub(super) fn all(model: &Model, kind: ObjectKind) -> Vec<String> {
    match kind {
        ObjectKind::Datacenter => model.datacenters.iter().map(|one| one.name.to_string()).collect(),
        ObjectKind::Server => model.servers.iter().map(|one| one.name.to_string()).collect(),
        ObjectKind::VirtualServer => {
            (0..).take(model.virtual_servers.len()).map(|id| model.virtual_server_name(VirtualServerId(id))).collect()
        }
        ObjectKind::Pool => model.pools.iter().map(|one| one.name.to_string()).collect(),
        ObjectKind::Member => {
            let of_pool = |pool| members(model, pool);
            model.pools.iter().flat_map(of_pool).collect()
        }
        ObjectKind::WideIp => model.wide_ips.iter().map(WideIp::full_name).collect(),
    }
}

fn members(model: &Model, pool: &Pool) -> Vec<String> {
    pool.members.iter().map(|one| member(model, pool, one)).collect()
}

/// The object that a person means: its name as we write it, or what to tell them.
pub(super) fn find(model: &Model, kind: ObjectKind, wanted: &str) -> Result<String, String> {
    let names = all(model, kind);
    let written = wanted.to_ascii_lowercase();
    // DNS names are the same in any case, with the final dot and without.
    let same = |name: &str| match kind {
        ObjectKind::WideIp | ObjectKind::Member => undotted(&name.to_ascii_lowercase()) == undotted(&written),
        _ => name == wanted,
    };
    if let Some(found) = names.iter().find(|name| same(name)) {
        return Ok(found.clone());
    }
    if kind == ObjectKind::WideIp && !wanted.contains('/') {
        // `www.example.com` means the only wide IP of that name.
        let prefix = format!("{}./", written.trim_end_matches('.'));
        let mut of_name = names.iter().filter(|name| name.to_ascii_lowercase().starts_with(&prefix));
        if let (Some(only), None) = (of_name.next(), of_name.next()) {
            return Ok(only.clone());
        }
    }
    Err(unknown(kind, wanted, &names))
}

/// `www.example.com./a` and `www.example.com/a` as the same text.
fn undotted(name: &str) -> String {
    name.replace("./", "/").trim_end_matches('.').to_owned()
}

fn unknown(kind: ObjectKind, wanted: &str, names: &[String]) -> String {
    let mut near: Vec<(f64, &String)> =
        names.iter().map(|name| (strsim::jaro_winkler(wanted, name), name)).filter(|(score, _)| *score > 0.7).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.iter().take(SUGGESTIONS_MAX).map(|(_, name)| name.as_str()).collect();
    match near.as_slice() {
        [] => format!("there is no {kind} {wanted:?}; `fairlead status` lists what there is"),
        _ => format!("there is no {kind} {wanted:?}; did you mean {}?", near.join(" or ")),
    }
}

/// An id as an index.
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    #[test]
    fn objects_are_found_as_people_write_them() {
        let model = sample::model();
        let check = |kind, wanted: &str, expected: Result<&str, &str>| match (find(&model, kind, wanted), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (got, _) => panic!("{wanted}: {got:?}"),
        };
        check(ObjectKind::Datacenter, "newyork", Ok("newyork"));
        check(ObjectKind::Datacenter, "newyrok", Err("did you mean newyork?"));
        check(ObjectKind::Server, "zzz", Err("`fairlead status` lists"));
        check(ObjectKind::VirtualServer, "ny-lb1/www", Ok("ny-lb1/www"));
        check(ObjectKind::VirtualServer, "ny-lb/www", Err("did you mean ny-lb1/www"));
        check(ObjectKind::Member, "web-ny/ny-lb1/www", Ok("web-ny/ny-lb1/www"));
        check(ObjectKind::WideIp, "WWW.example.com/a", Ok("www.example.com./A"));
        check(ObjectKind::WideIp, "www.example.com", Ok("www.example.com./A"));
        check(ObjectKind::WideIp, "www.example.com/AAAA", Err("did you mean www.example.com./A"));
    }
}
