//! The screen: takes messages and keys, and draws.

use std::io;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use evenkeel_terminal::{Screen, Signals};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::time::MissedTickBehavior;

use crate::draw::{Look, draw};
use crate::message::Message;
use crate::state::State;

/// Between two looks at keys and messages: less than a person notices.
const TICK: Duration = Duration::from_millis(50);
/// Between two pictures without news, for what ages on the screen.
const REDRAW: Duration = Duration::from_secs(1);

/// Shows the messages until a key or a signal ends it. The terminal is given back whatever happens, a panic included.
///
/// # Errors
/// The terminal cannot be used; why, in words.
pub fn show(messages: Receiver<Message>, look: Look) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let shown = runtime.block_on(async {
        // Before the terminal changes, so that a signal that comes early gives it back.
        let mut signals = Signals::new()?;
        let mut screen = Screen::open()?;
        tokio::select! {
            shown = play(&mut screen, &messages, look) => shown,
            () = signals.any() => Ok(()),
        }
    });
    shown.map_err(|fault| format!("cannot use the terminal: {fault}; `--once` needs none"))
}

async fn play(screen: &mut Screen, messages: &Receiver<Message>, look: Look) -> io::Result<()> {
    let mut state = State::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut drawn: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let mut has_news = drawn.is_none_or(|drawn| now.duration_since(drawn) >= REDRAW);
        while let Ok(message) = messages.try_recv() {
            state.take(message, now);
            has_news = true;
        }
        while event::poll(Duration::ZERO)? {
            has_news = true;
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release && !state.press(key) => return Ok(()),
                _ => {}
            }
        }
        if has_news {
            screen.terminal.draw(|frame| draw(frame, &state, look, now))?;
            drawn = Some(now);
        }
    }
}
