//! A client's HTTP/2 connection: one task drives the state machine, and polls the exchange of each of its streams.

mod driver;
mod lanes;
mod stream;
mod watch;

use std::rc::Rc;

use evenkeel_net::Io;

use self::driver::Driver;
use self::watch::Over;
use crate::client::connection::Client;
use crate::client::linger::linger;
use crate::worker::timer::Timer;

pub use evenkeel_http2::PREFACE;

/// Serves a connection, of which `early` has been read already, until it closes.
pub async fn serve(client: Client, io: Rc<Io>, early: Vec<u8>) {
    let worker = Rc::clone(&client.worker);
    worker.metrics.connection_speaks(evenkeel_observe::Protocol::Http2);
    let Some(mut driver) = Driver::new(Rc::new(client), Rc::clone(&io)) else { return };
    let over = driver.run(early).await;
    driver.give_up();
    // Exchanges that are under way notice that their client is gone, and are recorded.
    let rest = driver.rest();
    let lingering = async {
        if over == Over::Closed {
            let rate_min = worker.view().snapshot.config.limits.body_rate;
            linger(&worker, &io, &mut Timer::new(worker.clock), rate_min).await;
        }
    };
    tokio::join!(rest, lingering);
}
