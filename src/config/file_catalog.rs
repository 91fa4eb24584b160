//! Catalog zones, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::Named;
use super::file::{Primary, Transfer, TransferWideIps};
use super::values::Written;
use crate::wire::Name;

/// What a zone is as a catalog (RFC 9432). With `primary` beside it, the catalog comes from there and its members become
/// zones of this node; without, this node makes the catalog of its own zones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    /// Which zones a catalog made here lists: `all` of this node, or the `named` ones, which have `member_of`. Other
    /// catalogs are never listed by `all`. Default: named.
    pub(crate) members: Option<CatalogMembers>,
    /// How members of a catalog from elsewhere become zones of this node. Default: from the primary of the catalog.
    pub(crate) template: Option<Template>,
    /// The same for members of these groups.
    #[serde(default)]
    pub(crate) groups: Named<Template>,
    /// The most members of a catalog from elsewhere; a version with more is not taken over. Default: 10000.
    pub(crate) members_max: Option<usize>,
}

/// Which zones a catalog lists.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CatalogMembers {
    /// All of this node.
    All,
    /// Those that have `member_of`.
    Named,
}

/// The settings of the zones that a catalog brings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    /// Where they come from. Default: where the catalog comes from.
    pub(crate) primary: Option<Primary>,
    /// Who may have them by transfer, and who is told of their changes. Default: nobody.
    pub(crate) transfer: Option<Transfer>,
    /// What becomes of wide IPs when they are transferred. Default: omit.
    pub(crate) transfer_wide_ips: Option<TransferWideIps>,
}

/// A zone's place in a catalog that is made here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberOf {
    /// The catalog.
    pub(crate) catalog: Written<Name>,
    /// How the secondaries of the catalog shall treat the zone, in a word they know.
    pub(crate) group: Option<String>,
    /// The catalog that may take the zone over (change of ownership).
    pub(crate) coo: Option<Written<Name>>,
}
