//! Properties that hold for the data of every type, tried on generated and on hostile input.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::wire::{Name, RecordType};

use super::master::{Included, Settings, Verdict, read};
use super::rdata;
use super::rdata_layout::{Field, LAYOUTS};

fn origin() -> Name {
    "example.".parse().unwrap()
}

/// A name of up to 255 octets with any octets in its labels.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let label = prop_oneof![8 => vec(any::<u8>(), 1..12), 1 => vec(any::<u8>(), 63)];
    vec(label, 0..5).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels.iter().filter(|label| label.len() < 64) {
            if wire.len() + label.len() < 254 {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend(label);
            }
        }
        wire.push(0);
        wire
    })
}

fn prefixed(octets: Vec<u8>) -> Vec<u8> {
    let mut wire = vec![u8::try_from(octets.len()).unwrap()];
    wire.extend(octets);
    wire
}

fn text() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 255)].prop_map(prefixed).boxed()
}

fn bitmap() -> BoxedStrategy<Vec<u8>> {
    proptest::collection::btree_map(any::<u8>(), (vec(any::<u8>(), 0..31), 1..=255_u8), 0..4)
        .prop_map(|windows| {
            let one = |(window, (mut bits, last)): (u8, (Vec<u8>, u8))| {
                bits.push(last);
                [vec![window], prefixed(bits)].concat()
            };
            windows.into_iter().flat_map(one).collect()
        })
        .boxed()
}

fn parameters() -> BoxedStrategy<Vec<u8>> {
    let value = |key: u16| match key {
        1 => vec(vec(any::<u8>(), 1..9).prop_map(prefixed), 1..4).prop_map(|names| names.concat()).boxed(),
        3 => vec(any::<u8>(), 2).boxed(),
        4 => vec(any::<u8>(), 4).boxed(),
        5 => vec(any::<u8>(), 1..9).boxed(),
        6 => vec(any::<u8>(), 32).boxed(),
        8 => Just(Vec::new()).boxed(),
        _ => vec(any::<u8>(), 0..20).boxed(),
    };
    let keys = [1, 3, 4, 5, 6, 7, 8, 9, 1000, 65_534];
    let each = keys.map(|key| (Just(key), proptest::option::of(value(key)))).to_vec();
    each.prop_map(|pairs| {
        let mut wire = Vec::new();
        for (key, value) in pairs.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            wire.extend(key.to_be_bytes());
            wire.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            wire.extend(value);
        }
        wire
    })
    .boxed()
}

fn location() -> BoxedStrategy<Vec<u8>> {
    let size = || (0..=9_u8, 0..=9_u8).prop_map(|(mantissa, exponent)| mantissa << 4 | exponent);
    let angle = |degrees: i64| {
        (-degrees * 3_600_000..=degrees * 3_600_000).prop_map(|angle| u32::try_from((1 << 31) + angle).unwrap())
    };
    (size(), size(), size(), angle(90), angle(180), any::<u32>())
        .prop_map(|(a, b, c, latitude, longitude, altitude)| {
            let numbers = [latitude, longitude, altitude].map(u32::to_be_bytes).concat();
            [vec![0, a, b, c], numbers].concat()
        })
        .boxed()
}

fn prefixes() -> BoxedStrategy<Vec<u8>> {
    let item = (any::<bool>(), any::<bool>(), 0..=32_u8, vec(any::<u8>(), 0..4));
    let item = item.prop_map(|(is_negated, is_ipv6, prefix, mut address)| {
        while address.last() == Some(&0) {
            address.pop();
        }
        let length = u8::try_from(address.len()).unwrap() | if is_negated { 0x80 } else { 0 };
        [vec![0, 1 + u8::from(is_ipv6), prefix, length], address].concat()
    });
    vec(item, 0..4).prop_map(|items| items.concat()).boxed()
}

/// Wire form of one field. The gateway of IPSECKEY comes with the three octets before it.
fn field(field: Field) -> BoxedStrategy<Vec<u8>> {
    let octets = |count: usize| vec(any::<u8>(), count).boxed();
    match field {
        Field::U8 | Field::Algorithm => octets(1),
        Field::U16 | Field::CertificateType | Field::Type => octets(2),
        Field::U32 | Field::Period | Field::Time | Field::Ipv4 => octets(4),
        Field::Eui48 => octets(6),
        Field::Eui64 | Field::Locator64 => octets(8),
        Field::Ipv6 => octets(16),
        Field::Name => name().boxed(),
        Field::Text | Field::Salt => text(),
        Field::Hash => vec(any::<u8>(), 1..40).prop_map(prefixed).boxed(),
        Field::Texts => vec(text(), 1..5).prop_map(|texts| texts.concat()).boxed(),
        Field::Tag => "[a-zA-Z0-9]{1,15}".prop_map(|tag| prefixed(tag.into_bytes())).boxed(),
        Field::Value => vec(any::<u8>(), 0..300).boxed(),
        Field::Target | Field::Base64 => vec(any::<u8>(), 1..300).boxed(),
        // The lengths that digests have, among them.
        Field::Hex => {
            prop_oneof![octets(20), octets(32), octets(48), octets(64), vec(any::<u8>(), 1..70).boxed()].boxed()
        }
        Field::Bitmap => bitmap(),
        Field::Location => location(),
        Field::ServiceParameters => parameters(),
        Field::Prefixes => prefixes(),
        Field::Gateway => Just(Vec::new()).boxed(),
    }
}

