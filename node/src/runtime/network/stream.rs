//! The two ends of a stream: a writer for each peer and class, and a reader for each that a peer opens.

use super::hello::{MAX_HELLO, Mismatch};
use super::peer::{Lane, Peer};
use super::swarm::Command;
use super::{Shared, jitter};
use crate::runtime::metrics::class_name;
use bytes::Bytes;
use crypto::Reject;
use engine::Class;
use futures::{SinkExt, StreamExt as _};
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

/// Opening a stream and exchanging hellos.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// An idle writer says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A reader that hears nothing for so long gives the connection up.
const SILENCE: Duration = Duration::from_secs(6);
/// A writer that cannot get rid of its bytes for so long does, too.
const STALLED: Duration = Duration::from_secs(6);
/// Bytes fed between two flushes.
const FLUSH: usize = 256 << 10;

type Reader = FramedRead<ReadHalf<Compat<Stream>>, LengthDelimitedCodec>;
type Writer = FramedWrite<WriteHalf<Compat<Stream>>, LengthDelimitedCodec>;

/// The protocol's name of a class.
pub(super) fn protocol(class: Class) -> StreamProtocol {
    match class {
        Class::Control => StreamProtocol::new("/quorate/control"),
        Class::Bulk => StreamProtocol::new("/quorate/bulk"),
    }
}

