//! The processor's contract on the in-memory tables.

use ledger::{Item, ports::Table};
use testkit::contract::{self, Subject};
use testkit::memory::tables::MemoryTables;

struct Memory(MemoryTables);

impl Subject for Memory {
    type Tables = MemoryTables;

    fn tables(&self) -> &MemoryTables {
        &self.0
    }

    async fn items(&self, table: Table) -> Vec<Item> {
        self.0.items(table)
    }

    async fn put(&self, table: Table, item: Item) {
        self.0.put(table, item);
    }

    async fn delete_claim(&self, pk: &str) {
        self.0.delete_claim(pk);
    }
}

macro_rules! on_memory {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            contract::$case(&Memory(MemoryTables::default())).await;
        })*
    };
}

testkit::for_each_case!(on_memory);
