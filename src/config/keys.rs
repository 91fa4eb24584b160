//! TSIG keys: what is written → secrets under their names. No message repeats a secret.

use data_encoding::BASE64;

use crate::wire::{Algorithm, Key, Keys, Name};

use super::collections::Named;
use super::file::{self, KeyAlgorithm};
use super::limits;
use super::node::Place;
use super::sources::{Reader, show_io};

/// The keys of the map at `place`.
pub(crate) fn resolve(written: &Named<file::Key>, place: &Place<'_>, reader: &Reader<'_>) -> Keys {
    let mut keys: Vec<Key> = Vec::new();
    for (index, name, key) in written.iter() {
        let place = place.entry(index);
        let Some(name) = key_name(name, &place, reader) else { continue };
        if keys.iter().any(|other| *other.name() == name) {
            reader.issues.error_at_key(&place, format!("the key {name} is written twice: case does not count"));
        }
        if let Some(key) = key {
            keys.extend(resolve_key(&name, key, &place, reader));
        }
    }
    Keys::new(keys)
}

/// The name of a key, which is a domain name; the final dot may be left out.
fn key_name(written: &str, place: &Place<'_>, reader: &Reader<'_>) -> Option<Name> {
    let name = Name::parse(written, Some(&Name::root()));
    let name = name.map_err(|error| reader.issues.error_at_key(place, format!("not a name: {error}"))).ok()?;
    if name.as_wire().len() > limits::KEY_NAME_OCTETS_MAX {
        let most = limits::KEY_NAME_OCTETS_MAX;
        reader
            .issues
            .error_at_key(place, format!("a key's name takes at most {most} octets: every message carries it"));
    }
    Some(name.to_lowercase())
}

fn resolve_key(name: &Name, written: &file::Key, place: &Place<'_>, reader: &Reader<'_>) -> Option<Key> {
    let issues = reader.issues;
    let algorithm = match written.algorithm {
        None | Some(KeyAlgorithm::HmacSha256) => Algorithm::HmacSha256,
        Some(KeyAlgorithm::HmacSha1) => Algorithm::HmacSha1,
        Some(KeyAlgorithm::HmacSha224) => Algorithm::HmacSha224,
        Some(KeyAlgorithm::HmacSha384) => Algorithm::HmacSha384,
        Some(KeyAlgorithm::HmacSha512) => Algorithm::HmacSha512,
    };
    if algorithm == Algorithm::HmacSha1 && written.allow_weak != Some(true) {
        let message = "hmac-sha1 is weak: use hmac-sha256, or set `allow_weak: true` for a client that cannot";
        issues.error_at_key(&place.field("algorithm"), message);
    }
    let secret = secret(written, place, reader)?;
    if secret.len() < limits::KEY_SECRET_OCTETS_ADVISED {
        let (octets, advised) = (secret.len(), limits::KEY_SECRET_OCTETS_ADVISED);
        issues.warn(place, format!("a secret of {octets} octets can be guessed: use {advised} random ones or more"));
    }
    let key = Key::new(name, algorithm, &secret);
    let Some(octets) = written.mac_octets_min else { return Some(key) };
    let (least, most) = (algorithm.mac_octets_min(), algorithm.mac_octets());
    if octets < least || octets > most {
        let message = format!("{octets} is not from {least} to {most}: RFC 8945 §5.2.2.1 allows no shorter MAC");
        issues.error(&place.field("mac_octets_min"), message);
    }
    Some(key.with_mac_octets_min(octets))
}

fn secret(written: &file::Key, place: &Place<'_>, reader: &Reader<'_>) -> Option<Vec<u8>> {
    let issues = reader.issues;
    let (text, place) = match (&written.secret, &written.secret_file) {
        (Some(secret), None) => (secret.0.clone(), place.field("secret")),
        (None, Some(file)) => {
            let place = place.field("secret_file");
            let (path, text) = reader.text(file, &place, limits::KEY_FILE_BYTES_MAX);
            let fail = |error| issues.error(&place, format!("cannot read {}: {}", path.display(), show_io(&error)));
            (text.map_err(fail).ok()?, place)
        }
        (None, None) => {
            issues.error_at_key(place, "`secret` or `secret_file` is missing");
            return None;
        }
        (Some(_), Some(_)) => {
            issues.error_at_key(&place.field("secret_file"), "the key has a `secret` too: write it in one place");
            return None;
        }
    };
    let text: String = text.split_ascii_whitespace().collect();
    match BASE64.decode(text.as_bytes()) {
        Ok(secret) if !secret.is_empty() => return Some(secret),
        Ok(_) => issues.error_at_key(&place, "the secret is empty"),
        Err(_) => issues.error_at_key(&place, "the secret is not base64: `openssl rand -base64 32` makes one"),
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{check, folder, load_text, load_with};

    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";

    #[test]
    fn keys_are_found_by_name() {
        let text = format!(
            "node: n\nkeys:\n  a: {{secret: {SECRET}}}\n  B.example.: {{algorithm: hmac-sha512, secret_file: b.key}}\n  \
             c: {{algorithm: hmac-sha1, allow_weak: true, secret: {SECRET}, mac_octets_min: 10}}\n"
        );
        let config = load_with(&text, &[("b.key", &format!("{SECRET}\n"))]).unwrap();
        let shown = format!("{:?}", config.keys);
        assert!(shown.contains("a. hmac-sha256") && shown.contains("b.example. hmac-sha512"), "{shown}");
        assert!(shown.contains("c. hmac-sha1"), "{shown}");
    }

    #[test]
    fn mistakes_are_placed() {
        let key = |rest: &str| format!("keys: {{a: {{{rest}}}}}\n");
        check(&key(""), "2:8: keys.a: `secret` or `secret_file` is missing");
        check(&key("secret: x"), "2:12: keys.a.secret: the secret is not base64: `openssl rand -base64 32` makes one");
        check(&key("secret: \"\""), "2:12: keys.a.secret: the secret is empty");
        let weak = "2:12: keys.a.algorithm: hmac-sha1 is weak: use hmac-sha256, or set `allow_weak: true` for a client that cannot";
        check(&key(&format!("algorithm: hmac-sha1, secret: {SECRET}")), weak);
        let short = "2:74: keys.a.mac_octets_min: 9 is not from 16 to 32: RFC 8945 §5.2.2.1 allows no shorter MAC";
        check(&key(&format!("secret: {SECRET}, mac_octets_min: 9")), short);
        let twice = format!("keys: {{a: {{secret: {SECRET}}}, A: {{secret: {SECRET}}}}}\n");
        check(&twice, "2:59: keys.A: the key a. is written twice: case does not count");
    }

    #[test]
    fn no_message_shows_a_secret() {
        let wrong = [
            format!("node: n\nkeys: {{a: {{secert: {SECRET}}}}}\n"),
            format!("node: n\nkeys: {{a: {{secret: [{SECRET}]}}}}\n"),
            format!("node: n\nkeys:\n  a: {{secret: {SECRET}, algorithm: x}}\n"),
            format!("node: n\nkeys:\n  a:\n    secret: \"{SECRET}!\"\n"),
        ];
        for text in &wrong {
            let folder = folder(&[("fairlead.yaml", text)]);
            let errors = crate::config::load(&folder.path().join("fairlead.yaml"), 1).unwrap_err().to_string();
            assert!(!errors.contains(SECRET), "{errors}");
        }
        let config = load_text(&format!("node: n\nkeys: {{a: {{secret: {SECRET}}}}}\n")).unwrap();
        assert!(!format!("{config:?}").contains(SECRET));
    }
}
