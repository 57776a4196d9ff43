//! The RPC of a real node with one member: whatever comes as a request is answered, with a status
//! of ours, and the node goes on.

use super::{Found, Source, rpc_node};
use bytes::Bytes;
use crypto::{ChainId, Height, SecretKey, Signature, Transaction, transaction};
use prost::Message as _;
use quorate::handle::NodeHandle;
use quorate::rpc::{NodeInfo, ledger, proto};
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{Operation, Request, Span};
use tokio::runtime::{Builder, Runtime};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::{Body as _, BoxFuture, Service, http};

/// Bytes of a game that are played.
const MOST: usize = 4_096;
/// How long an answer may take: deadlines are far below.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long more of an answer is waited for: streams do not end.
const SOON: Duration = Duration::from_millis(3);
/// Nodes that are about to stop.
const MOST_LEAVING: usize = 8;
/// Pieces of an answer that are read.
const PIECES: usize = 8;

const METHODS: [&str; 8] = [
    "Submit",
    "SubmitStream",
    "Session",
    "GetReceipt",
    "Range",
    "Blocks",
    "Status",
    "Nothing",
];

type Answer = BoxFuture<http::Response<Body>, Infallible>;
type Call = Box<dyn FnMut(http::Request<Body>) -> Answer + Send>;

/// Sends some requests to a node that has just started: a saved artifact does the same again. Tells which
/// methods were answered well.
#[must_use]
pub fn requests(data: &[u8]) -> Found {
    let mut served = Served::start();
    let mut source = Source::new(data, MOST);
    let mut found = BTreeSet::new();
    while !source.is_empty() {
        found.extend(served.request(&mut source));
    }
    served.leave();
    found.into_iter().collect()
}

struct Served {
    runtime: Runtime,
    handle: NodeHandle,
    call: Call,
    chain: ChainId,
    client: SecretKey,
    sequence: u64,
}

impl Served {
    fn start() -> Self {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        let runtime = runtime.expect("there are threads left");
        let (genesis, node, client) = rpc_node::chain();
        let (chain, caps) = (genesis.chain_id(), node.config.rpc.clone());
        let handle = runtime.block_on(rpc_node::start(&genesis, node));
        let info = NodeInfo::new(Arc::new(genesis), caps);
        let mut service = ledger(handle.clone(), info);
        Self {
            runtime,
            handle,
            call: Box::new(move |request: http::Request<Body>| -> Answer {
                Box::pin(service.call(request))
            }),
            chain,
            client,
            sequence: 0,
        }
    }

    /// Stops it. A node takes its time for that, in which others are asked already.
    fn leave(self) {
        static LEAVING: Mutex<VecDeque<JoinHandle<()>>> = Mutex::new(VecDeque::new());
        let stop = self.handle.shutdown();
        assert!(!stop.is_cancelled(), "the node goes on");
        stop.cancel();
        let leaving = std::thread::spawn(move || {
            let stopped = self.runtime.block_on(self.handle.stopped());
            assert_eq!(stopped, Ok(()), "the node stops when it is told to");
        });
        let mut all = LEAVING.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(leaving);
        if all.len() > MOST_LEAVING
            && let Some(first) = all.pop_front()
        {
            first.join().expect("a node stops");
        }
    }

