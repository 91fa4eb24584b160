//! Choosing from lists: each method as a function of what it is given, a draw or a cursor among it.

use std::net::IpAddr;

/// Mixes 64 bits so that every bit of the input moves every bit of the output (the finaliser of splitmix64).
pub(super) const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Hashes octets; the same on every node and in every version, because rendezvous hashing depends on it.
pub(super) fn hash_octets(octets: &[u8]) -> u64 {
    // FNV-1a.
    let step = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(octets.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Hashes the first `bits` bits of a client's address; IPv4 and IPv6 never share a hash by design.
pub(super) fn hash_client(address: IpAddr, bits: u8) -> u64 {
    let keep = |length: u32| u128::MAX.checked_shl(length.saturating_sub(u32::from(bits))).unwrap_or(0);
    match address {
        IpAddr::V4(address) => mix(u64::from(address.to_bits()) & low_half(keep(32)) | 4 << 60),
        IpAddr::V6(address) => {
            let masked = address.to_bits() & keep(128);
            mix(mix(low_half(masked >> 64) ^ 6) ^ low_half(masked))
        }
    }
}

fn low_half(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0)
}

/// The rendezvous score of a member for a client: the highest of those in question takes the client.
#[inline]
pub(super) const fn rendezvous(client: u64, identity: u64) -> u64 {
    mix(client ^ identity)
}

/// Scales 64 random bits to `0..total`; the bias is below one in four billion for totals under 2³².
#[inline]
pub(super) fn draw_below(random: u64, total: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(total)) >> 32).unwrap_or(0)
}

/// The index that a draw from `0..total` picks, where `cumulative` holds the running sums of the weights up to `total`.
#[inline]
pub(super) fn pick_weighted(cumulative: &[u32], draw: u32) -> Option<usize> {
    let index = cumulative.partition_point(|&end| end <= draw);
    (index < cumulative.len()).then_some(index)
}

/// Draws `count` different indices by weight, each draw from what is left; `weights` is used up.
pub(super) fn draw_several(
    weights: &mut [u32],
    count: usize,
    mut random: impl FnMut() -> u64,
    mut take: impl FnMut(usize),
) {
    let mut total = weights.iter().fold(0_u32, |sum, &weight| sum.saturating_add(weight));
    for _ in 0..count {
        if total == 0 {
            return;
        }
        let mut draw = draw_below(random(), total);
        for (index, weight) in weights.iter_mut().enumerate() {
            if draw < *weight {
                total -= *weight;
                *weight = 0;
                take(index);
                break;
            }
            draw -= *weight;
        }
    }
}

/// The items after `last` in descending order of score, one at a time: the highest (score, earliest from `start` in ring
/// order) below the last one. `None` when there is no more. Scores below `least` are left out.
pub(super) fn next_best<S: Copy + Ord>(
    count: usize,
    start: usize,
    least: S,
    last: Option<(S, usize)>,
    score: impl Fn(usize) -> S,
) -> Option<(S, usize)> {
    let mut best: Option<(S, usize)> = None;
    for step in 0..count {
        let of_step = score((start + step) % count);
        let is_left = last.is_none_or(|(score, at)| of_step < score || of_step == score && step > at);
        if is_left && of_step >= least && best.is_none_or(|(score, _)| of_step > score) {
            best = Some((of_step, step));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_picks_by_weight_exactly() {
        let check = |weights: &[u16]| {
            let mut sum = 0;
            let cumulative: Vec<u32> = weights
                .iter()
                .map(|&weight| {
                    sum += u32::from(weight);
                    sum
                })
                .collect();
            let total = cumulative.last().copied().unwrap_or(0);
            let mut picked = vec![0; weights.len()];
            for draw in 0..total {
                picked[pick_weighted(&cumulative, draw).unwrap()] += 1;
            }
            assert_eq!(picked, weights);
            assert_eq!(pick_weighted(&cumulative, total), None);
        };
        check(&[]);
        check(&[1]);
        check(&[0, 3, 0, 1, 0]);
        check(&[65535, 1, 2]);
    }

    #[test]
    fn scaling_covers_the_range_evenly() {
        assert_eq!(draw_below(0, 7), 0);
        assert_eq!(draw_below(u64::MAX, 7), 6);
        assert_eq!(draw_below(u64::MAX, 0), 0);
        let count = (0..7_000_u64).filter(|n| draw_below(n * (u64::MAX / 7_000), 7) == 3).count();
        assert!((999..=1001).contains(&count), "{count}");
    }

    #[test]
    fn several_draws_never_pick_twice() {
        let mut weights = [1, 5, 0, 2];
        let mut taken = Vec::new();
        draw_several(&mut weights, 4, || 0x8000_0000_0000_0000, |index| taken.push(index));
        // Half of 8 is 4: index 1. Half of 3 is 1: index 3. Then only 0 is left, and 2 never has a share.
        assert_eq!(taken, [1, 3, 0]);
    }

    #[test]
    fn the_best_come_in_order_and_ties_go_round() {
        let scores = [5, 9, 9, 0];
        let all = |start, least| {
            let mut last = None;
            let mut order = Vec::new();
            while let Some(found) = next_best(4, start, least, last, |index| scores[index]) {
                order.push((start + found.1) % 4);
                last = Some(found);
            }
            order
        };
        assert_eq!(all(0, 0), [1, 2, 0, 3]);
        assert_eq!(all(2, 0), [2, 1, 0, 3]);
        assert_eq!(all(0, 1), [1, 2, 0]);
        assert!(all(0, 10).is_empty());
    }

    #[test]
    fn clients_of_one_prefix_share_a_hash() {
        let hash = |text: &str, bits| hash_client(text.parse().unwrap(), bits);
        assert_eq!(hash("192.0.2.1", 24), hash("192.0.2.254", 24));
        assert_ne!(hash("192.0.2.1", 32), hash("192.0.2.254", 32));
        assert_ne!(hash("192.0.2.1", 24), hash("192.0.3.1", 24));
        assert_eq!(hash("192.0.2.1", 0), hash("10.0.0.1", 0));
        assert_eq!(hash("2001:db8::1", 64), hash("2001:db8::ffff", 64));
        assert_ne!(hash("2001:db8::1", 128), hash("2001:db8::ffff", 128));
        assert_eq!(hash("::1", 0), hash("2001:db8::ffff", 0));
        assert_ne!(hash("0.0.0.1", 32), hash("::1", 128));
    }

    #[test]
    fn the_hashes_are_those_of_every_version() {
        // Computed apart from this code; a change would move every client to another member.
        assert_eq!(hash_octets(b"ny-lb1/www"), 0xd2c3_5af1_dfe5_5260);
        assert_eq!(hash_client("192.0.2.1".parse().unwrap(), 32), 0x669b_5591_ba51_768c);
        assert_eq!(hash_client("2001:db8::1".parse().unwrap(), 128), 0xcba2_4efe_30d8_c756);
    }
}
