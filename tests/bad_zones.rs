//! Replays `tests/zones-bad/`: zone files that are refused, or served with a warning.
//!
//! The first line of each says what must be found first, as `; error LINE: PART OF THE MESSAGE` or `; warning …`.

#![expect(clippy::unwrap_used, reason = "a test's own files: what is wrong with them fails the test")]

use std::path::Path;

use fairlead::wire::Name;
use fairlead::zone::master::{Included, Settings};
use fairlead::zone::{load, print};

#[test]
fn every_bad_zone_is_told_by_its_first_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zones-bad");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 80, "the folder is there");
    let wrong: Vec<String> = files.iter().filter_map(|file| replay(&folder, file).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn replay(folder: &Path, file: &Path) -> Result<(), String> {
    let text = std::fs::read(file).unwrap();
    let file = file.file_name().unwrap().to_str().unwrap();
    let first = String::from_utf8_lossy(text.split(|octet| *octet == b'\n').next().unwrap()).into_owned();
    let (verdict, rest) = first.trim_end().trim_start_matches("; ").split_once(' ').unwrap();
    let (line, part) = rest.split_once(": ").unwrap();
    let origin: Name = "example.".parse().unwrap();
    let settings = Settings { file, origin: &origin, default_ttl: None };
    let mut include = |path: &str, _: &str| {
        let text = std::fs::read(folder.join(path)).ok().filter(|_| !path.contains('/'));
        text.map(|text| Included { name: path.to_owned(), text }).ok_or_else(|| "not beside the zone".to_owned())
    };
    let (found_verdict, faults) = match load(&text, &settings, 1, &mut include) {
        Ok(loaded) => {
            let printed = print::zone(&loaded.zone);
            let again = load(printed.as_bytes(), &settings, 2, &mut include);
            let again = again.map_err(|faults| format!("{file}: cannot be read back: {faults:?}"))?.zone;
            if print::zone(&again) != printed {
                return Err(format!("{file}: printed, it is another zone"));
            }
            ("warning", loaded.warnings)
        }
        Err(faults) => ("error", faults),
    };
    let fault = faults.first().ok_or_else(|| format!("{file}: nothing is found"))?;
    if found_verdict == verdict && fault.line.to_string() == line && fault.message.contains(part) {
        Ok(())
    } else {
        Err(format!("{file}: found {found_verdict} {fault}, expected {first}"))
    }
}
