//! What HAProxy's Runtime API answers to `show info;show stat`, as values. Pure; fields are found by their header names,
//! so that columns may come and go between HAProxy's versions.

use std::borrow::Cow;
use std::fmt;

/// What is sent to the Runtime API: both in one connection.
pub(super) const COMMAND: &[u8] = b"show info;show stat\n";

/// One reading of HAProxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Reading {
    /// Its process number, in its own process namespace; changes with every reload.
    pub(super) pid: Option<u32>,
    /// Every line of `show stat`, in order.
    pub(super) rows: Vec<Row>,
}

/// What a line of `show stat` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Frontend,
    Backend,
    Server,
    Listener,
}

/// One line of `show stat`; the management guide §9.1 names the fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// `pxname`: the frontend, backend or listen section.
    pub(super) proxy: String,
    /// `svname`: the server's or listener's name.
    pub(super) service: String,
    pub(super) kind: Kind,
    /// `status`, as HAProxy writes it: `OPEN`, `UP 1/3`, `DOWN`, `MAINT (via a/b)`, `no check`, …
    pub(super) status: String,
    /// `check_status`: how the last check went, `L4CON`, `L7STS`, …
    pub(super) check: String,
    /// `addr`: of a server or listener; shown to sockets of level operator and above only.
    pub(super) address: String,
    pub(super) weight: Option<u64>,
    pub(super) connections: Option<u64>,
    /// `conn_rate`, or `rate` where that is missing.
    pub(super) connection_rate: Option<u64>,
    pub(super) queue: Option<u64>,
    pub(super) octets_in: Option<u64>,
    pub(super) octets_out: Option<u64>,
}

/// Why an answer of the Runtime API cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It does not end as a whole answer does.
    Truncated,
    /// It has no line that names the columns.
    NoHeader(String),
    /// A column that must be there is missing.
    NoColumn(&'static str),
    /// A line has not the columns it should have. Counted from 1 after the header.
    Line(usize),
    /// It is not text.
    NotText,
}

/// Reads the answer to [`COMMAND`]. All or nothing: half an answer would make members vanish.
pub(super) fn parse(answer: &[u8]) -> Result<Reading, Malformed> {
    let text = std::str::from_utf8(answer).map_err(|_| Malformed::NotText)?;
    // Every command's answer ends with an empty line, the last one's too.
    if !text.ends_with("\n\n") {
        return Err(if text.contains("# pxname") { Malformed::Truncated } else { no_header(text) });
    }
    let Some((info, stat)) = text.split_once("# pxname") else { return Err(no_header(text)) };
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid: ")).and_then(|pid| pid.trim().parse().ok());
    let mut records = Records { rest: stat };
    let header = records.next().ok_or(Malformed::NoColumn("svname"))?;
    let columns = Columns::find(&header)?;
    let mut rows = Vec::new();
    for (index, record) in records.enumerate() {
        if record.iter().all(|field| field.is_empty()) {
            continue;
        }
        if let Some(row) = columns.row(&record).ok_or(Malformed::Line(index + 1))? {
            rows.push(row);
        }
    }
    Ok(Reading { pid, rows })
}

fn no_header(text: &str) -> Malformed {
    let start: String = text.trim().chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Malformed::NoHeader(start)
}

impl Reading {
    /// The lines of one kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }
}

impl Row {
    /// Whether this server takes new connections: it is up (also on its way down, `UP 1/3`), or unchecked, and has a
    /// weight. `DRAIN`, `NOLB`, `MAINT` and `DOWN` do not.
    pub(super) fn is_up(&self) -> bool {
        let up = self.status.split_whitespace().next() == Some("UP") || self.status == "no check";
        up && self.weight != Some(0)
    }
}

/// Where the fields stand.
struct Columns {
    service: usize,
    status: usize,
    kind: usize,
    check: Option<usize>,
    address: Option<usize>,
    weight: Option<usize>,
    connections: Option<usize>,
    rate: Option<usize>,
    connection_rate: Option<usize>,
    queue: Option<usize>,
    octets_in: Option<usize>,
    octets_out: Option<usize>,
}

