//! `$GENERATE start-stop[/step] owner [ttl] [class] type data` (BIND 9 ARM, "Master File Extension").
//!
//! In every word `$` is the number, `$$` and `\$` a dollar sign, `${offset[,width[,base]]}` the number changed.

use super::master_reader::{Problem, Reader, Source};
use super::master_token::{Entry, Scanner, Token};
use super::rdata_codec::{quote, read_number};

/// The most records that all `$GENERATE`s of a zone make.
const GENERATED_MAX: u32 = 65_536;
/// The most digits a number is filled up to: a label's length.
const WIDTH_MAX: usize = 63;

impl Reader<'_> {
    /// Makes the records and reads each as if it had been written. The first error ends it.
    pub(super) fn generate<'f>(
        &mut self,
        source: &Source<'f>,
        directive: &Token<'f>,
        words: &[Token<'f>],
        entry: Entry,
    ) -> Result<(), Problem> {
        let ([range, template @ ..], 3..) = (words, words.len()) else {
            return Err(Problem::new(directive.at, "write it as: $GENERATE 1-10/2 host-$ A 192.0.2.$"));
        };
        let (start, stop, step) = read_range(range.text).map_err(|message| Problem::new(range.at, message))?;
        let count = (stop - start) / step + 1;
        if count > GENERATED_MAX - self.generated {
            let message = format!("more than {GENERATED_MAX} records would be generated in this zone");
            return Err(Problem::new(range.at, message));
        }
        self.generated += count;
        let mut line = Vec::new();
        for number in (0..count).map(|index| i64::from(start) + i64::from(index) * i64::from(step)) {
            line.clear();
            for word in template {
                write_word(word, number, &mut line).map_err(|message| Problem::new(word.at, message))?;
            }
            self.read_generated(source, directive.at, &line, entry).map_err(|problem| {
                let shown = quote(line.trim_ascii_end());
                Problem::new(directive.at, format!("{} (generated: {shown})", problem.message))
            })?;
        }
        Ok(())
    }

    fn read_generated(&mut self, source: &Source<'_>, at: usize, line: &[u8], entry: Entry) -> Result<(), Problem> {
        let mut made = Source::new(source.file, line, Some(source.place(at)), source.origin.clone());
        let mut tokens = Vec::new();
        match Scanner::new(line).next_entry(&mut tokens) {
            Some(Ok(_)) => self.read_record(&mut made, Entry { has_blank_owner: false, ..entry }, &tokens),
            Some(Err(error)) => Err(Problem::new(at, error.rule)),
            None => Ok(()),
        }
    }
}

/// Reads `start-stop` or `start-stop/step`.
fn read_range(text: &[u8]) -> Result<(u32, u32, u32), String> {
    let wrong = || format!("{} is no range such as 1-10 or 0-254/2", quote(text));
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = range.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| read_number(text.as_bytes(), 0x7fff_ffff).map_err(|_| wrong());
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
    if start > stop || step == 0 { Err(wrong()) } else { Ok((start, stop, step)) }
}

/// Appends a word of the template with the number put in, as it would stand in a file.
fn write_word(word: &Token<'_>, number: i64, line: &mut Vec<u8>) -> Result<(), String> {
    if word.quoted {
        line.push(b'"');
    }
    let mut rest = word.text;
    loop {
        match rest {
            [] => break,
            [b'$', b'$', tail @ ..] | [b'\\', b'$', tail @ ..] => {
                line.extend_from_slice(b"\\$");
                rest = tail;
            }
            [b'$', b'{', tail @ ..] => {
                let end = tail.iter().position(|octet| *octet == b'}').ok_or("'${' without a '}' behind it")?;
                let (modifier, behind) = tail.split_at_checked(end).unwrap_or((tail, &[]));
                write_modified(modifier, number, line)?;
                rest = behind.get(1..).unwrap_or_default();
            }
            [b'$', tail @ ..] => {
                line.extend_from_slice(number.to_string().as_bytes());
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                line.extend_from_slice(&[b'\\', *escaped]);
                rest = tail;
            }
            [octet, tail @ ..] => {
                line.push(*octet);
                rest = tail;
            }
        }
    }
    line.extend_from_slice(if word.quoted { b"\" " } else { b" " });
    Ok(())
}

/// Appends the number under `offset[,width[,base]]`.
fn write_modified(modifier: &[u8], number: i64, line: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || format!("{} is no modifier such as ${{10}}, ${{0,3}} or ${{-1,2,x}}", quote(modifier));
    let text = std::str::from_utf8(modifier).map_err(|_| wrong())?;
    let mut parts = text.split(',');
    let offset: i32 = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
    let width = parts.next().map_or(Some(0), |part| part.parse().ok()).filter(|width| *width <= WIDTH_MAX);
    let (width, base) = (width.ok_or_else(wrong)?, parts.next().unwrap_or("d"));
    if parts.next().is_some() {
        return Err(wrong());
    }
    let value = u64::try_from(number + i64::from(offset))
        .map_err(|_| format!("{number} with the offset {offset} is below 0"))?;
    let digits = match base {
        "d" => format!("{value:0width$}"),
        "o" => format!("{value:0width$o}"),
        "x" => format!("{value:0width$x}"),
        "X" => format!("{value:0width$X}"),
        "n" => nibbles(value, width),
        "N" => nibbles(value, width).to_ascii_uppercase(),
        _ => return Err(wrong()),
    };
    line.extend_from_slice(digits.as_bytes());
    Ok(())
}

/// The hexadecimal digits from the lowest, with dots between, at least `width` characters, dots among them.
fn nibbles(value: u64, width: usize) -> String {
    let mut digits = String::new();
    let mut rest = value;
    loop {
        digits.push(char::from_digit(u32::try_from(rest & 15).unwrap_or(0), 16).unwrap_or('0'));
        rest >>= 4;
        if rest == 0 && digits.len() >= width {
            return digits;
        }
        digits.push('.');
        if rest == 0 && digits.len() >= width {
            return digits;
        }
    }
}
