#![allow(clippy::unwrap_used)]
use super::*;

fn config() -> NodeConfig {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    NodeConfig::new(at(7000), at(7001), at(7002))
}

fn refuses(old: &str, new: &str, words: &[&str]) {
    let good = config().to_toml();
    let at = good
        .find(old)
        .unwrap_or_else(|| panic!("{old:?} is not in\n{good}"));
    let error = NodeConfig::parse("node.toml", &good.replacen(old, new, 1))
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\n'), "more than one line: {error}");
    let line = format!("node.toml line {}: ", 1 + good[..at].matches('\n').count());
    assert!(error.starts_with(&line), "not {line:?}: {error}");
    for word in words {
        assert!(error.contains(word), "no {word:?}: {error}");
    }
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    let mut other = config();
    other.listen.insecure = true;
    other.listen.rpc = "[::]:9001".parse().unwrap();
    other.log = Log {
        format: LogFormat::Json,
        filter: "info,\"x\"=warn\\".into(),
    };
    other.store.dir = "/var/lib/quorate \"one\"".into();
    other.timing.linger = Time(1_500_001);
    other.pool.bytes = 1 << 30;
    for config in [config(), other] {
        assert_eq!(
            NodeConfig::parse("node.toml", &config.to_toml()).unwrap(),
            config
        );
    }
}

#[test]
fn every_key_is_written_with_its_explanation() {
    let text = config().to_toml();
    let plain = toml::to_string(&config()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut keys = 0;
    for line in plain.lines().filter(|line| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        let at = lines.iter().position(|l| *l == line);
        let at = at.unwrap_or_else(|| panic!("{key} is not written as {line:?}"));
        assert!(lines[at - 1].starts_with("# "), "{key} is not explained");
        keys += 1;
    }
    assert!(keys > 20);
    assert_eq!(
        keys,
        lines
            .iter()
            .filter(|l| l.contains(" = ") && !l.starts_with('#'))
            .count()
    );
}

#[test]
fn addresses_alone_are_enough() {
    let text = "format = 1\nlisten = { p2p = \"127.0.0.1:7000\", rpc = \"127.0.0.1:7001\", http = \"127.0.0.1:7002\" }";
    assert_eq!(NodeConfig::parse("node.toml", text).unwrap(), config());
}

#[test]
fn unknown_keys_and_bad_values_are_refused_with_their_line() {
    refuses("filter", "filtre", &["unknown field", "filtre"]);
    refuses("[pool]", "[pol]", &["unknown field", "pol"]);
    refuses("127.0.0.1:7000", "localhost", &["invalid socket address"]);
    refuses("\"300ms\"", "300", &["invalid type"]);
    refuses("\"300ms\"", "\"soon\"", &["soon", "300ms"]);
    refuses(
        "\"300ms\"",
        "\"1ms\"",
        &["timing.timeout", "1ms is not within 10ms to 1h"],
    );
    refuses(
        "\"10s\"",
        "\"100ms\"",
        &["timing.timeout_cap", "timing.timeout"],
    );
    refuses(
        "linger = \"1ms\"",
        "linger = \"1s\"",
        &["timing.linger", "below timing.timeout"],
    );
    refuses(
        "requests = 16384",
        "requests = 0",
        &["rpc.requests", "below 1"],
    );
    refuses("format = 1", "format = 2", &["newer"]);
}

#[test]
fn rpc_away_from_loopback_needs_the_word_insecure() {
    refuses(
        "127.0.0.1:7001",
        "10.0.0.1:7001",
        &["listen.rpc", "not loopback", "insecure = true"],
    );
    refuses(
        "127.0.0.1:7002",
        "0.0.0.0:7002",
        &["listen.http", "not loopback"],
    );
    let text = config()
        .to_toml()
        .replacen("127.0.0.1:7001", "0.0.0.0:7001", 1);
    let text = text.replacen("insecure = false", "insecure = true", 1);
    NodeConfig::parse("node.toml", &text).unwrap();
    let public = config()
        .to_toml()
        .replacen("127.0.0.1:7000", "0.0.0.0:7000", 1);
    NodeConfig::parse("node.toml", &public).unwrap();
}

#[test]
fn one_port_for_two_services_is_refused() {
    refuses(
        "127.0.0.1:7002",
        "127.0.0.1:7001",
        &["listen.http", "used twice"],
    );
    refuses(
        "127.0.0.1:7001",
        "127.0.0.1:7000",
        &["listen.rpc", "used twice"],
    );
}
