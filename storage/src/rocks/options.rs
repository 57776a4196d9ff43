//! How RocksDB is set up: small at start, bounded under load, made for two cores.

use crate::Table;
use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};

const MIB: usize = 1 << 20;

/// The options of an instance, which also hold its statistics.
pub struct Tuning {
    /// Of the instance.
    pub db: Options,
    cache: Cache,
}

impl Tuning {
    /// For the log.
    pub fn log(mode: DBRecoveryMode) -> Self {
        let mut tuning = Self::common(8 * MIB, 0);
        tuning.db.set_wal_recovery_mode(mode);
        // A write-ahead log file lives until every table is flushed: quiet tables are flushed too.
        tuning.db.set_max_total_wal_size(64 * MIB as u64);
        tuning.db.enable_statistics();
        tuning
    }
    /// For the state. The executor flushes long before a memtable is full.
    pub fn state() -> Self {
        let mut tuning = Self::common(16 * MIB, 10);
        tuning.db.set_write_buffer_size(96 * MIB);
        tuning.db.set_arena_block_size(MIB);
        tuning.db.set_max_write_buffer_number(3);
        // Each flush is a file of some MiB that spans all keys: twice as many as by default are
        // merged at a time, since each merge rewrites most of the level below.
        tuning.db.set_level_zero_file_num_compaction_trigger(8);
        tuning
    }
    fn common(cache: usize, bloom: u32) -> Self {
        let cache = Cache::new_lru_cache(cache).expect("a cache of a fixed, small size");
        let mut db = Options::default();
        db.create_if_missing(true);
        db.create_missing_column_families(true);
        db.set_paranoid_checks(true);
        db.set_max_background_jobs(2);
        db.set_max_open_files(256);
        db.set_bytes_per_sync(MIB as u64);
        // Compression would be a tenth of all work, and the log's batches are mostly not compressible.
        db.set_compression_type(DBCompressionType::None);
        db.set_log_level(LogLevel::Warn);
        db.set_keep_log_file_num(2);
        db.set_max_log_file_size(MIB);
        db.set_stats_dump_period_sec(0);
        db.set_stats_persist_period_sec(0);
        let tuning = Self { cache, db };
        let table = tuning.blocks(bloom);
        let mut tuning = tuning;
        tuning.db.set_block_based_table_factory(&table);
        tuning
    }
    fn blocks(&self, bloom: u32) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_format_version(5);
        // Index and filter count against the cache, so memory stays bounded however much there is.
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        if bloom > 0 {
            table.set_bloom_filter(f64::from(bloom), false);
        }
        table
    }
    /// Options of a table's column family in the log.
    pub fn family(&self, table: Table) -> Options {
        let mut options = Options::default();
        let bulky = matches!(table, Table::Batch | Table::Record);
        options.set_write_buffer_size(if bulky { 16 * MIB } else { 4 * MIB });
        options.set_arena_block_size(MIB / 4);
        options.set_max_write_buffer_number(3);
        options.set_compression_type(DBCompressionType::None);
        options.set_block_based_table_factory(&self.blocks(if bulky { 10 } else { 0 }));
        if table == Table::Batch {
            // Batches lie in no useful order: apart from their keys, compaction need not copy them.
            options.set_enable_blob_files(true);
            options.set_min_blob_size(4 << 10);
            options.set_enable_blob_gc(true);
        }
        options
    }
    /// How often the write-ahead log was synced, by RocksDB's own count.
    pub fn wal_syncs(&self) -> u64 {
        let all = self.db.get_statistics().unwrap_or_default();
        let line = all
            .lines()
            .find(|line| line.starts_with("rocksdb.wal.synced COUNT"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }
}