/// Why a stream ended.
enum End {
    /// It broke, or its peer closed it: open another.
    Broken(String),
    /// It went silent or stuck: the connection is of no use.
    Stalled(&'static str),
    /// The peer is not one of ours.
    Mismatch(Mismatch),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn framed(stream: Stream) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(stream.compat());
    let codec = || {
        LengthDelimitedCodec::builder()
            .max_frame_length(MAX_HELLO)
            .little_endian()
            .new_codec()
    };
    let mut writer = FramedWrite::new(write, codec());
    writer.set_backpressure_boundary(FLUSH);
    (FramedRead::new(read, codec()), writer)
}

/// Keeps a stream to a peer open while it is connected, and sends what is queued.
pub(super) async fn write_lane(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    class: Class,
    mut control: Control,
) {
    let mut connection = peer.connection.subscribe();
    let lane = peer.lane(class);
    loop {
        let id = tokio::select! {
            id = peer.connected() => id,
            () = shared.stop.cancelled() => return,
        };
        let ended = tokio::select! {
            end = write_stream(&shared, &peer, lane, &mut control) => Some(end),
            _ = connection.wait_for(|now| *now != Some(id)) => None,
            () = shared.stop.cancelled() => return,
        };
        shared.metrics.dropped_frames(class, lane.queue.close());
        if class == Class::Control {
            shared.set_connected(&peer, false);
        }
        if let Some(end) = ended {
            shared.note_end(&peer, class, &end, Some(id)).await;
            sleep(jitter(Duration::from_millis(100))).await;
        }
    }
}

/// Runs one stream until it ends.
async fn write_stream(shared: &Shared, peer: &Peer, lane: &Lane, control: &mut Control) -> End {
    match try_write_stream(shared, peer, lane, control).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn try_write_stream(
    shared: &Shared,
    peer: &Peer,
    lane: &Lane,
    control: &mut Control,
) -> Result<std::convert::Infallible, End> {
    let handshake = async {
        let stream = control
            .open_stream(peer.id, protocol(lane.class))
            .await
            .map_err(|error| End::Broken(error.to_string()))?;
        let (mut reader, mut writer) = framed(stream);
        writer.send(Bytes::from(shared.hello.encode())).await?;
        match reader.next().await {
            Some(answer) => shared.hello.check(&answer?).map_err(End::Mismatch)?,
            None => return Err(End::Broken("closed before it said hello".into())),
        };
        Ok((reader, writer))
    };
    // It may have been opened on a connection that is already given up: try again, close nothing.
    let (mut reader, mut writer) = timeout(HANDSHAKE, handshake)
        .await
        .unwrap_or(Err(End::Broken("no hello".into())))?;
    writer.encoder_mut().set_max_frame_length(lane.limits.frame);
    lane.queue.open();
    if lane.class == Class::Control {
        shared.set_connected(peer, true);
    }
    loop {
        let frames = tokio::select! {
            frames = timeout(HEARTBEAT, lane.queue.take(FLUSH)) => frames.unwrap_or_default(),
            // The reader of a stream sends nothing after its hello.
            _ = reader.next() => return Err(End::Broken("closed by the peer".into())),
        };
        let sent = timeout(STALLED, send(&mut writer, frames)).await;
        let bytes = sent.map_err(|_| End::Stalled("it takes no bytes"))??;
        shared.metrics.sent(lane.class, bytes);
    }
}

/// Sends frames and flushes once; none: a heartbeat.
async fn send(writer: &mut Writer, frames: Vec<Bytes>) -> io::Result<usize> {
    let mut bytes = 0;
    if frames.is_empty() {
        writer.feed(Bytes::new()).await?;
    }
    for frame in frames {
        bytes += frame.len();
        writer.feed(frame).await?;
    }
    SinkExt::<Bytes>::flush(writer).await?;
    Ok(bytes)
}

/// Accepts the streams that peers open. It only spawns, so that none is lost.
pub(super) async fn accept(shared: Arc<Shared>, class: Class, mut incoming: IncomingStreams) {
    loop {
        let (id, stream) = tokio::select! {
            next = incoming.next() => match next {
                Some(next) => next,
                None => return,
            },
            () = shared.stop.cancelled() => return,
        };
        if let Some(peer) = shared.peer_of(&id) {
            tokio::spawn(read_lane(shared.clone(), peer, class, stream));
        }
    }
}

async fn read_lane(shared: Arc<Shared>, peer: Arc<Peer>, class: Class, stream: Stream) {
    let lane = peer.lane(class);
    let replaced = lane.replace_reader(&shared.stop);
    let read = async {
        peer.connected().await;
        read_stream(&shared, &peer, lane, stream).await
    };
    let ended = tokio::select! {
        ended = read => ended,
        () = replaced.cancelled() => return,
    };
    if let Err(end) = ended {
        // Not that which was known when it began: see `heard`.
        let id = *peer.connection.borrow();
        shared.note_end(&peer, class, &end, id).await;
    }
}

/// The next of a stream, or the connection on which it is silent.
///
/// Nobody says on which it came, and the one that is known may be an older one, whose end is not heard
/// of yet. But a stream ends with its connection. So one that is still there belongs to the newest, once
/// that has been known for a while; and until then silence proves nothing.
pub(super) async fn heard<S: futures::Stream + Unpin>(
    stream: &mut S,
    connection: &mut watch::Receiver<Option<ConnectionId>>,
    silence: Duration,
) -> Result<Option<S::Item>, Option<ConnectionId>> {
    loop {
        let known = *connection.borrow_and_update();
        match timeout(silence, stream.next()).await {
            Ok(next) => return Ok(next),
            Err(_) if connection.has_changed().unwrap_or(false) => {}
            Err(_) => return Err(known),
        }
    }
}

async fn read_stream(shared: &Shared, peer: &Peer, lane: &Lane, stream: Stream) -> Result<(), End> {
    let (mut reader, mut writer) = framed(stream);
    let handshake = async {
        let theirs = match reader.next().await {
            Some(hello) => shared
                .hello
                .check(&hello.map_err(|_| End::Mismatch(Mismatch::NoHello))?),
            None => return Err(End::Broken("closed before it said hello".into())),
        };
        // Ours is sent in any case, so that its operator can read the reason as well.
        writer.send(Bytes::from(shared.hello.encode())).await?;
        theirs.map_err(End::Mismatch)
    };
    let theirs = timeout(HANDSHAKE, handshake)
        .await
        .unwrap_or(Err(End::Broken("no hello".into())))?;
    tracing::debug!(node = %peer.node, class = class_name(lane.class), build = theirs.build, "stream");
    reader.decoder_mut().set_max_frame_length(lane.limits.frame);
    let mut connection = peer.connection.subscribe();
    loop {
        let frame = match heard(&mut reader, &mut connection, SILENCE).await {
            Err(_) => return Err(End::Stalled("it is silent")),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) if error.kind() == io::ErrorKind::InvalidData => {
                shared.sink.rejected(peer.node, Reject::TooLong);
                return Err(End::Broken(error.to_string()));
            }
            Ok(Some(frame)) => frame?.freeze(),
        };
        if frame.is_empty() {
            continue;
        }
        shared.metrics.received(lane.class, frame.len());
        let permit = lane.admit(frame.len()).await;
        shared.sink.frame(peer.node, lane.class, frame, permit);
    }
}

impl Shared {
    fn peer_of(&self, id: &PeerId) -> Option<Arc<Peer>> {
        self.by_id
            .get(id)
            .and_then(|node| self.peers.get(node))
            .cloned()
    }

    /// What follows from a stream's end.
    async fn note_end(&self, peer: &Peer, class: Class, end: &End, id: Option<ConnectionId>) {
        let node = peer.node;
        match end {
            End::Broken(why) => {
                tracing::debug!(%node, class = class_name(class), why, "stream ended");
                return;
            }
            End::Stalled(why) => {
                tracing::debug!(%node, class = class_name(class), why, "connection given up");
            }
            End::Mismatch(why) => {
                self.metrics.refused_connection(why.name());
                if let Some(left_out) = self.log.may(why.name()) {
                    tracing::warn!(%node, left_out, "refused a validator's connection: {why}");
                }
            }
        }
        if let Some(id) = id {
            self.commands.send(Command::Close(peer.node, id)).await.ok();
        }
    }
}