fn of_type(record_type: RecordType, fields: &[(&str, Field)]) -> BoxedStrategy<Vec<u8>> {
    if record_type == RecordType::IPSECKEY {
        let gateway = prop_oneof![
            Just((0, vec![])),
            vec(any::<u8>(), 4).prop_map(|octets| (1, octets)),
            vec(any::<u8>(), 16).prop_map(|octets| (2, octets)),
            name().prop_map(|name| (3, name)),
        ];
        let parts = (any::<u8>(), gateway, any::<u8>(), vec(any::<u8>(), 0..20));
        return parts.prop_map(|(p, (kind, gateway), a, key)| [vec![p, kind, a], gateway, key].concat()).boxed();
    }
    let fields: Vec<_> = fields.iter().map(|(_, kind)| field(*kind)).collect();
    fields.prop_map(|fields| fields.concat()).boxed()
}

fn of_any_type() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    (0..LAYOUTS.len()).prop_flat_map(|index| {
        let layout = &LAYOUTS[index];
        (Just(layout.record_type), of_type(layout.record_type, layout.fields))
    })
}

/// Checked data survives text, the generic form, and a second printing.
fn check_fixpoint(record_type: RecordType, octets: &[u8]) {
    let text = rdata::to_text(record_type, octets);
    let again = rdata::from_text(record_type, &text, &origin());
    assert_eq!(again.as_deref(), Ok(octets), "{record_type} {text}");
    let generic = format!("\\# {} {}", octets.len(), data_encoding::HEXLOWER.encode(octets));
    assert_eq!(rdata::from_text(record_type, &generic, &origin()).as_deref(), Ok(octets), "{generic}");
    for name in rdata::names(record_type, octets) {
        let wire = &octets[name.offset..name.offset + name.length];
        assert_eq!(Name::from_wire(wire).unwrap().as_wire(), wire);
    }
    let mut folded = Vec::new();
    rdata::append_canonical(record_type, octets, &mut folded);
    assert!(folded.eq_ignore_ascii_case(octets));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn wire_to_text_and_back_changes_nothing((record_type, octets) in of_any_type()) {
        if let Err(error) = rdata::check(record_type, &octets) {
            // Only a digest may be of a length that its kind does not have.
            prop_assert_eq!(error.field, "digest", "{} {:?}", error, octets);
        } else {
            check_fixpoint(record_type, &octets);
        }
    }

    #[test]
    fn hostile_octets_are_refused_or_survive(
        (record_type, octets) in of_any_type(),
        other in 0..LAYOUTS.len(),
        at in any::<prop::sample::Index>(),
        change in any::<u8>(),
        length in any::<prop::sample::Index>(),
    ) {
        let mut changed = octets.clone();
        if !changed.is_empty() {
            let at = at.index(changed.len());
            changed[at] = change;
        }
        let cut = &octets[..length.index(octets.len() + 1)];
        for (record_type, octets) in [
            (record_type, &changed[..]), (record_type, cut), (LAYOUTS[other].record_type, &octets[..]),
        ] {
            let text = rdata::to_text(record_type, octets);
            prop_assert!(!text.contains(['\n', '\0']));
            if rdata::check(record_type, octets).is_ok() {
                check_fixpoint(record_type, octets);
            }
            rdata::names(record_type, octets).count();
            rdata::target(record_type, octets);
        }
    }

    #[test]
    fn what_is_read_from_any_text_is_checked_data(
        index in 0..LAYOUTS.len(),
        text in "([-0-9a-zA-Z.:/=,\\\\\"#!+ ]|[0-9]{1,3} ){0,40}",
    ) {
        let record_type = LAYOUTS[index].record_type;
        if let Ok(octets) = rdata::from_text(record_type, &text, &origin()) {
            prop_assert_eq!(rdata::check(record_type, &octets), Ok(()));
            check_fixpoint(record_type, &octets);
        }
    }

    #[test]
    fn any_file_is_read_to_its_end_with_its_faults_inside_it(
        text in "([a-c@*.] | |IN |A |TXT |SOA |NS |1[.]2[.]3[.]4|\"|[(]|[)]|;|\\\\|[$](ORIGIN|TTL|INCLUDE|GENERATE) |[0-9]{1,3}|-|\n|\r\n|é|\0|[$][{]){0,60}",
    ) {
        let origin = origin();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: None };
        let mut include = |path: &str, _: &str| Ok(Included { name: path.to_owned(), text: b"x 1 A 192.0.2.1".to_vec() });
        let report = read(text.as_bytes(), &settings, &mut include, &mut |record| {
            assert!(record.owner.as_wire().len() <= 255 && record.ttl <= 0x7fff_ffff);
            assert_eq!(rdata::check(record.record_type, record.rdata), Ok(()));
            Verdict::Taken
        });
        let lines = text.split('\n').count();
        for fault in report.errors {
            prop_assert!(fault.line >= 1 && fault.line <= lines && fault.column >= 1, "{}", fault);
        }
    }
}
