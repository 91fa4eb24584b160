//! What HAProxy's configuration tells that its Runtime API does not: which backends stand behind a frontend, and the
//! addresses a frontend is bound to. Pure; reads only the few keywords it needs and is silent on the rest, since HAProxy
//! itself has already checked the file.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The frontends and listen sections of a configuration, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Configuration {
    pub(super) frontends: HashMap<String, Frontend>,
}

/// One frontend or listen section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frontend {
    /// The backends it may use, each once: its own servers (listen), those of its rules in order, then the default.
    pub(super) backends: Vec<String>,
    /// Whether a rule picks backends by name at run time, so that `backends` is not all.
    pub(super) dynamic: bool,
    /// The addresses it is bound to that a client could be given, in order: no wildcards, Unix sockets or port ranges.
    pub(super) addresses: Vec<SocketAddr>,
    /// Its own or inherited `default_backend`, until the file is read to its end.
    default: Option<String>,
}

/// The `default_backend` of a section that others may take it from.
#[derive(Default)]
struct Defaults {
    by_name: HashMap<String, Option<String>>,
    /// The last `defaults` section's.
    current: Option<String>,
}

enum Section {
    /// One we have no interest in.
    Other,
    Defaults(String),
    Frontend(String),
}

/// Reads configuration files in the order HAProxy was given them.
pub(super) fn parse<'a>(files: impl IntoIterator<Item = &'a str>) -> Configuration {
    let mut configuration = Configuration::default();
    let mut defaults = Defaults::default();
    let mut section = Section::Other;
    for words in files.into_iter().flat_map(str::lines).map(words) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [kind @ ("frontend" | "listen"), name, rest @ ..] => {
                let frontend = configuration.frontends.entry((*name).to_owned()).or_default();
                frontend.default = inherited(rest, &defaults, defaults.current.clone());
                if *kind == "listen" {
                    frontend.backends.push((*name).to_owned());
                }
                section = Section::Frontend((*name).to_owned());
            }
            ["defaults", rest @ ..] => {
                let name = rest.first().copied().unwrap_or_default().to_owned();
                // But for `from`, every `defaults` section starts afresh.
                defaults.current = inherited(rest.get(1..).unwrap_or_default(), &defaults, None);
                defaults.by_name.insert(name.clone(), defaults.current.clone());
                section = Section::Defaults(name);
            }
            [keyword, ..] if is_section(keyword) => section = Section::Other,
            line => configuration.take_line(line, &section, &mut defaults),
        }
    }
    configuration.frontends.values_mut().for_each(Frontend::finish);
    configuration
}

impl Configuration {
    fn take_line(&mut self, line: &[&str], section: &Section, defaults: &mut Defaults) {
        match (section, line) {
            (Section::Defaults(name), ["default_backend", backend, ..]) => {
                defaults.current = Some((*backend).to_owned());
                defaults.by_name.insert(name.clone(), defaults.current.clone());
            }
            (Section::Frontend(name), line) => {
                if let Some(frontend) = self.frontends.get_mut(name) {
                    frontend.take_line(line);
                }
            }
            _ => {}
        }
    }
}

impl Frontend {
    fn take_line(&mut self, line: &[&str]) {
        match line {
            ["default_backend", backend, ..] => self.default = Some((*backend).to_owned()),
            ["use_backend", backend, ..] => self.add(backend),
            ["bind", addresses, ..] => addresses.split(',').filter_map(bound_address).for_each(|address| {
                if !self.addresses.contains(&address) {
                    self.addresses.push(address);
                }
            }),
            _ => {}
        }
    }

    fn add(&mut self, backend: &str) {
        // A log-format expression, or an environment variable of HAProxy's process.
        if backend.contains('%') || backend.contains('$') {
            self.dynamic = true;
        } else if !self.backends.iter().any(|known| known == backend) {
            self.backends.push(backend.to_owned());
        }
    }

    fn finish(&mut self) {
        if let Some(backend) = self.default.take() {
            self.add(&backend);
        }
    }
}

/// The `default_backend` of the section named after `from`, else `otherwise`.
fn inherited(rest: &[&str], defaults: &Defaults, otherwise: Option<String>) -> Option<String> {
    match rest {
        ["from", name, ..] => defaults.by_name.get(*name).cloned().flatten(),
        _ => otherwise,
    }
}

/// Section keywords of HAProxy 2.x and 3.x; all stand alone at the start of their line.
fn is_section(word: &str) -> bool {
    const SECTIONS: [&str; 17] = [
        "backend",
        "global",
        "userlist",
        "peers",
        "resolvers",
        "mailers",
        "program",
        "http-errors",
        "ring",
        "cache",
        "log-forward",
        "fcgi-app",
        "crt-store",
        "traces",
        "log-profile",
        "acme",
        "aggregations",
    ];
    SECTIONS.contains(&word)
}

