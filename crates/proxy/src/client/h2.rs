//! A client's HTTP/2 connection: one task drives the state machine, and polls the exchange of each of its streams.

mod driver;
mod lanes;
mod stream;
mod watch;

use std::pin::Pin;
use std::rc::Rc;

use evenkeel_net::Io;

use self::driver::Driver;
use self::watch::Over;
use crate::client::connection::Client;
use crate::client::linger::linger;
use crate::worker::timer::Timer;

pub use evenkeel_http2::PREFACE;

/// What serves a connection, of which `early` has been read already, until it closes; `None` if its listener is gone. It holds
/// nothing but what the connection needs: what a close takes has a box of its own.
pub fn serve(client: Client, io: Rc<Io>, early: Vec<u8>) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    client.worker.metrics.connection_speaks(evenkeel_observe::Protocol::Http2);
    let mut driver = Driver::new(client, io, early)?;
    Some(Box::pin(async move {
        let over = driver.run().await;
        Box::pin(close(&mut driver, over)).await;
    }))
}

async fn close(driver: &mut Driver, over: Over) {
    driver.end(over).await;
    let (worker, io) = (Rc::clone(driver.worker()), Rc::clone(driver.io()));
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
