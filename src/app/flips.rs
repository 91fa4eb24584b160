//! Changes of state, and what the log is told of them.
//!
//! A site that fails says so of each of its virtual servers, pools and wide IPs. Beyond that, line after line would cost the
//! node more than the changes themselves, and journald drops all of a service's lines, the important ones too, when it
//! gets more than 10,000 in 30 s. So each kind of object has an allowance of lines; what goes beyond it is counted in one
//! line a second.

use std::sync::Arc;

use tracing::info;

use crate::metrics::{Limit, Metrics};
use crate::status::{Availability, Enabled, ObjectKind, Source, Status};
use crate::wideip::{Model, PoolId, VirtualServerId, WideIpId};

/// Lines of one kind of object at once, and further ones each second: with three kinds 7,500 in 30 s.
const LINES_AT_ONCE: u32 = 1000;
const LINES_PER_SECOND: u32 = 50;
/// Lines that the first words on an object leave to what happens after a start.
const LINES_KEPT: u32 = 500;

/// An object whose state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flip {
    pub(super) object: Object,
    /// The state before.
    pub(super) from: (Availability, Enabled),
    /// The state now.
    pub(super) to: (Availability, Enabled),
    /// Who said so.
    pub(super) source: Source,
    /// Why.
    pub(super) reason: Arc<str>,
}

/// Which object, by its number in the model of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    VirtualServer(VirtualServerId),
    Pool(PoolId),
    WideIp(WideIpId),
}

impl Object {
    pub(super) const fn kind(self) -> ObjectKind {
        match self {
            Self::VirtualServer(_) => ObjectKind::VirtualServer,
            Self::Pool(_) => ObjectKind::Pool,
            Self::WideIp(_) => ObjectKind::WideIp,
        }
    }

    /// Its name as people write it.
    pub(super) fn name(self, model: &Model) -> String {
        match self {
            Self::VirtualServer(id) => model.virtual_server_name(id),
            Self::Pool(id) => model.pool(id).map(|pool| pool.name.to_string()).unwrap_or_default(),
            Self::WideIp(id) => model.wide_ip_name(id).to_string(),
        }
    }
}

impl Flip {
    pub(super) fn new(object: Object, from: (Availability, Enabled), now: &Status) -> Self {
        let to = (now.availability, now.enabled);
        Self { object, from, to, source: now.source.clone(), reason: Arc::clone(&now.reason) }
    }

    /// Whether what was available no longer is; one that an operator takes out of use is.
    fn is_loss(&self) -> bool {
        self.from.0 == Availability::Available && self.to.0 != Availability::Available
    }

    fn log(&self, model: &Model) {
        let Self { object, source, reason, .. } = self;
        let (name, from, to) = (object.name(model), state(self.from), state(self.to));
        match object.kind() {
            ObjectKind::VirtualServer => {
                info!(virtual_server = %name, %from, %to, %source, %reason, "availability changed");
            }
            kind => info!(%kind, %name, %from, %to, %reason, "availability changed"),
        }
    }
}

/// Both axes in one text.
pub(super) fn state((availability, enabled): (Availability, Enabled)) -> String {
    match enabled {
        Enabled::Enabled => availability.to_string(),
        Enabled::Disabled | Enabled::DisabledByParent => format!("{availability}, {enabled}"),
    }
}

/// Tells the log and the metrics of flips.
pub(super) struct Teller {
    metrics: Arc<Metrics>,
    virtual_servers: Allowance,
    pools: Allowance,
    wide_ips: Allowance,
    /// Of those that were not told, how many are no longer available.
    lost: u64,
}

/// How many lines are left, and how many were not written.
struct Allowance {
    left: u32,
    untold: u64,
}

