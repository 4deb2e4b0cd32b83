//! What a client makes of servers that answer whole, in chunks, half, or not at all.
#![allow(clippy::unwrap_used)]

use tokio::net::TcpListener;

use super::*;

/// Asks a server that answers with `text` and closes.
async fn asked(text: &'static [u8]) -> io::Result<Option<(u16, bool)>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.head().await.unwrap();
        wire.send(text).await.unwrap();
    });
    let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
    let head = wire.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
    head.map(|head| Ok((head.status()?, head.closes))).transpose()
}

#[tokio::test]
async fn a_whole_response_differs_from_one_that_breaks_off_and_from_none() {
    let whole = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(whole.unwrap(), Some((200, false)));
    let chunked =
        b"HTTP/1.1 503 No\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n";
    assert_eq!(asked(chunked).await.unwrap(), Some((503, true)));
    assert_eq!(asked(b"").await.unwrap(), None);
    let half = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert_eq!(half.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let other = asked(b"SSH-2.0-x\r\n\r\n").await;
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::InvalidData);
}
