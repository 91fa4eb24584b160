//! What the README and the examples show works as they show it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::server::{free_port, start};
use support::tool;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shell blocks of the README, in order.
fn blocks() -> Vec<String> {
    let text = fs::read_to_string(project().join("README.md")).unwrap();
    let after = text.split("```sh\n").skip(1);
    after.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Ends what an example started, also when the test fails.
struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = Command::new(self.0.join("stop")).status(); // already stopped, as a rule
    }
}

#[test]
fn the_first_screen_names_the_two_commands() {
    let blocks = blocks();
    assert!(blocks[0].starts_with("cargo run --release -- demo"), "{}", blocks[0]);
    assert!(blocks[1].starts_with("cargo test "), "{}", blocks[1]);
    let runner = fs::read_to_string(project().join(".ci/run")).unwrap();
    assert!(runner.contains("FAIRLEAD_REQUIRE_TOOLS=1 cargo test"), "CI does not run the README's test command");
}

#[test]
fn the_unit_for_systemd_runs_commands_that_there_are() {
    let path = project().join("examples/systemd/fairlead.service");
    let unit = fs::read_to_string(&path).unwrap();
    let values = |key: &str| -> Vec<&str> { unit.lines().filter_map(|line| line.strip_prefix(key)).collect() };
    let commands = [values("ExecStartPre="), values("ExecStart=")].concat();
    assert_eq!(commands.len(), 2);
    for command in commands {
        let words: Vec<&str> = command.strip_prefix("/usr/local/bin/fairlead ").unwrap().split(' ').collect();
        let output = Command::new(env!("CARGO_BIN_EXE_fairlead")).args(&words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn a_node_starts_itself_again_with_the_tunables_that_suit_it_unless_they_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let path = folder.path().join("fairlead.yaml");
    let (admin, shown) = (free_port(), folder.path().display());
    let configuration = format!(
        "node: test\nlisteners: [{{address: 127.0.0.1, port: {port}}}]\nadmin: {{address: 127.0.0.1:{admin}}}\n\
         state: {shown}/state\ncontrol: {shown}/control.sock\n"
    );
    fs::write(&path, configuration).unwrap();
    let log = folder.path().join("log");
    // Where all memory has huge pages, or none, the C library does not ask for them.
    let asked_for = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let has_huge_pages = asked_for.contains("[madvise]");
    let tunables = |set: Option<(&str, &str)>| {
        let output = fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
        command.arg0("fl").args(["serve", "-c"]).arg(&path).stdout(output.try_clone().unwrap()).stderr(output);
        command.env_remove("GLIBC_TUNABLES").env_remove("FAIRLEAD_HEAP_TUNED").envs(set);
        let node = start(&mut command, port, &log, "example.");
        let of_process = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", node.child.id())).unwrap();
        assert_eq!(of_process("cmdline"), format!("fl\0serve\0-c\0{}\0", path.display()));
        assert_eq!(of_process("comm"), "fairlead\n");
        let ignores_pipe = of_process("status").lines().any(|line| {
            let mask = line.strip_prefix("SigIgn:").map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
            mask.is_some_and(|mask| mask & 1 << (13 - 1) != 0)
        });
        assert!(ignores_pipe, "a client that goes away ends the node");
        let asks_for_huge_pages =
            of_process("smaps").lines().any(|line| line.starts_with("VmFlags:") && line.contains(" hg"));
        // glibc cuts the text into its parts where the process was given it.
        let environment = of_process("environ").replace("\0glibc.", ":glibc.");
        let set = environment.split('\0').find_map(|one| Some(one.strip_prefix("GLIBC_TUNABLES=")?.to_owned()));
        assert_eq!(asks_for_huge_pages, has_huge_pages && set.as_ref().is_some_and(|set| set.contains("hugetlb=1")));
        set
    };
    let own = "glibc.malloc.perturb=0";
    assert_eq!(tunables(Some(("GLIBC_TUNABLES", own))).unwrap(), own);
    assert_eq!(tunables(Some(("MALLOC_ARENA_MAX", "2"))), None);
    // Where the C library took them away, as from a program with file capabilities, it is not done without end.
    assert_eq!(tunables(Some(("FAIRLEAD_HEAP_TUNED", "1"))), None);
    let chosen = tunables(None).unwrap();
    // An unknown tunable is passed over without a word, so that the C library is asked which it has.
    let known = Command::new("/lib64/ld-linux-x86-64.so.2").arg("--list-tunables").output();
    let known =
        known.map_or_else(|_| chosen.replace(['=', ':'], "\n"), |known| String::from_utf8(known.stdout).unwrap());
    assert_eq!(chosen.split(':').count(), 3, "{chosen}");
    for name in chosen.split(':').map(|one| one.split('=').next().unwrap()) {
        assert!(known.lines().any(|line| line.split(':').next() == Some(name)), "{name}");
    }
}

#[test]
fn ci_installs_every_program_that_a_test_asks_for() {
    let runner = fs::read_to_string(project().join(".ci/run")).unwrap();
    let mut asked = vec!["haproxy".to_owned(), "dig".to_owned(), "python3".to_owned(), "curl".to_owned()];
    let mut folders = vec![project().join("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("tool(\"").skip(1).filter_map(|rest| rest.split_once('"'));
                asked.extend(names.map(|(name, _)| name.to_owned()).filter(|name| !name.is_empty()));
            }
        }
    }
    assert!(asked.len() > 8, "{asked:?}");
    for name in asked.iter().filter(|name| name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')) {
        assert!(runner.contains(&format!(" {name}:")), ".ci/run does not install {name}");
    }
}

#[test]
fn the_quick_start_prints_what_its_comments_say() {
    if ["haproxy", "dig", "python3", "curl"].into_iter().any(|name| tool(name).is_none()) {
        return;
    }
    let folder = project().join("examples/two-sites");
    let _stop = Stop(folder.clone());
    let build = Path::new(env!("CARGO_BIN_EXE_fairlead")).parent().unwrap().display().to_string();
    // The build is the one under test, and the folder is entered here.
    let lines: Vec<String> = blocks()[2].lines().skip(2).map(str::to_owned).collect();
    assert!(blocks()[2].contains("cd examples/two-sites\n"));
    let script = format!("set -e; export PATH=\"{build}:$PATH:/usr/sbin\"\n{}", lines.join("\necho '--'\n"));
    let output = Command::new("bash").args(["-c", &script]).current_dir(&folder).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let logs = || {
        let of = |name: &str| fs::read_to_string(folder.join(format!("run/{name}.log"))).unwrap_or_default();
        ["ns1", "agent-newyork", "agent-london"].map(|name| format!("{name}:\n{}", of(name))).join("\n")
    };
    assert!(output.status.success(), "{text}\n{errors}\n{}", logs());
    let printed: Vec<&str> = text.split("--\n").map(str::trim).collect();
    for (line, printed) in lines.iter().zip(&printed) {
        let comment = line.split_once("# ").map_or("", |(_, comment)| comment);
        if let Some(expected) = comment.split(':').next().filter(|text| text.starts_with("127.")) {
            assert_eq!(*printed, expected, "{line}");
        }
    }
    let of = |start: &str| {
        let index = lines.iter().position(|line| line.starts_with(start)).unwrap();
        printed[index]
    };
    assert!(of("./start").ends_with("ready: dig @127.0.0.1 -p 5300 www.example.com"));
    assert!(of("fairlead status").contains("0 of 2 members up in backend web"));
    assert!(of("fairlead explain").contains("wide IP    www.example.com./A"), "{}", of("fairlead explain"));
    assert!(of("fairlead mesh status").contains("certificate ends in 89 days"));
    assert!(of("curl").contains("wide_ip=\"www.example.com./A\""), "{}", of("curl"));
}

#[test]
fn the_example_of_views_answers_as_the_readme_shows() {
    if tool("dig").is_none() {
        return;
    }
    let (folder, ours) = (tempfile::tempdir().unwrap(), project().join("examples/views"));
    for file in fs::read_dir(&ours).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    // The ports that the example names may be taken.
    let (outside, inside) = (free_port(), free_port());
    let with_ports = |text: &str| text.replace("5300", &outside.to_string()).replace("5301", &inside.to_string());
    let configuration = folder.path().join("fairlead.yaml");
    fs::write(&configuration, with_ports(&fs::read_to_string(&configuration).unwrap())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    let log = folder.path().join("log");
    command.args(["serve", "-c"]).arg(&configuration).stderr(fs::File::create(&log).unwrap()).stdout(Stdio::null());
    let _server = start(&mut command, outside, &log, "example.com.");
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let (_, shown) = readme.split_once("it answers\n\n```text\n").unwrap();
    let lines: Vec<&str> = shown.split_once("```").unwrap().0.lines().collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let (command, expected) = line.split_once('#').unwrap();
        let output = Command::new("bash").args(["-c", &with_ports(command)]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected.trim(), "{line}");
    }
}

#[test]
fn every_example_configuration_loads() {
    for path in ["examples/two-sites/fairlead.yaml", "examples/views/fairlead.yaml", "topology", "zones/node.yaml"] {
        let loaded = fairlead::config::load(&project().join(path), 1);
        let (_, warnings) = loaded.unwrap_or_else(|errors| panic!("{path}: {errors}"));
        assert!(warnings.problems.is_empty(), "{path}: {:?}", warnings.problems);
    }
    for site in ["newyork", "london"] {
        let path = project().join(format!("examples/two-sites/agent-{site}.yaml"));
        fairlead::config::load_agent(&path).unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
    }
}

#[test]
fn every_command_of_the_readme_exists_and_shows_an_example() {
    let text = fs::read_to_string(project().join("README.md")).unwrap();
    let commands = ["serve", "agent", "check", "explain", "status", "disable", "mesh", "schema", "demo"];
    for command in commands {
        assert!(text.contains(&format!("`fairlead {command}")), "{command} is not in the README");
        let output = Command::new(env!("CARGO_BIN_EXE_fairlead")).args([command, "--help"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command} --help shows no example");
    }
}