impl Teller {
    pub(super) const fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, virtual_servers: Allowance::FULL, pools: Allowance::FULL, wide_ips: Allowance::FULL, lost: 0 }
    }

    /// Tells of each flip, as long as there are lines left for its kind.
    pub(super) fn tell(&mut self, flips: &[Flip], model: &Model) {
        for flip in flips {
            self.metrics.status_changed(flip.object.kind());
            let allowance = match flip.object {
                Object::VirtualServer(_) => &mut self.virtual_servers,
                Object::Pool(_) => &mut self.pools,
                Object::WideIp(_) => &mut self.wide_ips,
            };
            let kept = if flip.from.0 == Availability::Unknown { LINES_KEPT } else { 0 };
            if allowance.take(kept) {
                flip.log(model);
            } else {
                self.metrics.limit_hit(Limit::LogChanges);
                self.lost += u64::from(flip.is_loss());
            }
        }
    }

    /// A second went by: there are more lines, and what was not told is told in sum.
    pub(super) fn renew(&mut self) {
        let kinds = [&mut self.virtual_servers, &mut self.pools, &mut self.wide_ips];
        let [virtual_servers, pools, wide_ips] = kinds.map(Allowance::renew);
        let no_longer_available = std::mem::take(&mut self.lost);
        if virtual_servers + pools + wide_ips > 0 {
            info!(
                virtual_servers,
                pools,
                wide_ips,
                no_longer_available,
                "availability changed of more objects than the log tells one by one; `fairlead status` shows them"
            );
        }
    }
}

impl Allowance {
    const FULL: Self = Self { left: LINES_AT_ONCE, untold: 0 };

    /// Whether one more line may be written that leaves so many for others.
    const fn take(&mut self, kept: u32) -> bool {
        if self.left > kept {
            self.left -= 1;
            return true;
        }
        self.untold += 1;
        false
    }

    /// Allows more lines; how many were not written.
    fn renew(&mut self) -> u64 {
        self.left = self.left.saturating_add(LINES_PER_SECOND).min(LINES_AT_ONCE);
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_and_come_back_second_by_second_and_what_was_not_told_is_counted() {
        let mut allowance = Allowance::FULL;
        let told = |allowance: &mut Allowance, flips: u32| (0..flips).filter(|_| allowance.take(0)).count();
        assert_eq!(told(&mut allowance, 1500), 1000);
        assert_eq!(allowance.renew(), 500);
        assert_eq!(told(&mut allowance, 60), 50);
        assert_eq!(allowance.renew(), 10);
        for _ in 0..4 {
            assert_eq!(allowance.renew(), 0);
        }
        assert_eq!((told(&mut allowance, 250), allowance.untold), (250, 0));
        for _ in 0..100 {
            allowance.renew();
        }
        assert_eq!(told(&mut allowance, 2000), 1000, "never more at once");
    }

    #[test]
    fn the_sum_counts_losses_and_no_returns_or_operators_changes() {
        use Availability::{Available, Offline};
        let flip = |from, to| Flip {
            object: Object::Pool(PoolId(0)),
            from,
            to,
            source: Source::Derived,
            reason: "a reason".into(),
        };
        let (up, down) = ((Available, Enabled::Enabled), (Offline, Enabled::Enabled));
        let (lost, back, disabled) = (flip(up, down), flip(down, up), flip(up, (Available, Enabled::Disabled)));
        let mut teller = Teller::new(Arc::new(Metrics::new("0", "test")));
        teller.pools.left = 0;
        teller.tell(&[lost.clone(), back, disabled, lost], &Model::default());
        assert_eq!((teller.pools.untold, teller.lost), (4, 2));
        teller.renew();
        assert_eq!((teller.pools.untold, teller.lost), (0, 0));
    }

    #[test]
    fn the_first_words_of_a_start_leave_lines_for_what_follows() {
        let mut allowance = Allowance::FULL;
        assert_eq!((0..2000).filter(|_| allowance.take(LINES_KEPT)).count(), 500);
        assert_eq!((0..2000).filter(|_| allowance.take(0)).count(), 500);
    }
}
