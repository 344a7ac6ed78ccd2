//! The contract on the tables in memory.

use std::sync::Mutex;

use ledger::{
    Item,
    ports::{Found, Page, ProjectionsTable, Refusal, Table},
    projection::{
        keys::ProjectionKey,
        update::{Transacted, Transaction, Update, Updated},
    },
};
use testkit::{
    contract::{projections, tables},
    memory::{projections::MemoryProjections, tables::MemoryTables},
};

struct Memory(MemoryTables);

impl tables::Subject for Memory {
    type Tables = MemoryTables;

    fn tables(&self) -> &MemoryTables {
        &self.0
    }

    async fn items(&self, table: Table) -> Vec<Item> {
        self.0.items(table)
    }

    async fn delete(&self, table: Table, item: &Item) {
        self.0.delete(table, item);
    }
}

macro_rules! on_tables_in_memory {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            tables::$case(&Memory(MemoryTables::default())).await;
        })*
    };
}

testkit::for_each_tables_case!(on_tables_in_memory);

#[derive(Default)]
struct ProjectionsInMemory(Mutex<MemoryProjections>);

impl ProjectionsTable for ProjectionsInMemory {
    async fn read(&self, keys: Vec<ProjectionKey>, _: u64) -> Result<Vec<Found>, Refusal> {
        self.0.lock().unwrap().read(&keys)
    }

    async fn query(&self, pk: String, after: Option<String>, _: u64) -> Result<Page, Refusal> {
        Ok(self.0.lock().unwrap().query(&pk, after.as_deref()))
    }

    async fn update(&self, update: Update, _: u64) -> Result<Updated, Refusal> {
        self.0.lock().unwrap().update(update)
    }

    async fn transact(&self, transaction: Transaction, _: u64) -> Result<Transacted, Refusal> {
        self.0.lock().unwrap().transact(0, transaction)
    }
}

macro_rules! on_projections_in_memory {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            projections::$case(&ProjectionsInMemory::default()).await;
        })*
    };
}

testkit::for_each_projections_case!(on_projections_in_memory);
