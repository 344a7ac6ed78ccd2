//! A clock that stands still until somebody sleeps by it or moves it.

use std::sync::atomic::{AtomicU64, Ordering};

use ledger::ports::Clock;

/// 2096-01-15T09:30:00Z, in milliseconds: later than any machine's clock, so that no database running by that clock
/// finds a row expired.
pub const START_MS: u64 = 3_977_458_200_000;

#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { now_ms: AtomicU64::new(START_MS) }
    }
}

impl ManualClock {
    pub fn advance_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    async fn sleep_ms(&self, ms: u64) {
        self.advance_ms(ms);
    }

    /// The longest pause there can be.
    fn random_below(&self, bound: u64) -> u64 {
        bound.saturating_sub(1)
    }
}
