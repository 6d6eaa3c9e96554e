//! The stores measured beside the journal, behind one small trait: append a batch of events and make it durable.
//!
//! Ours and the ready-made ones (feature `peers`), each with its strictest setting that the journal also has: a sync before
//! the flush returns. The key of an event is its ordinal. Opening again and reading belong to the damage bench, which needs
//! to know what each store says about itself.

use std::path::Path;

use tidegate_journal::{Journal, Options, Position, RealDisk, Record, Writer};

/// A store that takes batches.
pub trait Store {
    /// Appends events numbered from `first` and makes them durable.
    fn flush(&mut self, first: u64, events: &[&[u8]]);
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The journal of this workspace.
    Journal,
    /// raft-log 0.4, its wait for more requests set to nothing.
    #[cfg(feature = "peers")]
    RaftLog,
    /// redb 4, `Durability::Immediate`.
    #[cfg(feature = "peers")]
    Redb,
    /// fjall 3, one write batch, `PersistMode::SyncData`.
    #[cfg(feature = "peers")]
    Fjall,
    /// SQLite in WAL mode, `synchronous=FULL`.
    #[cfg(feature = "peers")]
    Sqlite,
}

impl Kind {
    /// Every store that this build holds.
    pub const ALL: &'static [Self] = &[
        Self::Journal,
        #[cfg(feature = "peers")]
        Self::RaftLog,
        #[cfg(feature = "peers")]
        Self::Redb,
        #[cfg(feature = "peers")]
        Self::Fjall,
        #[cfg(feature = "peers")]
        Self::Sqlite,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "tidegate-journal",
            #[cfg(feature = "peers")]
            Self::RaftLog => "raft-log",
            #[cfg(feature = "peers")]
            Self::Redb => "redb",
            #[cfg(feature = "peers")]
            Self::Fjall => "fjall",
            #[cfg(feature = "peers")]
            Self::Sqlite => "SQLite WAL",
        }
    }

    /// A new store in an empty directory.
    pub fn create(self, directory: &Path) -> Box<dyn Store> {
        match self {
            Self::Journal => Box::new(OurLog::create(directory)),
            #[cfg(feature = "peers")]
            Self::RaftLog => Box::new(ready_made::RaftLogStore::create(directory)),
            #[cfg(feature = "peers")]
            Self::Redb => Box::new(ready_made::RedbStore::create(directory)),
            #[cfg(feature = "peers")]
            Self::Fjall => Box::new(ready_made::FjallStore::create(directory)),
            #[cfg(feature = "peers")]
            Self::Sqlite => Box::new(ready_made::SqliteStore::create(directory)),
        }
    }
}

/// The journal as it runs in a node: spares ready, old segments given back as soon as the log has gone on.
struct OurLog {
    journal: Journal<RealDisk>,
    writer: Writer<RealDisk>,
    positions: Vec<Position>,
    segment: u32,
}

impl OurLog {
    fn create(directory: &Path) -> Self {
        let disk = RealDisk::open(directory).expect("a directory for the journal");
        let (journal, _) = Journal::open(disk, Options::default()).expect("a new journal");
        journal.prepare_spare().expect("a spare segment");
        let writer = journal.writer().expect("the writer");
        let segment = writer.position().segment;
        Self { journal, writer, positions: Vec::new(), segment }
    }
}

impl Store for OurLog {
    fn flush(&mut self, first: u64, events: &[&[u8]]) {
        self.positions.clear();
        for (index, payload) in (first..).zip(events) {
            let record = Record { group: 1, index, payload };
            self.positions.push(self.writer.append_one(record).expect("an append"));
        }
        let durable = self.writer.sync().expect("a sync");
        // The segment before the last one stays for whoever checks the result.
        if durable.position.segment != self.segment {
            self.segment = durable.position.segment;
            let keep = Position { segment: self.segment.saturating_sub(1), offset: 0 };
            self.journal.purge(keep).expect("a purge");
        }
    }
}

