//! Takes a sample every second, with or without watchers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::facts::facts;
use super::state::now;
use super::tick::tick;
use super::window::Present;
use crate::context::Context;

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Takes a sample every second, and sends the message of that second to the watchers. Never returns.
pub async fn follow(context: Arc<Context>) {
    let mut seconds = interval(INTERVAL);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        seconds.tick().await;
        let now = Instant::now();
        advance(&context, now.duration_since(last));
        last = now;
        if context.live.is_watched() {
            context.live.ticks.send_replace(tick(&context));
        }
    }
}

fn advance(context: &Context, elapsed: Duration) {
    let (sample, present) = (context.registry.sample(), present(context));
    let mut state = context.live.lock();
    state.window.advance(sample, elapsed, &present);
    let facts = facts(context, state.window.recent(), present.at);
    state.found = state.problems.judge(&facts).into();
    state.recent = Arc::new(state.window.recent().clone());
}

fn present(context: &Context) -> Present {
    let snapshot = context.snapshot.load();
    let pools = snapshot.config.pools.iter().zip(&snapshot.pools).map(|(config, handle)| {
        let members = &handle.state().servers.members;
        (config.name.clone(), (0..members.len()).map(|at| members.server(at).load.in_flight()).sum())
    });
    Present { at: now(), pools: pools.collect() }
}
