//! `evenkeel top`: what a running process does, in a terminal, from the stream that its admin API sends.

mod draw;
mod feed;
mod message;
mod once;
mod screen;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Read;

use draw::Look;

/// Shows what a process does until a key or a signal ends it, or, with `once`, prints it one time as text. `open` asks the process
/// for a path of its admin API, and returns the body of the answer.
///
/// # Errors
/// There is no terminal, or the process does not answer; why, in words.
pub fn run<R: Read>(
    once: bool,
    open: impl Fn(&str) -> Result<R, String> + Send + 'static,
) -> Result<(), String> {
    if once {
        return once::print(open);
    }
    // https://no-color.org: any value but an empty one.
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    screen::show(feed::start(open), Look { has_colours })
}
