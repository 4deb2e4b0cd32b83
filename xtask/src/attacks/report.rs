//! The page with all figures: a section for each attack, which its next measurement replaces.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::ValueEnum;

use super::attack::Attack;
use super::measure::Row;
use crate::bench::machine::Machine;
use crate::bench::results::grouped;

const HEADING: &str = "\n## ";

/// The section of one attack.
pub fn section(attack: Attack, seconds: u64, machine: &Machine, rows: &[Row]) -> String {
    let mut text = format!(
        "## {title}\n\n{words} {seconds} s, {date}, load average {load}.\n\n\
         | proxy | the other client's p99 before, ms | p99, ms | at most, ms | failed | memory, MiB | requests at servers \
         | connections to servers | how it ended |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---|\n",
        title = attack.title(),
        words = attack.words(),
        date = machine.date,
        load = machine.load_average,
    );
    for Row { proxy, before, during, memory, requests, connections, words } in rows {
        let _ = writeln!(
            text,
            "| {name} | {:.1} | {:.1} | {:.1} | {} | {:.1} | {} | {} | {words} |",
            before.ms(0.99),
            during.ms(0.99),
            during.ms(1.0),
            before.failed + during.failed,
            *memory as f64 / f64::from(1 << 20),
            grouped(*requests as f64),
            grouped(*connections as f64),
            name = proxy.name(),
        );
    }
    text
}

/// Writes the page to `file`, with what it has of attacks that are not among these.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, machine: &Machine, sections: &[(Attack, String)]) -> anyhow::Result<()> {
    let old = fs::read_to_string(file).unwrap_or_default();
    let mut page = head(machine);
    for attack in Attack::value_variants() {
        let new = sections.iter().find(|(of, _)| of == attack).map(|(_, text)| text.trim_end().to_owned());
        if let Some(text) = new.or_else(|| kept(&old, *attack)) {
            let _ = write!(page, "\n{text}\n");
        }
    }
    Ok(fs::write(file, page)?)
}

fn head(machine: &Machine) -> String {
    let mut page = format!(
        "# Attacks over HTTP/2, beside nginx and HAProxy\n\n\
         What an attack costs another client, which sends one request after the other over a connection of its own, and the \
         proxy. Memory is what the proxy's resident memory grew by at most; the kernel's \
         is not counted. Each proxy has one worker, and a core to itself if there are two; attackers, servers and the other \
         client share the rest. HTTP/2 in clear, three servers, the configurations of the benchmark, all timeouts and limits \
         at the proxies' defaults unless a section says something else. Written by `cargo xtask attacks`.\n\n\
         {} cores of {}, {}.\n\n",
        machine.cores, machine.cpu, machine.kernel
    );
    for version in &machine.versions {
        let _ = writeln!(page, "- {version}");
    }
    page
}

/// What a page has of an attack.
fn kept(page: &str, attack: Attack) -> Option<String> {
    let start = page.find(&format!("{HEADING}{}\n", attack.title()))? + 1;
    let section = &page[start..];
    let end = section[1..].find(HEADING).map_or(section.len(), |end| end + 1);
    Some(section[..end].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_alone() {
        let section = |attack: Attack, text: &str| (attack, format!("## {}\n\n{text}\n", attack.title()));
        let dir = std::env::temp_dir().join(format!("xtask-attacks-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let file = dir.join("attacks.md");
        let machine = Machine::read(&[]);
        let both = [section(Attack::Busy, "one"), section(Attack::Unread, "two")];
        write(&file, &machine, &both).expect("a page");
        write(&file, &machine, &[section(Attack::Unread, "three")]).expect("a page");
        let page = fs::read_to_string(&file).expect("a page");
        fs::remove_dir_all(dir).expect("it is removed");
        let texts: Vec<&str> = page.split(HEADING).skip(1).filter_map(|s| s.lines().nth(2)).collect();
        assert_eq!(texts, ["one", "three"]);
    }
}
