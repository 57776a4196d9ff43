//! A listener that holds at most so many connections open, and none for one who is slow to ask.

use super::answers::Answers;
use super::connection::Connection;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

/// How long to rest when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// Bytes with which every HTTP/2 connection begins.
const PREFACE: usize = 24;

/// Bytes that the kernel keeps for a client, about: they are counted nowhere. One who is far away gets
/// no more for each round trip.
const SEND_BUFFER: u32 = 512 << 10;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens here, for connections with little memory in the kernel.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Those that are accepted have it from here.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a client must have sent in time, or be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owes {
    /// The first bytes of HTTP/2; after them its own pings tell whether he is there.
    Preface,
    /// HTTP/1: a request, from its first byte to the answer; and soon another one.
    Requests,
}

/// Accepts while fewer connections than the cap are open; others wait in the kernel's backlog.
pub(super) struct CappedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    owes: Owes,
    patience: Duration,
}

impl CappedListener {
    /// With at most so many connections, whose clients have so long for what they owe.
    pub(super) fn new(
        listener: TcpListener,
        connections: usize,
        owes: Owes,
        patience: Duration,
    ) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections)),
            owes,
            patience,
        }
    }

    /// The next connection. Dropping it makes room for another.
    async fn next(&mut self) -> (CappedStream, SocketAddr) {
        loop {
            let permit = self.permits.clone().acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // A lost option costs latency, nothing else.
                    stream.set_nodelay(true).ok();
                    let stream = CappedStream {
                        stream,
                        debt: Some(Debt::new(self.owes, self.patience)),
                        counted: None,
                        _permit: permit,
                    };
                    return (stream, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// The connections as the gRPC server wants them. What waits on them is counted in `answers`.
    pub(super) fn into_stream(
        self,
        answers: Arc<Answers>,
    ) -> impl futures::Stream<Item = Result<CappedStream, io::Error>> {
        futures::stream::unfold((self, answers), |(mut listener, answers)| async move {
            let (mut stream, client) = listener.next().await;
            stream.counted = Some(Counted::new(answers.connect(Some(client))));
            Some((Ok(stream), (listener, answers)))
        })
    }
}

impl axum::serve::Listener for CappedListener {
    type Io = CappedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CappedStream, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts against the cap while it lives.
pub(super) struct CappedStream {
    stream: TcpStream,
    /// `None`: paid for good.
    debt: Option<Debt>,
    /// HTTP/2: many answers may wait at a time.
    counted: Option<Counted>,
    _permit: OwnedSemaphorePermit,
}

/// A connection whose answers are counted, and what will cut it off.
struct Counted {
    connection: Arc<Connection>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Counted {
    fn new(connection: Arc<Connection>) -> Self {
        let cut = Box::pin(connection.end());
        Self { connection, cut }
    }
}

/// What a client still owes, and until when.
struct Debt {
    owes: Owes,
    patience: Duration,
    heard: usize,
    /// HTTP/1: whether he is asking, and not yet answered.
    asking: bool,
    until: Pin<Box<Sleep>>,
}

impl Debt {
    fn new(owes: Owes, patience: Duration) -> Self {
        Self {
            owes,
            patience,
            heard: 0,
            asking: true,
            until: Box::pin(tokio::time::sleep(patience)),
        }
    }
    fn renew(&mut self) {
        self.until.as_mut().reset(Instant::now() + self.patience);
    }
    /// Bytes came; true once nothing more is owed for good.
    fn heard(&mut self, bytes: usize) -> bool {
        self.heard = self.heard.saturating_add(bytes);
        if self.owes == Owes::Requests && !std::mem::replace(&mut self.asking, true) {
            self.renew();
        }
        self.owes == Owes::Preface && self.heard >= PREFACE
    }
    /// Bytes were sent: an answer.
    fn told(&mut self) {
        if self.owes == Owes::Requests {
            self.asking = false;
            self.renew();
        }
    }
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.until.as_mut().poll(context).is_ready()
    }
}

impl CappedStream {
    fn told(&mut self, written: &Poll<io::Result<usize>>) {
        let Poll::Ready(Ok(1..)) = written else {
            return;
        };
        if let Some(debt) = &mut self.debt {
            debt.told();
        }
        if let Some(counted) = &self.counted {
            counted.connection.took();
        }
    }
    /// The socket, unless the client is cut off: then whoever waits for it is woken.
    fn socket(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if let Some(counted) = &mut self.counted
            && counted.cut.as_mut().poll(context).is_ready()
        {
            // Else the kernel would keep what he does not take, and offer it for minutes.
            self.stream.set_zero_linger().ok();
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl Connected for CappedStream {
    type ConnectInfo = Option<Arc<Connection>>;

    fn connect_info(&self) -> Self::ConnectInfo {
        let counted = self.counted.as_ref();
        counted.map(|it| it.connection.clone())
    }
}

impl AsyncRead for CappedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = this.socket(context)?.poll_read(context, buffer);
        let Some(debt) = &mut this.debt else {
            return read;
        };
        if read.is_ready() {
            if debt.heard(buffer.filled().len() - before) {
                this.debt = None;
            }
            return read;
        }
        if debt.is_late(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for CappedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.socket(context)?.poll_write(context, bytes);
        this.told(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket(context)?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket(context)?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.socket(context)?.poll_write_vectored(context, slices);
        this.told(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{sleep, timeout};

    const PATIENCE: Duration = Duration::from_millis(100);
    /// Never over while a test runs.
    const ENDLESS: Duration = Duration::from_secs(3_600);

    async fn connected(owes: Owes) -> (TcpStream, CappedStream) {
        connected_for(owes, PATIENCE).await
    }

    async fn connected_for(owes: Owes, patience: Duration) -> (TcpStream, CappedStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = CappedListener::new(listener, 1, owes, patience);
        let client = TcpStream::connect(address).await.unwrap();
        (client, listener.next().await.0)
    }

    fn is_cut_off(read: io::Result<usize>) -> bool {
        read.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test]
    async fn who_does_not_speak_is_cut_off() {
        for owes in [Owes::Preface, Owes::Requests] {
            let (_client, mut server) = connected(owes).await;
            assert!(is_cut_off(server.read(&mut [0; 64]).await), "{owes:?}");
        }
    }

    #[tokio::test]
    async fn who_dribbles_is_cut_off_however_often_he_dribbles() {
        for owes in [Owes::Preface, Owes::Requests] {
            let (mut client, mut server) = connected(owes).await;
            let dribble = tokio::spawn(async move {
                for _ in 0..20 {
                    if client.write_all(b"P").await.is_err() {
                        return;
                    }
                    sleep(PATIENCE / 5).await;
                }
            });
            let mut read = Ok(1);
            while matches!(read, Ok(1..)) {
                read = server.read(&mut [0; 64]).await;
            }
            assert!(is_cut_off(read), "{owes:?}");
            dribble.abort();
        }
    }

    #[tokio::test]
    async fn who_has_said_his_preface_may_be_silent() {
        let (mut client, mut server) = connected(Owes::Preface).await;
        client.write_all(&[1; PREFACE]).await.unwrap();
        server.read_exact(&mut [0; PREFACE]).await.unwrap();
        sleep(2 * PATIENCE).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read(&mut [0; 64]).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_answer_gives_time_for_the_next_request() {
        let (mut client, mut server) = connected_for(Owes::Requests, ENDLESS).await;
        for _ in 0..3 {
            client.write_all(b"ask").await.unwrap();
            assert_eq!(server.read(&mut [0; 64]).await.unwrap(), 3);
            let asked = Instant::now();
            server.write_all(b"answer").await.unwrap();
            let until = server.debt.as_ref().unwrap().until.deadline();
            assert!(until >= asked + ENDLESS);
        }
        // But not for ever.
        server.debt.as_mut().unwrap().patience = PATIENCE;
        server.write_all(b"the last").await.unwrap();
        assert!(is_cut_off(server.read(&mut [0; 64]).await));
    }

    /// What the kernel still has for him is of no use to anybody.
    #[tokio::test]
    async fn who_is_cut_off_for_what_he_does_not_take_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::new(super::super::answers::Caps::NODE);
        let listener = CappedListener::new(listener, 1, Owes::Preface, ENDLESS);
        let mut streams = Box::pin(listener.into_stream(answers));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut server = streams.next().await.unwrap().unwrap();
        server.write_all(&[7; 1_000]).await.unwrap();
        server.connect_info().unwrap().cut_off();
        let late = server.write(&[7]).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(server);
        let mut taken = Vec::new();
        let end = client.read_to_end(&mut taken).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_kernel_keeps_little_for_who_takes_nothing() {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(64 << 10).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = client.connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut kept = 0;
        while let Ok(bytes) = timeout(PATIENCE, server.writable()).await {
            bytes.unwrap();
            kept += server.try_write(&[7; 4_096]).unwrap_or(0);
        }
        assert!((1..2 << 20).contains(&kept), "{kept} bytes");
    }
}
