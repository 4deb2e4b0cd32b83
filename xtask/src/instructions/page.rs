//! How the counts are shown: a line for each while counting goes on, and the README's table.

use std::fmt::Write;
use std::process::Command;

use clap::ValueEnum;

use super::Row;
use super::callgrind::Tools;
use super::load::Load;
use crate::bench::machine;
use crate::bench::proxy::Proxy;
use crate::bench::results::grouped;
use crate::bench::rig::PROFILE;

/// One count, with the range of the rounds.
pub fn line(row: &Row) -> String {
    let (least, most) = (row.rounds[0], row.rounds[row.rounds.len() - 1]);
    format!(
        "{:<15}{:<10}{:>7} instructions per request ({} to {})",
        row.load.name(),
        row.proxy.program(),
        grouped(row.median()),
        grouped(least),
        grouped(most),
    )
}

/// The README's table.
pub fn table(rows: &[Row], tools: &Tools) -> String {
    let mut table = String::from(
        "Instructions of the proxy per request in user space, one worker, 128-byte answers:\n\n\
         | load | Evenkeel | nginx | HAProxy |\n|---|---:|---:|---:|\n",
    );
    for load in Load::value_variants() {
        let cell = |proxy: &Proxy| {
            let row = rows.iter().find(|row| row.load == *load && row.proxy == *proxy);
            row.map_or("-".into(), |row| grouped(row.median()))
        };
        let cells: Vec<String> = [Proxy::Evenkeel, Proxy::Nginx, Proxy::Haproxy].iter().map(cell).collect();
        let _ = writeln!(table, "| {} | {} |", load.title(), cells.join(" | "));
    }
    let date = machine::first_line(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    let _ = writeln!(
        table,
        "\nCounted on {date} by {version}, Evenkeel built with the profile `{PROFILE}`; renewed by `cargo xtask instructions`.",
        version = tools.version(),
    );
    table
}
