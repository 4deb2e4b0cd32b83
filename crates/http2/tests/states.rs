//! Every short sequence of frames and commands on one stream, against the states of RFC 9113, 5.1 written down anew.
#![allow(clippy::unwrap_used)]

mod support;

use evenkeel_http2::{Code, CommandError, Config, Connection, Event, Request, StreamId};
use support::*;

/// What happens to the stream: frames of the peer, and commands of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Head,
    HeadEnd,
    /// An interim response.
    Interim,
    InterimEnd,
    Data,
    DataEnd,
    Rst,
    Window,
    Priority,
    Respond,
    RespondEnd,
    Send,
    SendEnd,
    Trailers,
    Reset,
}

use Act::*;

const SERVER: [Act; 13] = [
    Head, HeadEnd, Data, DataEnd, Rst, Window, Priority, Respond, RespondEnd, Send, SendEnd, Trailers, Reset,
];
const CLIENT: [Act; 12] =
    [Head, HeadEnd, Interim, InterimEnd, Data, DataEnd, Rst, Window, Send, SendEnd, Trailers, Reset];

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Head,
    Body,
    Ended,
}

/// The state by the RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Open {
        local: Way,
        remote: Way,
    },
    /// Closed by both ends, or by a reset of the peer.
    Closed,
    /// Closed by a reset of ours: what is under way is ignored.
    WasReset,
    /// The connection has ended.
    Over,
}

/// What must come of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Nothing,
    /// A head or data is reported.
    Reported,
    /// The peer's reset is reported.
    PeerReset,
    /// RST_STREAM is sent; reported if the stream was open.
    StreamError(Code, bool),
    ConnectionError(Code),
    Refused(CommandError),
    /// RST_STREAM is sent since the caller asked for it.
    Sent,
}

use Outcome::*;

fn is_command(act: Act) -> bool {
    matches!(act, Respond | RespondEnd | Send | SendEnd | Trailers | Reset)
}

/// Both ends closed is closed.
fn after(local: Way, remote: Way) -> State {
    if local == Way::Ended && remote == Way::Ended { State::Closed } else { State::Open { local, remote } }
}

fn model(state: State, act: Act, is_server: bool) -> (State, Outcome) {
    if is_command(act) { command(state, act) } else { frame_of_peer(state, act, is_server) }
}

fn frame_of_peer(state: State, act: Act, is_server: bool) -> (State, Outcome) {
    let error = |code| (State::WasReset, StreamError(code, true));
    match (state, act) {
        (State::Over, _) | (State::WasReset, _) => (state, Nothing),
        (State::Idle, Head) => (after(Way::Head, Way::Body), Reported),
        (State::Idle, HeadEnd) => (after(Way::Head, Way::Ended), Reported),
        (_, Priority) => (state, Nothing),
        (State::Idle, _) => (State::Over, ConnectionError(Code::PROTOCOL_ERROR)),
        (State::Closed, Rst | Window) => (state, Nothing),
        (State::Closed, Data | DataEnd) => (State::WasReset, StreamError(Code::STREAM_CLOSED, false)),
        (State::Closed, _) => (State::Over, ConnectionError(Code::STREAM_CLOSED)),
        (State::Open { .. }, Rst) => (State::Closed, PeerReset),
        (State::Open { .. }, Window) => (state, Nothing),
        (State::Open { remote: Way::Ended, .. }, _) => error(Code::STREAM_CLOSED),
        (State::Open { local, remote: Way::Head }, act) if !is_server => match act {
            Interim => (state, Reported),
            Head => (after(local, Way::Body), Reported),
            HeadEnd => (after(local, Way::Ended), Reported),
            _ => error(Code::PROTOCOL_ERROR),
        },
        (State::Open { .. }, Data) => (state, Reported),
        (State::Open { local, .. }, DataEnd | HeadEnd) => (after(local, Way::Ended), Reported),
        // Trailers that do not end the stream.
        (State::Open { .. }, _) => error(Code::PROTOCOL_ERROR),
    }
}

fn command(state: State, act: Act) -> (State, Outcome) {
    let State::Open { local, remote } = state else {
        return (state, if act == Reset { Nothing } else { Refused(CommandError::Gone) });
    };
    match (act, local) {
        (Reset, _) => (State::WasReset, Sent),
        (Respond, Way::Head) => (after(Way::Body, remote), Nothing),
        (RespondEnd, Way::Head) => (after(Way::Ended, remote), Nothing),
        (Send, Way::Body) => (state, Nothing),
        (SendEnd | Trailers, Way::Body) => (after(Way::Ended, remote), Nothing),
        _ => (state, Refused(CommandError::OutOfOrder)),
    }
}

/// A connection with one stream.
struct World {
    connection: Connection,
    stream: Option<StreamId>,
    is_server: bool,
    head: evenkeel_http2::Head,
}

impl World {
    fn server() -> Self {
        let mut connection = Connection::server(Config::server(), NOW);
        assert_eq!(events(&mut connection, &greeting()).1, None);
        drain(&mut connection);
        Self { connection, stream: None, is_server: true, head: <_>::default() }
    }

    fn client(ends: bool) -> Self {
        let mut connection = Connection::client(Config::client(), NOW);
        assert_eq!(events(&mut connection, &settings(&[])).1, None);
        let request =
            Request { method: b"GET", scheme: b"http", authority: b"test", path: b"/", protocol: b"" };
        let stream = connection.request(&request, [], ends).unwrap();
        drain(&mut connection);
        Self { connection, stream: Some(stream), is_server: false, head: <_>::default() }
    }