impl Columns {
    /// Finds the columns by name. The first, `pxname`, is where the header was found.
    fn find(header: &[Cow<'_, str>]) -> Result<Self, Malformed> {
        let optional = |name: &str| header.iter().position(|column| column == name);
        let needed = |name: &'static str| optional(name).ok_or(Malformed::NoColumn(name));
        Ok(Self {
            service: needed("svname")?,
            status: needed("status")?,
            kind: needed("type")?,
            check: optional("check_status"),
            address: optional("addr"),
            weight: optional("weight"),
            connections: optional("scur"),
            rate: optional("rate"),
            connection_rate: optional("conn_rate"),
            queue: optional("qcur"),
            octets_in: optional("bin"),
            octets_out: optional("bout"),
        })
    }

    /// A line's fields; `Some(None)` for a kind that is unknown, `None` for a line that is not whole.
    fn row(&self, record: &[Cow<'_, str>]) -> Option<Option<Row>> {
        let text = |index: Option<usize>| {
            index.and_then(|index| record.get(index)).map(|text| text.clone().into_owned()).unwrap_or_default()
        };
        let number =
            |index: Option<usize>| index.and_then(|index| record.get(index)).and_then(|text| text.parse().ok());
        let kind = match &**record.get(self.kind)? {
            "0" => Kind::Frontend,
            "1" => Kind::Backend,
            "2" => Kind::Server,
            "3" => Kind::Listener,
            other => return other.parse::<u8>().is_ok().then_some(None),
        };
        Some(Some(Row {
            proxy: record.first()?.clone().into_owned(),
            service: record.get(self.service)?.clone().into_owned(),
            kind,
            status: record.get(self.status)?.clone().into_owned(),
            check: text(self.check),
            address: text(self.address),
            weight: number(self.weight),
            connections: number(self.connections),
            connection_rate: number(self.connection_rate).or_else(|| number(self.rate)),
            queue: number(self.queue),
            octets_in: number(self.octets_in),
            octets_out: number(self.octets_out),
        }))
    }
}

/// The records of a CSV text (RFC 4180 §2: fields may be quoted, and then hold commas, line ends and doubled quotes).
struct Records<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Records<'a> {
    type Item = Vec<Cow<'a, str>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        if line.contains('"') {
            return Some(self.quoted());
        }
        // A large HAProxy tells a million fields each second: nothing is copied of a line without quotes.
        self.rest = rest;
        Some(line.split(',').map(Cow::Borrowed).collect())
    }
}

