//! A serde deserializer over [`Node`]s that reports every mistake, not the first.
//!
//! serde stops at the first error of a value. Here each error is written down with its place, the node that caused it
//! is left out, and the value is read again, until a pass finds nothing new. A good file is read once; a bad one once
//! more for each error inside one entry, since lists and maps of objects ([`super::collections`]) go on by themselves.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::issues::{Issues, nearest};
use super::node::{Entry, Node, Place, Shortened, Value};
use super::schema;

/// How often a value is read again before what was found must do.
const PASSES_MAX: usize = 50;

/// Reads the value at `place`; what is wrong in it is reported. `None` when what is left makes no value.
pub(crate) fn decode<T: DeserializeOwned>(place: &Place<'_>, issues: &Issues) -> Option<T> {
    let pass = Pass { issues, left_out: RefCell::default(), required: OnceCell::new() };
    for _ in 0..PASSES_MAX {
        let before = pass.left_out.borrow().len();
        let result = T::deserialize(Decoder { place: place.clone(), pass: &pass });
        if let Err(Failure::New(mistake)) = &result {
            pass.report(mistake, place);
        }
        if pass.left_out.borrow().len() == before {
            return result.ok();
        }
    }
    None
}

/// What the passes over one value share.
struct Pass<'p> {
    issues: &'p Issues,
    /// The nodes and keys with a mistake in them, by address: they stay in place for as long as the tree is borrowed.
    left_out: RefCell<HashSet<*const ()>>,
    /// The keys that each type needs; looked up when one is missing.
    required: OnceCell<HashMap<String, Vec<String>>>,
}

impl Pass<'_> {
    fn leave_out<T>(&self, part: &T) {
        self.left_out.borrow_mut().insert(std::ptr::from_ref(part).cast());
    }

    fn is_left_out<T>(&self, part: &T) -> bool {
        self.left_out.borrow().contains(&std::ptr::from_ref(part).cast())
    }

    fn report(&self, mistake: &Mistake, place: &Place<'_>) {
        match mistake {
            Mistake::Missing { .. } if place.is_root() && self.issues.is_incomplete() => {}
            Mistake::Missing { of, first } => self.report_missing(of, first, place),
            Mistake::Other(message) => self.issues.error(place, message),
            Mistake::NotOneOf { written, expected } => {
                let list = expected.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
                let message = format!("`{}` is not one of {list}", Shortened(written));
                self.issues.error_with_suggestion(place, message, nearest(written, expected.iter().copied()));
            }
            Mistake::UnknownKey { .. } => {}
        }
    }

    /// Reports every key that a value of the type `of` lacks; serde told the first.
    fn report_missing(&self, of: &str, first: &str, place: &Place<'_>) {
        let required = self.required.get_or_init(schema::required_keys).get(of);
        let needed = required.map_or_else(|| vec![first], |keys| keys.iter().map(String::as_str).collect());
        // One that is written was left out because its value is wrong: that has been said.
        for key in needed.into_iter().filter(|key| !place.has(key)) {
            self.issues.error_at_key(place, format!("`{key}` is missing"));
        }
    }

    /// Reads one child with `read`; writes down what is wrong in it and leaves it out of the next pass.
    fn child<R>(&self, place: &Place<'_>, read: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
        let Some(node) = place.node() else { return Err(Failure::Known) };
        if self.is_left_out(node) {
            return Err(Failure::Known);
        }
        let before = self.left_out.borrow().len();
        read().map_err(|failure| {
            if let Failure::New(mistake) = failure {
                self.report(&mistake, place);
                self.leave_out(node);
            } else if self.left_out.borrow().len() == before {
                // Leaving parts of it out did not help.
                self.leave_out(node);
            }
            Failure::Known
        })
    }

    /// Reads one key; `Err` when it is none of those that may stand there.
    fn key<'de, S: DeserializeSeed<'de>>(&self, map: &Place<'_>, entry: &Entry, seed: S) -> Result<S::Value, Failure> {
        let key: de::value::StrDeserializer<'_, Failure> = (&*entry.key).into_deserializer();
        seed.deserialize(key).map_err(|failure| {
            let place = map.of_entry(entry);
            self.leave_out(entry);
            match failure {
                Failure::New(Mistake::UnknownKey { expected }) => {
                    let known = expected.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                    let suggestion = nearest(&entry.key, expected.iter().copied());
                    let message = match &suggestion {
                        Some(_) => "unknown key".to_owned(),
                        None => format!("unknown key; the keys here are {known}"),
                    };
                    self.issues.error_at_key_with_suggestion(&place, message, suggestion);
                }
                Failure::New(mistake) => self.report(&mistake, &place),
                Failure::Known => {}
            }
            Failure::Known
        })
    }
}

