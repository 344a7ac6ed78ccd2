//! What happens beside the pipeline: what operators do, and what AWS does by itself.

use super::*;

impl World<'_> {
    pub(super) fn act(&mut self, act: Act) {
        self.is_stream_stirred = true;
        self.note("act", 0, || format!("{act:?}"));
        match act {
            Act::SplitShard => {
                let (parent, children) = self.stream.split(&mut self.random);
                let parent = Stream::shard_id(parent);
                for child in children {
                    self.stream_mapping.add_shard(&Stream::shard_id(child), Some(&parent));
                }
                self.stream_mapping.close_shard(&parent).expect("a known shard");
            }
            Act::Sweep => {
                for (table, item) in self.tables.sweep(self.now_ms / 1_000) {
                    self.removed(table, item, true);
                }
            }
            Act::Delete => {
                let Some(item) = self.entry(|_| true) else { return };
                self.tables.delete(Table::Entries, &item);
                self.removed(Table::Entries, item, false);
            }
            Act::Touch => {
                let Some(mut item) = self.entry(|_| true) else { return };
                item.insert("note".to_owned(), Attribute::S("by hand".to_owned()));
                self.tables.put(Table::Entries, item.clone());
                self.change("MODIFY", item, Meaning::Nothing);
            }
            Act::Revalidate => {
                let is_violation = |entry: &EntrySummary| {
                    entry.failure.as_ref().is_some_and(|failure| failure.class == Some(FailureClass::SchemaViolation))
                };
                let Some(mut item) = self.entry(is_violation) else { return };
                item.insert(attribute::STATUS.to_owned(), Attribute::S(Status::READY.to_owned()));
                item.insert(attribute::REVALIDATED_AT.to_owned(), whole_number(self.now_ms));
                item.remove(attribute::REASON);
                let summary = EntrySummary::from_item(&item).expect("an entry");
                self.revalidated.insert((summary.key.tenant_id.to_string(), summary.key.sk.clone()));
                self.tables.put(Table::Entries, item.clone());
                self.change("MODIFY", item, Meaning::Revalidated(summary));
            }
            Act::PutAlien => {
                self.aliens += 1;
                let text = |text: String| Attribute::S(text);
                let item = Item::from([
                    (attribute::TENANT_ID.to_owned(), text("b".to_owned())),
                    (attribute::SK.to_owned(), text(format!("alien{KEY_SEPARATOR}{}", self.aliens))),
                ]);
                self.tables.put(Table::Entries, item.clone());
                self.change("INSERT", item, Meaning::Unreadable);
            }
            Act::PutOlder => {
                self.aliens += 1;
                let text = |text: &str| Attribute::S(text.to_owned());
                let sk = format!("2026-01-01T00:00:00Z{KEY_SEPARATOR}older-{}", self.aliens);
                let status = *pick(&mut self.random, &[Status::READY, Status::INVALID]);
                let item = Item::from([
                    (attribute::TENANT_ID.to_owned(), text("b")),
                    (attribute::SK.to_owned(), text(&sk)),
                    (attribute::EVENT_TYPE.to_owned(), text("user.created")),
                    (attribute::STATUS.to_owned(), text(status)),
                    (attribute::PAYLOAD.to_owned(), Attribute::M(Default::default())),
                    (attribute::RETRIES.to_owned(), whole_number(0)),
                    (attribute::TENANT_ID_CREATED_AT.to_owned(), text("b#2026-01-01T00:00:00Z")),
                ]);
                self.tables.put(Table::Entries, item.clone());
                self.change("INSERT", item, Meaning::Nothing);
            }
            Act::Deploy => {
                self.is_ready_indexed = !self.is_ready_indexed;
                self.is_cold = true;
                self.generation += 1;
                self.processes.clear();
                self.older_ms = self.now_ms;
            }
            Act::RestartPoller => {
                self.stream_mapping.forget_invocations();
                for invocation in self.invocations.values_mut().filter(|running| running.of == Function::Projector) {
                    invocation.mapping_id = None;
                }
            }
            Act::RepeatBatch => self.repeat_batch(),
        }
    }

    /// A row is gone. Whoever is about to read it does not find it, which is no fault of theirs.
    fn removed(&mut self, table: Table, item: Item, is_by_ttl: bool) {
        let identity = identity_of(table, &item);
        for invocation in self.invocations.values_mut() {
            invocation.excuses.identities.insert(identity.clone());
        }
        match table {
            Table::Claims => self.expectations.claim_removed(&identity),
            Table::Entries => {
                self.expectations.entry_removed(&identity, text_of(&item, attribute::SK).expect("a key"));
                self.change_as(REMOVE, is_by_ttl, item, Meaning::Nothing);
            }
        }
    }

    /// An entry as it stands that nobody has revalidated.
    fn entry(&mut self, is_wanted: impl Fn(&EntrySummary) -> bool) -> Option<Item> {
        let mut items = self.tables.items(Table::Entries);
        items.retain(|item| {
            let Ok(entry) = EntrySummary::from_item(item) else { return false };
            let key = (entry.key.tenant_id.to_string(), entry.key.sk.clone());
            !self.revalidated.contains(&key) && is_wanted(&entry)
        });
        (!items.is_empty()).then(|| pick(&mut self.random, &items).clone())
    }

    /// Delivers records of a shard once more, out of order, as a poller does that was believed dead: from one that is
    /// done, or follows what is, to any later one.
    fn repeat_batch(&mut self) {
        let log = &self.stream.log;
        let counted: Vec<usize> = (0..log.len()).filter(|&at| log[at].is_counted).collect();
        if counted.is_empty() {
            return;
        }
        let shard = log[*pick(&mut self.random, &counted)].shard;
        let of_shard: Vec<usize> = (0..log.len()).filter(|&at| log[at].shard == shard).collect();
        let is_done = |&&at: &&usize| log[at].is_counted || log[at].is_discarded;
        let done = of_shard.iter().take_while(is_done).count();
        let start = self.random.usize(..=done.min(of_shard.len() - 1));
        let end = self.random.usize(start + 1..=of_shard.len());
        let mut records: Vec<String> = of_shard[start..end].iter().map(|&at| log[at].sequence_number.clone()).collect();
        self.random.shuffle(&mut records);
        self.start_projector(None, records, None);
    }
}