impl<'a> Records<'a> {
    /// Takes a record that has a quoted field, and so may go on over the end of the line.
    fn quoted(&mut self) -> Vec<Cow<'a, str>> {
        let mut fields = Vec::new();
        let mut field = String::new();
        let mut in_quotes = false;
        let mut characters = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' if in_quotes && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                    field.push('"');
                    characters.next();
                }
                '"' => in_quotes = !in_quotes,
                ',' if !in_quotes => fields.push(Cow::Owned(std::mem::take(&mut field))),
                '\n' if !in_quotes => {
                    end = index + 1;
                    break;
                }
                other => field.push(other),
            }
        }
        self.rest = self.rest.get(end..).unwrap_or_default();
        fields.push(Cow::Owned(field));
        fields
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the answer breaks off"),
            Self::NoHeader(start) if start.is_empty() => f.write_str("the answer is empty"),
            Self::NoHeader(start) => write!(f, "the answer is no statistics but {start:?}"),
            Self::NoColumn(name) => write!(f, "the statistics lack the column {name}"),
            Self::Line(number) => write!(f, "line {number} of the statistics is not whole"),
            Self::NotText => f.write_str("the answer is not text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UP: &str = include_str!("../../tests/data/haproxy/up.txt");
    const USER_LEVEL: &str = include_str!("../../tests/data/haproxy/user_level.txt");

    fn row<'a>(reading: &'a Reading, proxy: &str, service: &str) -> &'a Row {
        reading.rows.iter().find(|row| row.proxy == proxy && row.service == service).unwrap()
    }

    #[test]
    fn a_recorded_answer_of_haproxy_2_6_is_read() {
        let reading = parse(UP.as_bytes()).unwrap();
        assert!(reading.pid.is_some());
        assert_eq!(reading.of(Kind::Frontend).count(), 6);
        assert_eq!(reading.of(Kind::Backend).count(), 5);
        assert_eq!(reading.of(Kind::Server).count(), 8);
        let www = row(&reading, "www", "FRONTEND");
        assert_eq!((www.status.as_str(), www.connections), ("OPEN", Some(1)));
        assert!(www.connection_rate.is_some() && www.octets_in.unwrap() > 0 && www.octets_out.unwrap() > 0);
        let listener = reading.of(Kind::Listener).next().unwrap();
        assert_eq!((listener.proxy.as_str(), listener.address.as_str()), ("wild", "0.0.0.0:18082"));
        let down = row(&reading, "both", "b1");
        assert_eq!((down.status.as_str(), down.check.as_str()), ("DOWN", "L4CON"));
        assert!(!down.is_up());
        assert!(row(&reading, "web", "s1").is_up() && row(&reading, "web", "s3").is_up(), "UP and no check");
        assert!(!row(&reading, "web", "s4").is_up() && !row(&reading, "api", "a2").is_up(), "MAINT and weight 0");
    }

    #[test]
    fn a_socket_of_level_user_shows_no_addresses_and_is_read_all_the_same() {
        let reading = parse(USER_LEVEL.as_bytes()).unwrap();
        assert!(reading.rows.iter().all(|row| row.address.is_empty()));
        assert_eq!(row(&reading, "api", "n").status, "MAINT (resolution)");
    }

    #[test]
    fn every_state_of_a_server_is_up_or_not() {
        let rows = [
            ("UP", 1, true),
            ("UP 1/3", 1, true),
            ("no check", 1, true),
            ("UP", 0, false),
            ("DRAIN", 1, false),
            ("NOLB", 1, false),
            ("NOLB 1/3", 1, false),
            ("MAINT", 1, false),
            ("MAINT (via a/b)", 1, false),
            ("MAINT (resolution)", 1, false),
            ("DOWN", 1, false),
            ("DOWN 1/2", 1, false),
            ("DOWN (agent)", 1, false),
            ("", 1, false),
        ];
        for (status, weight, up) in rows {
            let text = format!("# pxname,svname,status,weight,type\nweb,s1,{status},{weight},2\n\n");
            assert_eq!(parse(text.as_bytes()).unwrap().rows[0].is_up(), up, "{status} weight {weight}");
        }
    }

    #[test]
    fn columns_are_found_by_name_and_quoted_fields_are_whole() {
        let text = "# pxname,svname,new_one,type,status\nweb,\"a,\"\"b\"\"\nc\",x,2,UP\n\n";
        let reading = parse(text.as_bytes()).unwrap();
        assert_eq!((reading.rows[0].service.as_str(), reading.rows[0].status.as_str()), ("a,\"b\"\nc", "UP"));
        assert_eq!((reading.pid, reading.rows[0].connections), (None, None));
    }

    #[test]
    fn what_is_no_whole_answer_is_refused() {
        let rows = [
            ("", "the answer is empty"),
            ("Unknown command: 'show'\n\n", "the answer is no statistics but \"Unknown command: 'show'\""),
            ("Permission denied\n", "the answer is no statistics but \"Permission denied\""),
            ("# pxname,svname,type\na,b,1\n\n", "the statistics lack the column status"),
            ("# pxname,svname,status,type\na,b,UP\n\n", "line 1 of the statistics is not whole"),
            ("# pxname,svname,status,type\na,b,UP,2\na,c,UP,x\n\n", "line 2 of the statistics is not whole"),
            ("# pxname,svname,status,type\na,b,UP,2\n", "the answer breaks off"),
        ];
        for (answer, words) in rows {
            assert_eq!(parse(answer.as_bytes()).unwrap_err().to_string(), words, "{answer:?}");
        }
        assert_eq!(parse(&[0xff, 0xfe]).unwrap_err(), Malformed::NotText);
    }

    #[test]
    fn an_answer_that_was_cut_anywhere_is_refused() {
        for end in 0..UP.len() - 1 {
            assert!(parse(&UP.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(answer in prop::collection::vec(any::<u8>(), 0..600), tail in any::<bool>()) {
            let mut answer = answer;
            if tail {
                answer.splice(0..0, *b"# pxname,svname,status,type\n");
                answer.extend(b"\n\n");
            }
            let _ = parse(&answer);
        }
    }
}
