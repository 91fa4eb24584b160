//! EDNS options: what is written → what they do. No message repeats a secret.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::file::{self, CookieMode as Mode};
use super::limits;
use super::node::Place;
use super::sources::{Reader, show_io};
use crate::answer::{CookieMode, CookieSecret, Cookies, EdnsSettings};

/// The settings of the map at `place`. Cookies without a secret get one of the process's own later.
pub(crate) fn resolve(written: Option<&file::EdnsOptions>, place: &Place<'_>, reader: &Reader<'_>) -> EdnsSettings {
    let none = file::EdnsOptions::default();
    let written = written.unwrap_or(&none);
    let none = file::CookieSettings::default();
    let cookies = written.cookies.as_ref().unwrap_or(&none);
    EdnsSettings {
        cookies: resolve_cookies(cookies, &place.field("cookies"), reader),
        extended_errors: written.extended_errors.unwrap_or(true),
    }
}

fn resolve_cookies(written: &file::CookieSettings, place: &Place<'_>, reader: &Reader<'_>) -> Cookies {
    let mode = match written.mode {
        Some(Mode::Off) => CookieMode::Off,
        Some(Mode::On) | None => CookieMode::On,
        Some(Mode::Require) => CookieMode::Require,
    };
    if written.secrets.is_some() && written.secret_file.is_some() {
        reader.issues.error_at_key(&place.field("secret_file"), "there are `secrets` too: write them in one place");
    }
    let secrets = match (&written.secrets, &written.secret_file) {
        (Some(secrets), _) => listed(&secrets.0, &place.field("secrets"), reader),
        (None, Some(_)) => from_file(written, &place.field("secret_file"), reader),
        (None, None) => {
            if mode == CookieMode::Require {
                let message = "without `secrets` or `secret_file` every node and every start has a secret of its own: \
                    clients that reach another node of the same address are refused once more";
                reader.issues.warn(place, message);
            }
            Vec::new()
        }
    };
    Cookies { mode, secrets }
}

fn listed(written: &[file::Secret], place: &Place<'_>, reader: &Reader<'_>) -> Vec<CookieSecret> {
    let texts = written.iter().enumerate().map(|(index, secret)| (place.one_or_item(index), secret.0.as_str()));
    let secrets: Vec<CookieSecret> =
        texts.filter_map(|(place, text)| secret(text).map_err(|why| reader.issues.error(&place, why)).ok()).collect();
    counted(secrets, written.len(), place, reader)
}

fn from_file(written: &file::CookieSettings, place: &Place<'_>, reader: &Reader<'_>) -> Vec<CookieSecret> {
    let Some(file) = &written.secret_file else { return Vec::new() };
    let (path, text) = reader.text(file, place, limits::KEY_FILE_BYTES_MAX);
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            reader.issues.error(place, format!("cannot read {}: {}", path.display(), show_io(&error)));
            return Vec::new();
        }
    };
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let read = |(number, line): &(usize, &str)| {
        let wrong = |why| reader.issues.error(place, format!("line {number} of {}: {why}", path.display()));
        secret(line).map_err(wrong).ok()
    };
    let secrets = lines.iter().filter_map(read).collect();
    counted(secrets, lines.len(), place, reader)
}

/// The secrets, when there are as many as there may be.
fn counted(secrets: Vec<CookieSecret>, written: usize, place: &Place<'_>, reader: &Reader<'_>) -> Vec<CookieSecret> {
    if written == 0 || written > limits::COOKIE_SECRETS_MAX {
        let most = limits::COOKIE_SECRETS_MAX;
        let message = format!("{written} secrets are not from 1 to {most}: each costs a hash for every foreign cookie");
        reader.issues.error(place, message);
    }
    secrets
}

fn secret(text: &str) -> Result<CookieSecret, &'static str> {
    let wrong = "a cookie secret is 32 hexadecimal digits: `openssl rand -hex 16` makes one";
    let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| wrong)?;
    octets.try_into().map(CookieSecret).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{check, load_text, load_with};

    const OLD: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const NEW: &str = "445536BCD2513298075A5D379663C962";

    fn cookies(text: &str, files: &[(&str, &str)]) -> (CookieMode, Vec<u8>) {
        let config = load_with(&format!("node: n\nedns: {{cookies: {{{text}}}}}\n"), files).unwrap();
        let Cookies { mode, secrets } = config.edns.cookies;
        (mode, secrets.iter().map(|secret| secret.0[0]).collect())
    }

    #[test]
    fn secrets_come_from_the_configuration_or_a_file_in_their_order() {
        assert_eq!(cookies("", &[]), (CookieMode::On, vec![]));
        assert_eq!(cookies("mode: off", &[]), (CookieMode::Off, vec![]));
        assert_eq!(cookies(&format!("secrets: {OLD}"), &[]), (CookieMode::On, vec![0xe5]));
        let both = format!("mode: require, secrets: [{NEW}, {OLD}]");
        assert_eq!(cookies(&both, &[]), (CookieMode::Require, vec![0x44, 0xe5]));
        let file = format!("# in use\n{OLD}\n\n  {NEW}\n");
        assert_eq!(cookies("secret_file: c", &[("c", &file)]), (CookieMode::On, vec![0xe5, 0x44]));
        assert!(load_text("node: n\n").unwrap().edns.extended_errors);
        assert!(!load_text("node: n\nedns: {extended_errors: false}\n").unwrap().edns.extended_errors);
    }

    #[test]
    fn mistakes_are_placed_and_no_message_shows_a_secret() {
        let wrong = "a cookie secret is 32 hexadecimal digits: `openssl rand -hex 16` makes one";
        let cookies = |rest: &str| format!("edns: {{cookies: {{{rest}}}}}\n");
        check(&cookies(&format!("secrets: {OLD}00")), &format!("2:27: edns.cookies.secrets: {wrong}"));
        check(&cookies(&format!("secrets: [{OLD}, xyz]")), &format!("2:62: edns.cookies.secrets[1]: {wrong}"));
        let none = "0 secrets are not from 1 to 4: each costs a hash for every foreign cookie";
        check(&cookies("secrets: []"), &format!("2:27: edns.cookies.secrets: {none}"));
        let twice = "2:63: edns.cookies.secret_file: there are `secrets` too: write them in one place";
        check(&cookies(&format!("secrets: [{OLD}], secret_file: c")), twice);
        let text = format!("node: n\n{}", cookies("secret_file: c"));
        let errors = load_with(&text, &[("c", &format!("{OLD}\n{NEW}!\n"))]).unwrap_err();
        assert!(errors[0].contains("line 2 of ") && errors[0].ends_with(wrong), "{errors:?}");
        assert!(!errors[0].contains(NEW), "{errors:?}");
    }
}