/// One address of a `bind` line or of a listener, if clients can be given it.
pub(super) fn bound_address(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("ipv4@").or_else(|| text.strip_prefix("ipv6@")).unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address: IpAddr = host.parse().ok()?;
    (!address.is_unspecified()).then(|| SocketAddr::new(address, port))
}

/// The words of a line: split at white space; quotes and backslashes as in HAProxy's configuration manual §2.2, and `#`
/// ends the line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let escaped = characters.next().unwrap_or('\\');
                word.get_or_insert_default().push(escaped);
            }
            (None, '#') => break,
            (None, blank) if blank.is_ascii_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(text: &str, frontend: &str) -> String {
        let configuration = parse([text]);
        let frontend = &configuration.frontends[frontend];
        let dynamic = if frontend.dynamic { " and others" } else { "" };
        format!("{}{dynamic}", frontend.backends.join(" "))
    }

    #[test]
    fn the_backends_of_a_frontend_are_found() {
        let rows = [
            ("frontend www\n default_backend web\nbackend web\n server s 1.2.3.4:80", "web"),
            ("frontend www\n use_backend api if { path_beg /api }\n default_backend web", "api web"),
            ("frontend www\n use_backend a if x\n use_backend a if y\n default_backend a # the end", "a"),
            ("frontend www\n use_backend %[req.hdr(host)]\n default_backend web", "web and others"),
            ("frontend www\n default_backend \"${TARGET}\"", " and others"),
            ("defaults\n default_backend wrong\nfrontend www\n default_backend web", "web"),
            ("listen www\n bind 10.0.0.1:80\n server s 1.2.3.4:80", "www"),
            ("listen www\n use_backend api if x", "www api"),
            ("frontend www\n http-request return status 200", ""),
            ("defaults\n default_backend web\nfrontend www\n bind :80", "web"),
            ("defaults\n default_backend web\ndefaults\n mode http\nfrontend www\n bind :80", ""),
            ("defaults a\n default_backend web\ndefaults b\nfrontend www from a\n bind :80", "web"),
            ("defaults a\n default_backend web\ndefaults b from a\nfrontend www from b\n bind :80", "web"),
            ("frontend www\n default_backend web\nglobal\n default_backend wrong", "web"),
            ("frontend www\n default_backend web\nbackend web\n use_backend wrong", "web"),
            ("frontend www\n# default_backend wrong\n default_backend 'web'", "web"),
        ];
        for (text, expected) in rows {
            assert_eq!(backends(text, "www"), expected, "{text}");
        }
    }

    #[test]
    fn the_addresses_a_client_can_be_given_are_found() {
        let rows = [
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.1:80,192.0.2.2:443 ssl crt /etc/x.pem", "192.0.2.1:80 192.0.2.2:443"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("2001:db8::1:443", "[2001:db8::1]:443"),
            ("ipv4@192.0.2.1:80", "192.0.2.1:80"),
            (":80", ""),
            ("*:80", ""),
            ("0.0.0.0:80", ""),
            ("[::]:80 v4v6", ""),
            ("/run/haproxy/www.sock", ""),
            ("192.0.2.1:8000-8010", ""),
            ("\"${ADDRESS}:80\"", ""),
        ];
        for (bind, expected) in rows {
            let text = format!("frontend www\n  bind {bind}\n");
            let configuration = parse([text.as_str()]);
            let addresses: Vec<_> =
                configuration.frontends["www"].addresses.iter().map(SocketAddr::to_string).collect();
            assert_eq!(addresses.join(" "), expected, "{bind}");
        }
    }

    #[test]
    fn files_follow_one_another_and_a_real_configuration_is_read() {
        let real = include_str!("../../tests/data/haproxy/haproxy.cfg");
        let configuration = parse([real, "frontend more\n default_backend web\n"]);
        assert_eq!(configuration.frontends["www"].backends, ["api", "web"]);
        assert_eq!(configuration.frontends["www"].addresses, ["127.0.0.1:18080".parse().unwrap()]);
        assert_eq!(configuration.frontends["both"].backends, ["both"]);
        assert!(configuration.frontends["redirect"].backends.is_empty());
        assert_eq!(configuration.frontends["more"].backends, ["web"]);
        assert!(!configuration.frontends.contains_key("web"));
    }

    #[test]
    fn quotes_escapes_and_comments_are_haproxys() {
        let rows = [
            (r#"a "b c" d#e"#, vec!["a", "b c", "d"]),
            (r"a\ b 'c\d' \#e", vec!["a b", r"c\d", "#e"]),
            (r#"a "b\"c""#, vec!["a", r#"b"c"#]),
            ("  # nothing", vec![]),
            ("''", vec![""]),
        ];
        for (line, expected) in rows {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