    /// Carries an act out, and says what came of it.
    fn act(&mut self, state: State, act: Act) -> Outcome {
        if is_command(act) {
            return self.command(act);
        }
        let is_first = matches!(state, State::Idle)
            || !self.is_server && matches!(state, State::Open { remote: Way::Head, .. });
        let block = match (is_first, self.is_server) {
            (true, true) => get(),
            (true, false) => block(&[(":status", "200")]),
            (false, _) => block(&[("x-sum", "1")]),
        };
        let interim = support::block(&[(":status", "103")]);
        let input = match act {
            Head => frame(HEADERS, END_HEADERS, 1, &block),
            HeadEnd => frame(HEADERS, WHOLE, 1, &block),
            Interim => frame(HEADERS, END_HEADERS, 1, &interim),
            InterimEnd => frame(HEADERS, WHOLE, 1, &interim),
            Data => frame(DATA, 0, 1, b"x"),
            DataEnd => frame(DATA, END_STREAM, 1, b"x"),
            Rst => rst_stream(1, 8),
            Window => window_update(1, 1),
            _ => frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]),
        };
        let mut reported = Nothing;
        let error = feed(&mut self.connection, &input, &mut self.head, |connection, _, event, _| {
            reported = match event {
                Event::Head { stream, .. } => {
                    self.stream = Some(stream);
                    Reported
                }
                Event::Data { stream, data, .. } => {
                    connection.consume(stream, data.len());
                    Reported
                }
                Event::Reset { error: evenkeel_http2::StreamError::PeerReset { .. }, .. } => PeerReset,
                Event::Reset { error, .. } => StreamError(error.code(), true),
                other => panic!("{other:?}"),
            };
        });
        if let Err(error) = error {
            return ConnectionError(error.code());
        }
        let resets = self.resets();
        match (reported, resets.as_slice()) {
            (Nothing, [code]) => StreamError(*code, false),
            (StreamError(code, _), [sent]) if code == *sent => reported,
            (_, []) => reported,
            other => panic!("{other:?}"),
        }
    }

    fn command(&mut self, act: Act) -> Outcome {
        let Some(stream) = self.stream else {
            return if act == Reset { Nothing } else { Refused(CommandError::Gone) };
        };
        let connection = &mut self.connection;
        let done = match act {
            Respond => connection.respond(stream, 200, [], false),
            RespondEnd => connection.respond(stream, 200, [], true),
            Send => connection.send_data(stream, b"x", false).map(|taken| assert_eq!(taken, 1)),
            SendEnd => connection.send_data(stream, b"x", true).map(|taken| assert_eq!(taken, 1)),
            Trailers => connection.trailers(stream, [(b"x-sum".as_slice(), b"1".as_slice())]),
            _ => {
                connection.reset(stream, Code::CANCEL);
                return if self.resets().is_empty() { Nothing } else { Sent };
            }
        };
        drain(&mut self.connection);
        done.map_or_else(Refused, |()| Nothing)
    }

    /// The codes of RST_STREAM in the output, which is taken.
    fn resets(&mut self) -> Vec<Code> {
        let output = drain(&mut self.connection);
        frames(&output)
            .iter()
            .filter(|seen| seen.kind == RST_STREAM)
            .map(|seen| Code(seen.number(0)))
            .collect()
    }
}

/// Carries out a sequence; each act must have the outcome of the model. Yields the state that it ends in.
fn run(mut world: World, mut state: State, acts: &[Act]) -> State {
    let is_server = world.is_server;
    for (at, act) in acts.iter().enumerate() {
        let (next, expected) = model(state, *act, is_server);
        let outcome = world.act(state, *act);
        assert_eq!(outcome, expected, "act {at} of {acts:?} in state {state:?}");
        let is_open = world.stream.is_some_and(|stream| world.connection.is_open(stream));
        assert_eq!(is_open, matches!(next, State::Open { .. }), "after act {at} of {acts:?}");
        assert_eq!(world.connection.active_streams(), usize::from(is_open));
        state = next;
    }
    state
}

/// All sequences of up to `depth` acts.
fn explore(acts: &[Act], depth: usize, start: State, world: &impl Fn() -> World) -> usize {
    let mut sequences = vec![Vec::new()];
    let mut count = 0;
    for _ in 0..depth {
        let mut longer = Vec::new();
        for sequence in &sequences {
            for act in acts {
                let mut sequence: Vec<Act> = sequence.clone();
                sequence.push(*act);
                count += 1;
                // Nothing follows the end of a connection, and what changes nothing at the start leads nowhere.
                if !matches!(run(world(), start, &sequence), State::Over | State::Idle) {
                    longer.push(sequence);
                }
            }
        }
        sequences = longer;
    }
    count
}

#[test]
fn all_sequences_of_a_server() {
    assert!(explore(&SERVER, 5, State::Idle, &World::server) > 50_000);
}

#[test]
fn all_sequences_of_a_client() {
    for ends in [false, true] {
        let local = if ends { Way::Ended } else { Way::Body };
        let start = State::Open { local, remote: Way::Head };
        assert!(explore(&CLIENT, 4, start, &|| World::client(ends)) > 10_000);
    }
}