#[cfg(feature = "peers")]
pub mod ready_made {
    //! The ready-made stores.

    use std::io;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::time::Duration;

    use raft_log::api::raft_log_writer::RaftLogWriter;

    use super::Store;

    /// raft-log's types: ids of (term, index), bytes as payload.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct RaftTypes;

    impl raft_log::Types for RaftTypes {
        type LogId = (u64, u64);
        type LogPayload = Vec<u8>;
        type Vote = (u64, u64);
        type UserData = String;
        type Callback = SyncSender<io::Result<()>>;

        fn log_index(log_id: &Self::LogId) -> u64 {
            log_id.1
        }

        fn payload_size(payload: &Self::LogPayload) -> u64 {
            payload.len() as u64
        }
    }

    /// raft-log's configuration for a directory.
    pub fn raft_config(directory: &Path) -> Arc<raft_log::Config> {
        let mut config = raft_log::Config::new(directory.display());
        config.wal.flush_batch_wait = Some(Duration::ZERO);
        Arc::new(config)
    }

    pub struct RaftLogStore(raft_log::RaftLog<RaftTypes>);

    impl RaftLogStore {
        pub fn create(directory: &Path) -> Self {
            Self(raft_log::RaftLog::open(raft_config(directory)).expect("a raft-log"))
        }
    }

    impl Store for RaftLogStore {
        fn flush(&mut self, first: u64, events: &[&[u8]]) {
            let entries = (first..).zip(events).map(|(index, payload)| ((1, index), payload.to_vec()));
            self.0.append(entries).expect("an append");
            let (send, receive) = sync_channel(1);
            self.0.flush(true, Some(send)).expect("a flush");
            receive.recv().expect("an answer").expect("a sync");
        }
    }

    /// redb's one table.
    pub const REDB_TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("events");

    pub struct RedbStore(redb::Database);

    impl RedbStore {
        pub fn create(directory: &Path) -> Self {
            Self(redb::Database::create(directory.join("events.redb")).expect("a redb"))
        }
    }

    impl Store for RedbStore {
        fn flush(&mut self, first: u64, events: &[&[u8]]) {
            let transaction = self.0.begin_write().expect("a transaction");
            {
                let mut table = transaction.open_table(REDB_TABLE).expect("a table");
                for (index, payload) in (first..).zip(events) {
                    table.insert(index, *payload).expect("an insert");
                }
            }
            transaction.commit().expect("a commit");
        }
    }

    pub struct FjallStore {
        database: fjall::Database,
        keyspace: fjall::Keyspace,
    }

    impl FjallStore {
        pub fn create(directory: &Path) -> Self {
            let database = fjall::Database::builder(directory).open().expect("a fjall");
            let keyspace = database.keyspace("events", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
            Self { database, keyspace }
        }
    }

    impl Store for FjallStore {
        fn flush(&mut self, first: u64, events: &[&[u8]]) {
            let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
            for (index, payload) in (first..).zip(events) {
                batch.insert(&self.keyspace, index.to_be_bytes(), *payload);
            }
            batch.commit().expect("a commit");
        }
    }

    pub struct SqliteStore(rusqlite::Connection);

    impl SqliteStore {
        pub fn create(directory: &Path) -> Self {
            let connection = rusqlite::Connection::open(directory.join("events.sqlite")).expect("an SQLite");
            connection
                .execute_batch(
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=100000;
                     CREATE TABLE events (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
                )
                .expect("a table");
            Self(connection)
        }
    }

    impl Store for SqliteStore {
        fn flush(&mut self, first: u64, events: &[&[u8]]) {
            let transaction = self.0.transaction().expect("a transaction");
            {
                let mut insert = transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2)").expect("a statement");
                for (index, payload) in (first..).zip(events) {
                    insert.execute((index as i64, *payload)).expect("an insert");
                }
            }
            transaction.commit().expect("a commit");
        }
    }
}