/// Why a value could not be made.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A mistake not yet written down: whoever knows the place does it.
    New(Mistake),
    /// All of it is written down.
    Known,
}

/// A mistake before its place is known.
#[derive(Debug)]
pub(crate) enum Mistake {
    UnknownKey {
        expected: &'static [&'static str],
    },
    /// The type is empty where it is not known.
    Missing {
        of: &'static str,
        first: &'static str,
    },
    NotOneOf {
        written: String,
        expected: &'static [&'static str],
    },
    Other(String),
}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::New(Mistake::Other(message.to_string()))
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            de::Unexpected::Unit => "nothing".to_owned(),
            de::Unexpected::Str(text) => format!("`{}`", Shortened(text)),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a map".to_owned(),
            other => other.to_string(),
        };
        Self::custom(format_args!("expected {expected}, found {found}"))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::New(Mistake::UnknownKey { expected })
    }

    fn unknown_variant(written: &str, expected: &'static [&'static str]) -> Self {
        Self::New(Mistake::NotOneOf { written: written.to_owned(), expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::New(Mistake::Missing { of: "", first: field })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {}

/// One value about to be read.
struct Decoder<'a, 'p> {
    place: Place<'a>,
    pass: &'p Pass<'p>,
}

impl<'a, 'p> Decoder<'a, 'p> {
    fn value(&self) -> &'a Value {
        self.place.node().map_or(&Value::Null, |node| &node.value)
    }

    fn text(&self, wanted: &str) -> Result<&'a str, Failure> {
        match self.value() {
            Value::Text(text) => Ok(text),
            other => Err(de::Error::custom(format_args!("expected {wanted}, found {other}"))),
        }
    }

    fn whole<N: std::str::FromStr + fmt::Display>(&self, min: N, max: N) -> Result<N, Failure> {
        let wanted = format!("a number from {min} to {max}");
        let text = self.text(&wanted)?;
        text.parse().map_err(|_| de::Error::custom(format_args!("{} is not {wanted}", Shortened(text))))
    }

    fn list(self) -> Result<Items<'a, 'p>, Failure> {
        match self.value() {
            Value::List(_) | Value::Null => Ok(Items { place: self.place, pass: self.pass, next: 0 }),
            other => Err(de::Error::custom(format_args!("expected a list, found {other}"))),
        }
    }

    fn map(self, left_out: LeftOut) -> Result<Entries<'a, 'p>, Failure> {
        match self.value() {
            Value::Map(_) | Value::Null => Ok(Entries { place: self.place, pass: self.pass, next: 0, left_out }),
            other => Err(de::Error::custom(format_args!("expected a map, found {other}"))),
        }
    }
}

/// What becomes of an entry that was left out in an earlier pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LeftOut {
    /// It is not shown to the reader: a field that is as good as absent.
    Skipped,
    /// The reader is told of a failure in its place, so that it can count.
    Failed,
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.$visit(self.whole($number::MIN, $number::MAX)?)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Decoder<'_, '_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(_) => visitor.visit_seq(self.list()?),
            Value::Map(_) => visitor.visit_map(self.map(LeftOut::Skipped)?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.text("true or false")? {
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            other => Err(de::Error::custom(format_args!("`{}` is not true or false", Shortened(other)))),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_str(self.text("a text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(self.list()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_map(self.map(LeftOut::Failed)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        of: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_map(self.map(LeftOut::Skipped)?).map_err(|failure| match failure {
            Failure::New(Mistake::Missing { first, .. }) => Failure::New(Mistake::Missing { of, first }),
            other => other,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let wanted = variants.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let text = self.text(&format!("one of {wanted}"))?;
        let variant: de::value::StrDeserializer<'_, Failure> = text.into_deserializer();
        visitor.visit_enum(variant)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The items of a list; one that was left out is a failure in its place.
struct Items<'a, 'p> {
    place: Place<'a>,
    pass: &'p Pass<'p>,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        if self.next >= self.place.node().map_or(0, |node| node.items().len()) {
            return Ok(None);
        }
        let place = self.place.item(self.next);
        self.next += 1;
        let decoder = Decoder { place: place.clone(), pass: self.pass };
        self.pass.child(&place, || seed.deserialize(decoder)).map(Some)
    }
}

/// The entries of a map.
struct Entries<'a, 'p> {
    place: Place<'a>,
    pass: &'p Pass<'p>,
    next: usize,
    left_out: LeftOut,
}

impl<'a> Entries<'a, '_> {
    fn entry(&self, index: usize) -> Option<&'a Entry> {
        self.place.node().and_then(|node: &'a Node| node.entries().get(index))
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        while let Some(entry) = self.entry(self.next) {
            self.next += 1;
            let left_out = self.pass.is_left_out(entry) || self.pass.is_left_out(&*entry.value);
            if !(left_out && self.left_out == LeftOut::Skipped) {
                return self.pass.key(&self.place, entry, seed).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let place = self.place.entry(self.next.saturating_sub(1));
        let decoder = Decoder { place: place.clone(), pass: self.pass };
        self.pass.child(&place, || seed.deserialize(decoder))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{check, load_text};

    #[test]
    fn values_of_the_wrong_form_say_what_is_wanted() {
        check("watch: yes", "2:8: watch: `yes` is not true or false");
        check(
            "listeners: [{address: 0.0.0.0, port: 70000}]",
            "2:38: listeners[0].port: 70000 is not a number from 0 to 65535",
        );
        check("listeners: {port: 53}", "2:12: listeners: expected a list, found a map");
        check("admin: 127.0.0.1:80", "2:8: admin: expected a map, found `127.0.0.1:80`");
        check(
            "unmatched: drpo",
            "2:12: unmatched: `drpo` is not one of `nxdomain`, `refused`, `drop`; did you mean `drop`?",
        );
        check(
            "ready_timeout: 30",
            "2:16: ready_timeout: `30` is not a duration such as `5s`, `2m` or `500ms`: write the unit, `30s` for seconds",
        );
        check(
            "ready_timeout: [1]",
            "2:16: ready_timeout: expected a duration such as `5s`, `2m` or `500ms`, found a list",
        );
        check("state: {}", "2:8: state: expected a text, found a map");
        check("datacenters: {a: 5}", "2:18: datacenters.a: expected a map, found `5`");
        check("servers: {a: {}}", "2:11: servers.a: `datacenter` is missing");
    }

    #[test]
    fn several_mistakes_in_one_object_are_all_shown() {
        let text =
            "node: ns1\npools:\n  web:\n    type: B\n    tll: 5\n    max_answers: -1\n    members: [{ratio: x}]\n";
        let expected = [
            "4:11: pools.web.type: `B` is not one of `A`, `AAAA`, `CNAME`",
            "5:5: pools.web.tll: unknown key; did you mean `ttl`?",
            "6:18: pools.web.max_answers: -1 is not a number from 0 to 65535",
            "7:23: pools.web.members[0].ratio: x is not a number from 0 to 65535",
        ];
        assert_eq!(load_text(text).unwrap_err(), expected);
    }

    #[test]
    fn nothing_written_is_nothing_given() {
        assert!(load_text("node: ns1\npools:\nadmin:\nlisteners: ~\ndatacenters: {a:, b: ~}\n").is_ok());
        check("servers: {a: ~}", "2:11: servers.a: `datacenter` is missing");
    }

    #[test]
    fn all_that_is_missing_is_told() {
        let errors = load_text("zones: [{}]\nwide_ips: [{name: a..b}, ~]\n").unwrap_err();
        let expected = [
            "1:1: `node` is missing",
            "1:9: zones[0]: `name` is missing",
            "2:12: wide_ips[0]: `type` is missing",
            "2:19: wide_ips[0].name: `a..b` is not a domain name: empty label: two dots in a row, or a dot at the start",
            "2:26: wide_ips[1]: `name` is missing",
            "2:26: wide_ips[1]: `type` is missing",
        ];
        assert_eq!(errors, expected);
    }
}
