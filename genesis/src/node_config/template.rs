//! The text of `node.toml`: every key with its explanation. A test holds that none is left out.

use super::NodeConfig;
use crate::duration::text;
use serde::Serialize;

/// One value as TOML.
fn value<T: Serialize>(value: T) -> String {
    let mut out = String::new();
    value
        .serialize(toml::ser::ValueSerializer::new(&mut out))
        .expect("strings and numbers are TOML");
    out
}

pub(super) fn render(config: &NodeConfig) -> String {
    let mut out = format!(
        "# This node's own settings. Nothing here changes what the chain decides; what all nodes\n\
         # agree on is in genesis.toml. A key that is left out has the value that is shown by\n\
         # `quorate genesis`; an unknown key is an error.\n\n\
         # Of this file.\nformat = {}\n",
        config.format
    );
    for (name, keys) in sections(config) {
        out.push_str(&format!("\n[{name}]\n"));
        for (key, value, about) in keys {
            out.push_str(&format!("# {about}\n{key} = {value}\n"));
        }
    }
    out
}

type Section = (&'static str, Vec<(&'static str, String, &'static str)>);

#[rustfmt::skip]
fn sections(config: &NodeConfig) -> Vec<Section> {
    let NodeConfig { format: _, listen, log, store, timing, pool, rpc } = config;
    vec![
        ("listen", vec![
            ("p2p", value(listen.p2p), "For the other validators; they reach it by the address in genesis.toml."),
            ("rpc", value(listen.rpc), "gRPC for clients. Not encrypted: loopback only, unless insecure = true."),
            ("http", value(listen.http), "/healthz, /readyz, /metrics and /status for the operator. As rpc."),
            ("insecure", value(listen.insecure), "Allow rpc and http on an address that is not loopback."),
        ]),
        ("log", vec![
            ("format", value(log.format), "\"text\" or \"json\"."),
            ("filter", value(&log.filter), "A level (error, warn, info, debug, trace), or directives such as \"info,libp2p=debug\"."),
        ]),
        ("store", vec![
            ("dir", value(&store.dir), "The data; from the home of the node, unless absolute."),
            ("flush_bytes", value(store.flush_bytes), "The state is flushed to disk after so many bytes of changes (the log at once)."),
            ("flush_after", value(text(store.flush_after)), "And at the latest after this time."),
        ]),
        ("timing", vec![
            ("timeout", value(text(timing.timeout)), "A view (Raft: the wait for its leader) ends without result after this time; several round trips and syncs must fit."),
            ("timeout_cap", value(text(timing.timeout_cap)), "The most that repeated time-outs may raise it to."),
            ("resend", value(text(timing.resend)), "How often a promise is sent again while nothing moves."),
            ("linger", value(text(timing.linger)), "How long a leader waits for more payload when the last block was small."),
            ("batch_delay", value(text(timing.batch_delay)), "How long the first transaction of a batch waits for company; up to eight times as long while many come."),
            ("heartbeat", value(text(timing.heartbeat)), "How often an idle connection is tried."),
        ]),
        ("pool", vec![
            ("transactions", value(pool.transactions), "Most transactions of this node's clients that wait to be ordered."),
            ("bytes", value(pool.bytes), "Most bytes of them."),
            ("per_client", value(pool.per_client), "Most of one client."),
            ("control_bytes", value(pool.control_bytes), "Most bytes that wait for one peer on the stream of votes and proposals."),
            ("bulk_bytes", value(pool.bulk_bytes), "Most bytes that wait for one peer on the stream of batches and catch-up."),
        ]),
        ("rpc", vec![
            ("connections", value(rpc.connections), "Most connections of clients at a time."),
            ("requests", value(rpc.requests), "Most requests under way at a time; more are refused with RESOURCE_EXHAUSTED."),
            ("range_entries", value(rpc.range_entries), "Most entries that one range answers with."),
        ]),
    ]
}
