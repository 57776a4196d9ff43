#![allow(clippy::unwrap_used)]

use super::*;
use crate::sim::Chance;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const CREATE: i32 = 0o100;
const ROOT: (u32, i32) = (1, 3);
const FILE: (u32, i32) = (1, 4);
const OTHER: (u32, i32) = (1, 5);

/// What is in an image, by name.
type Found = BTreeMap<String, Vec<u8>>;

fn made(fd: (u32, i32), name: &str) -> Record {
    Record::Open(fd, name.into(), CREATE)
}

fn written(fd: (u32, i32), at: u64, bytes: impl Into<Vec<u8>>) -> Record {
    Record::Write(fd, at, Bytes::from(bytes.into()))
}

fn synced(fd: (u32, i32), number: u64) -> [Record; 2] {
    [Record::SyncBegin(fd, number), Record::SyncEnd(fd, number)]
}

/// A file with this content of which everything is durable.
fn durable(name: &str, bytes: &[u8]) -> Vec<Record> {
    let mut records = vec![
        Record::Open(ROOT, String::new(), 0),
        made(FILE, name),
        written(FILE, 0, bytes),
    ];
    records.extend(synced(FILE, 1));
    records.extend(synced(ROOT, 2));
    records
}

/// All that may be found behind these records, as far as 300 draws show it.
fn images(records: &[Record], heard: Heard) -> BTreeSet<Found> {
    let disk = Disk::after(records, heard).unwrap();
    let image = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let mut chance = Chance::of(seed, "images");
        disk.image(Fate::Mixed, &mut chance, dir.path()).unwrap();
        let files = fs::read_dir(dir.path()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        });
        files.collect()
    };
    (0..300).map(image).collect()
}

fn honest(records: &[Record]) -> BTreeSet<Found> {
    images(records, |_| true)
}

fn found(files: &[(&str, &[u8])]) -> Found {
    let own = files.iter().map(|(name, it)| ((*name).into(), it.to_vec()));
    own.collect()
}

#[test]
fn what_was_synced_is_in_every_image() {
    let all = honest(&durable("a", b"old"));
    assert_eq!(all, BTreeSet::from([found(&[("a", b"old")])]));
}

#[test]
fn what_was_not_synced_is_lost_kept_or_torn() {
    let mut records = durable("a", b"old");
    records.push(written(FILE, 0, *b"new"));
    let all = honest(&records);
    let images: [&[u8]; 4] = [b"old", b"nld", b"ned", b"new"];
    assert_eq!(all, images.map(|it| found(&[("a", it)])).into());
}

#[test]
fn a_sync_covers_only_what_came_before_it_began() {
    let mut records = durable("a", b"o");
    let [begin, end] = synced(FILE, 7);
    records.extend([begin, written(FILE, 0, *b"n"), end]);
    let all = honest(&records);
    assert_eq!(all, [b"o", b"n"].map(|it| found(&[("a", it)])).into());
    // And one that does not end covers nothing.
    records = durable("a", b"o");
    records.extend([written(FILE, 0, *b"n"), Record::SyncBegin(FILE, 7)]);
    assert_eq!(honest(&records).len(), 2);
}

#[test]
fn a_later_page_may_be_kept_though_an_earlier_one_is_lost() {
    let mut records = durable("a", b"");
    records.push(written(FILE, 0, [1; 4096]));
    records.push(written(FILE, 4096, [2; 4096]));
    let hole = [[0; 4096], [2; 4096]].concat();
    let all = honest(&records);
    assert!(all.contains(&found(&[("a", &hole)])));
    assert!(all.contains(&found(&[("a", &[1; 4096])])));
}

#[test]
fn a_name_needs_a_sync_of_its_directory() {
    let mut records = vec![
        Record::Open(ROOT, String::new(), 0),
        made(FILE, "a"),
        written(FILE, 0, *b"x"),
    ];
    records.extend(synced(FILE, 1));
    let here = found(&[("a", b"x")]);
    assert_eq!(honest(&records), [found(&[]), here.clone()].into());
    records.extend(synced(ROOT, 2));
    assert_eq!(honest(&records), [here.clone()].into());
    // Nor is a name gone before that.
    records.push(Record::Unlink("a".into()));
    assert_eq!(honest(&records), [found(&[]), here].into());
    records.extend(synced(ROOT, 3));
    assert_eq!(honest(&records), [found(&[])].into());
}

#[test]
fn a_rename_is_there_or_not() {
    let mut records = durable("a", b"old");
    records.extend([made(OTHER, "b"), written(OTHER, 0, *b"new")]);
    records.extend(synced(OTHER, 7));
    records.extend(synced(ROOT, 8));
    records.push(Record::Rename("b".into(), "a".into()));
    let before = found(&[("a", b"old"), ("b", b"new")]);
    let after = found(&[("a", b"new")]);
    assert_eq!(honest(&records), [before, after.clone()].into());
    records.extend(synced(ROOT, 9));
    assert_eq!(honest(&records), [after].into());
}

#[test]
fn a_deaf_disk_loses_what_was_synced() {
    let all = images(&durable("a", b"x"), |path| path != "a");
    assert!(all.contains(&found(&[("a", b"")])));
    let all = images(&durable("a", b"x"), |path| !path.is_empty());
    assert!(all.contains(&found(&[])));
}

#[test]
fn what_was_not_recorded_shows() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::after(&durable("a", b"x"), |_| true).unwrap();
    assert!(disk.compare(dir.path()).is_err(), "a file is missing");
    fs::write(dir.path().join("a"), "y").unwrap();
    assert!(disk.compare(dir.path()).is_err(), "it has another content");
    fs::write(dir.path().join("a"), "x").unwrap();
    disk.compare(dir.path()).unwrap();
    fs::write(dir.path().join("b"), "").unwrap();
    assert!(disk.compare(dir.path()).is_err(), "nobody made that");
}