    /// The method that was asked, if the answer is a good one.
    fn request(&mut self, source: &mut Source<'_>) -> Option<&'static str> {
        let method = METHODS[source.below(METHODS.len())];
        let body = self.body(method, source);
        let uri = format!("http://node/quorate.v1.Ledger/{method}");
        let mut request = http::Request::post(uri).header("content-type", "application/grpc");
        let (timeout, patience) = match source.below(4) {
            0 => (source.take(9), SOON),
            1 => (&b"1m"[..], PATIENCE),
            2 => (&b"0n"[..], PATIENCE),
            _ => (&b"20m"[..], PATIENCE),
        };
        if let Ok(timeout) = http::HeaderValue::from_bytes(timeout) {
            request = request.header("grpc-timeout", timeout);
        }
        let body = Body::new(Whole(Some(body)));
        let request = request.body(body).ok()?;
        let answer = (self.call)(request);
        let code = self.runtime.block_on(async {
            // Whoever names a time of his own may go away before it has passed.
            let answered = tokio::time::timeout(patience, answered(answer)).await;
            assert!(answered.is_ok() || patience == SOON, "answered in time");
            answered.ok().flatten()
        });
        assert!(code != Some(Code::Unknown), "a status of ours: {code:?}");
        (code == Some(Code::Ok)).then_some(method)
    }

    /// Messages of a method, whole or not.
    fn body(&mut self, method: &str, source: &mut Source<'_>) -> Bytes {
        let mut body = Vec::new();
        let count = match method {
            "SubmitStream" => source.below(5),
            _ => 1,
        };
        for _ in 0..count {
            let how = source.byte();
            let message = match how % 4 {
                0 => {
                    let length = source.below(300);
                    source.take(length).to_vec()
                }
                _ => self.message(method, source),
            };
            let flag = u8::from(how == 0xFF);
            let length = match how {
                0xFE => source.number() as u32,
                _ => message.len() as u32,
            };
            body.push(flag);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(&message);
        }
        body.into()
    }

    fn message(&mut self, method: &str, source: &mut Source<'_>) -> Vec<u8> {
        let client = match source.below(3) {
            0 => {
                let length = source.below(40);
                Bytes::copy_from_slice(source.take(length))
            }
            _ => Bytes::copy_from_slice(&self.client.public().0),
        };
        match method {
            "Submit" => self.submit(source).encode_to_vec(),
            "SubmitStream" => {
                let request = match source.below(8) {
                    0 => None,
                    _ => Some(self.submit(source)),
                };
                let tag = source.number();
                proto::TaggedRequest { tag, request }.encode_to_vec()
            }
            "Session" => proto::SessionRequest { client }.encode_to_vec(),
            "GetReceipt" => {
                let sequence = source.number();
                proto::GetReceiptRequest { client, sequence }.encode_to_vec()
            }
            "Range" => {
                let part = |source: &mut Source<'_>| {
                    let length = source.below(6);
                    Bytes::copy_from_slice(source.take(length))
                };
                let request = proto::RangeRequest {
                    key: part(source),
                    range_end: part(source),
                    limit: source.number(),
                    revision: source.number(),
                    consistency: source.below(5) as i32,
                };
                request.encode_to_vec()
            }
            _ => {
                let request = proto::BlocksRequest {
                    from: source.number(),
                    follow: source.flag(),
                    batches: source.flag(),
                };
                request.encode_to_vec()
            }
        }
    }

    fn submit(&mut self, source: &mut Source<'_>) -> proto::SubmitRequest {
        self.sequence += 1;
        let height = self.handle.status().consensus.height.0;
        let mut it = Transaction {
            format: transaction::FORMAT,
            chain: self.chain,
            client: self.client.public(),
            sequence: match source.below(4) {
                0 => source.number(),
                _ => self.sequence,
            },
            expires: match source.below(4) {
                0 => Height(source.number()),
                _ => Height(height + 100),
            },
            body: request(source),
            signature: Signature::NONE,
        };
        it.signature = self.client.sign(&it.digest());
        let mut wire = proto::Transaction::from(&it);
        match source.below(12) {
            0 => wire.format = source.number() as u32,
            1 => wire.chain = Bytes::copy_from_slice(source.take(32)),
            2 => wire.client = Bytes::copy_from_slice(source.take(32)),
            3 => wire.signature = Bytes::copy_from_slice(source.take(64)),
            4 => wire.sequence = source.number(),
            _ => {}
        }
        proto::SubmitRequest {
            transaction: (source.byte() != 0xFF).then_some(wire),
            wait: source.below(4) as i32,
        }
    }
}

/// The body of a transaction, or what looks like one.
fn request(source: &mut Source<'_>) -> Bytes {
    if source.below(4) == 0 {
        let length = source.below(200);
        return Bytes::copy_from_slice(source.take(length));
    }
    let part = |source: &mut Source<'_>| {
        let length = source.below(6);
        Bytes::copy_from_slice(source.take(length))
    };
    let operation = |source: &mut Source<'_>| match source.below(3) {
        0 => Operation::Put {
            key: part(source),
            value: part(source),
        },
        1 => Operation::Delete { key: part(source) },
        _ => Operation::Range {
            span: Span::prefix(part(source)),
            limit: source.byte().into(),
            revision: source.number(),
        },
    };
    let count = source.below(4);
    Request::all((0..count).map(|_| operation(source)).collect()).encode()
}

/// Reads what comes soon of an answer; its status, if that came.
async fn answered(answer: Answer) -> Option<Code> {
    let Ok(answer) = answer.await;
    let (head, body) = answer.into_parts();
    let mut code = status(&head.headers);
    let mut body = pin!(body);
    for _ in 0..PIECES {
        let next = poll_fn(|context| body.as_mut().poll_frame(context));
        let Ok(Some(Ok(piece))) = tokio::time::timeout(SOON, next).await else {
            break;
        };
        code = piece.trailers_ref().and_then(status).or(code);
    }
    code
}

fn status(headers: &http::HeaderMap) -> Option<Code> {
    let value = headers.get("grpc-status")?;
    Some(Code::from_bytes(value.as_bytes()))
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl tonic::codegen::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let whole = self.0.take().map(|it| Ok(http_body::Frame::data(it)));
        std::task::Poll::Ready(whole)
    }
}
