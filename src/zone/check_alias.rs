//! Follows CNAMEs and DNAMEs inside a zone, as answering would, to find those that never end.

use crate::wire::{MAX_NAME_LENGTH, NameKey, RecordType};

use super::Lookup;
use super::check::{is_in, shown};
use super::shard::Rrset;
use super::tree::Zone;

/// How many steps are followed. Longer chains are no use: resolvers give up earlier.
const STEPS_MAX: usize = 16;

/// One walk from an alias.
pub(super) struct AliasWalk<'z> {
    zone: &'z Zone,
    /// The owner and target of the first step.
    owner: &'z [u8],
    first: Rrset<'z>,
}

impl<'z> AliasWalk<'z> {
    pub(super) fn new<'o: 'z>(zone: &'z Zone, owner: &'o [u8], first: Rrset<'z>) -> Self {
        Self { zone, owner, first }
    }

    /// Walks; gives what is wrong, if anything is. `key` is scratch.
    pub(super) fn run(&self, key: &mut NameKey) -> Option<String> {
        let first = self.first.first();
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut name = if self.first.record_type == RecordType::DNAME {
            // What a question right below the DNAME becomes.
            seen.push([b"\x01x", self.owner].concat().to_ascii_lowercase());
            [b"\x01x", first].concat()
        } else {
            seen.push(self.owner.to_ascii_lowercase());
            first.to_vec()
        };
        for _ in 0..STEPS_MAX {
            name.make_ascii_lowercase();
            if seen.contains(&name) {
                return Some(format!("a loop of aliases: {} leads back to itself", shown(&name)));
            }
            // A DNAME may make a name that is too long; that ends the walk (RFC 6672 §2.2).
            if name.len() > MAX_NAME_LENGTH || !key.fill(&name, self.zone.seed()) || !is_in(self.zone, key) {
                return None;
            }
            let next = match self.zone.lookup(key, RecordType::A) {
                Lookup::Cname(rrset) => rrset.first().to_vec(),
                Lookup::Dname { label, rrset } => {
                    [key.as_wire().get(..key.offset(label)).unwrap_or_default(), rrset.first()].concat()
                }
                _ => return None,
            };
            seen.push(std::mem::replace(&mut name, next));
        }
        Some(format!("a chain of more than {STEPS_MAX} aliases: resolvers give up on it"))
    }
}
